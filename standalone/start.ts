import { join, relative, sep } from 'node:path'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import type { StartCommand } from './command-line.ts'
import { createDisplay, type Display, type Output } from './display.ts'
import { inheritedEnvironment } from './env.ts'
import { lockDirectory } from './instance-lock.ts'
import { LogFile } from './log-file.ts'
import { Machine, NothingToRun } from './machine.ts'
import { readManifests } from './manifests/read-manifests.ts'
import { Selftest, SelftestFailure } from './selftest/run.ts'
import { renderTrunks, type View } from './table.ts'

/** How long calls may go on after a first signal, in seconds. */
const drainSeconds = 5
/** npm passes on the Ctrl-C that the terminal has sent us as well; within this time two signals are one. */
const sameSignalMilliseconds = 500

const replica = join(import.meta.dirname, '..', 'dataplane', 'main.ts')

/** `sbcfleet start`: runs until a signal, or until the self-test has ended. Resolves to the exit code. */
export async function runStart(command: StartCommand, output: Output): Promise<number> {
  const { directory, statusDirectory } = command
  if (isVisibleIn(directory, statusDirectory)) {
    output.write(`The status directory ${statusDirectory} lies in ${directory} and would be read as manifests; `)
    output.write('give another one with --status-dir.\n')
    return 2
  }
  const lock = lockDirectory(statusDirectory, process.pid)
  if ('heldBy' in lock) {
    output.write(`Process ${lock.heldBy} writes its status to ${statusDirectory} already; `)
    output.write('stop it, or give another directory with --status-dir.\n')
    return 1
  }
  // A self-test ends with what it has to show; a table that redraws itself would be in the way.
  const display = createDisplay(command.selftest ? { write: (text) => output.write(text) } : output, systemClock)
  const controlLog = new LogFile(join(statusDirectory, 'log', 'control.log'), (error) =>
    display.notice(`The log of the control side cannot be written: ${error.message}`),
  )
  try {
    return await runMachine(command, output, display, controlLog)
  } finally {
    display.close()
    controlLog.close()
    lock.release()
  }
}

async function runMachine(
  command: StartCommand,
  output: Output,
  display: Display,
  controlLog: LogFile,
): Promise<number> {
  let view: View | undefined
  const viewListeners = new Set<() => void>()
  const machine = new Machine({
    ...command,
    clock: systemClock,
    log: createLog({ level: 'info', name: 'control', write: (line) => controlLog.append(line) }),
    replicaCommand: [process.execPath, replica],
    environment: inheritedEnvironment(),
    drainSeconds,
    onView: (next) => {
      view = next
      display.show(next)
      for (const listener of viewListeners) listener()
    },
    onNotice: (notice) => display.notice(notice),
  })
  const signal = untilSignal(() => machine.kill())
  try {
    const fleets = { view: () => view, onView: (listener: () => void) => void viewListeners.add(listener) }
    const selftest = command.selftest ? await openSelftest(command) : undefined
    try {
      await machine.start()
      display.notice(`Status: ${command.statusDirectory}  Logs: ${join(command.statusDirectory, 'log')}`)
      if (selftest === undefined) {
        await signal.received
        display.notice(`Stopping; calls have ${drainSeconds} s to end. Again to end them now.`)
        return 0
      }
      return await Promise.race([
        runSelftest(selftest, fleets, output, display),
        signal.received.then(() => {
          throw new SelftestFailure('It was interrupted.')
        }),
      ])
    } finally {
      // The peers go last: the fleet takes its registrations back.
      await machine.stop()
      selftest?.close()
    }
  } catch (error) {
    if (error instanceof NothingToRun) output.write([...error.problems, error.message, ''].join('\n'))
    else if (error instanceof SelftestFailure) output.write(`Self-test failed. ${error.message}\n`)
    else throw error
    return 1
  } finally {
    signal.release()
  }
}

async function openSelftest(command: StartCommand): Promise<Selftest> {
  const selftest = new Selftest(await readManifests(command.directory), command.addresses, systemClock)
  try {
    await selftest.open()
    return selftest
  } catch (error) {
    selftest.close()
    throw error
  }
}

async function runSelftest(
  selftest: Selftest,
  fleets: { view: () => View | undefined; onView: (listener: () => void) => void },
  output: Output,
  display: Display,
): Promise<number> {
  await selftest.waitForTrunks(fleets)
  const { ladder, passed, failed } = await selftest.run()
  display.close()
  const view = fleets.view()
  const trunks = view === undefined ? [] : renderTrunks(view, systemClock.wallTime())
  const lines = ['', ...ladder, '', ...trunks, '', ...passed.map((what) => `ok    ${what}`)]
  output.write(`${[...lines, ...failed.map((what) => `FAIL  ${what}`), ''].join('\n')}\n`)
  output.write(failed.length === 0 ? 'Self-test passed.\n' : 'Self-test failed.\n')
  return failed.length === 0 ? 0 : 1
}

/** Resolves at the first SIGINT or SIGTERM; a second one, after a moment, calls `again`. */
function untilSignal(again: () => void): { received: Promise<void>; release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let first: number | undefined
  const onSignal = () => {
    const now = systemClock.now()
    if (first !== undefined && now - first > sameSignalMilliseconds) return again()
    first ??= now
    resolve()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return { received: promise, release: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal) }
}

/** Whether a path lies in a directory and no part of the way is hidden: hidden files are not read as manifests. */
function isVisibleIn(directory: string, path: string): boolean {
  const parts = relative(directory, path).split(sep)
  return parts[0] !== '..' && !parts.some((part) => part.startsWith('.'))
}
