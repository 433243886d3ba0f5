import { join, relative, resolve, sep } from 'node:path'
import { systemClock } from '#lib/clock.ts'
import { createLog, type Log } from '#lib/log.ts'
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

/** As in the image (`Dockerfile`): what a call needs for its set-up is short-lived, and room for more of it is not used. */
const memoryFlags = ['--max-semi-space-size=8']

/** `sbcfleet start`: runs until a signal, or until the self-test has ended. Resolves to the exit code. */
export async function runStart(command: StartCommand, output: Output): Promise<number> {
  const { directory } = command
  // Absolute, since Node makes folders below a current directory that was removed for ever and ever.
  const statusDirectory = resolve(command.statusDirectory)
  if (isVisibleIn(directory, statusDirectory)) {
    output.write(`The status directory ${statusDirectory} lies in ${directory} and would be read as manifests; `)
    output.write('give another one with --status-dir.\n')
    return 2
  }
  const lock = lockDirectory(statusDirectory, process.pid)
  if ('failure' in lock) {
    output.write(`The status directory cannot be written: ${lock.failure}; give another one with --status-dir.\n`)
    return 1
  }
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
    const log = createLog({ level: 'info', name: 'control', write: (line) => controlLog.append(line) })
    return await runMachine({ ...command, statusDirectory }, output, display, log)
  } finally {
    display.close()
    controlLog.close()
    lock.release()
  }
}

/** What is shown, and a way to hear of it. */
class Screen {
  readonly display: Display
  #view: View | undefined
  readonly #listeners = new Set<() => void>()

  constructor(display: Display) {
    this.display = display
  }

  show(view: View): void {
    this.#view = view
    this.display.show(view)
    for (const listener of this.#listeners) listener()
  }

  view(): View | undefined {
    return this.#view
  }

  onView(listener: () => void): void {
    this.#listeners.add(listener)
  }
}

async function runMachine(command: StartCommand, output: Output, display: Display, log: Log): Promise<number> {
  const screen = new Screen(display)
  const machine = new Machine({
    ...command,
    clock: systemClock,
    log,
    replicaCommand: [process.execPath, ...memoryFlags, replica],
    environment: inheritedEnvironment(),
    drainSeconds,
    onView: (view) => screen.show(view),
    onNotice: (notice) => display.notice(notice),
  })
  const signal = untilSignal(() => machine.kill())
  try {
    const selftest = command.selftest ? await openSelftest(command) : undefined
    try {
      await machine.start()
      display.notice(`Status: ${command.statusDirectory}  Logs: ${join(command.statusDirectory, 'log')}`)
      if (selftest !== undefined) return await runSelftest(selftest, screen, output, signal.received)
      await signal.received
      display.notice(`Stopping; calls have ${drainSeconds} s to end. Again to end them now.`)
      return 0
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
  screen: Screen,
  output: Output,
  interrupted: Promise<void>,
): Promise<number> {
  const interruption = interrupted.then(() => {
    throw new SelftestFailure('It was interrupted.')
  })
  await Promise.race([selftest.waitForTrunks(screen), interruption])
  const { ladder, passed, failed } = await Promise.race([selftest.run(), interruption])
  screen.display.close()
  const view = screen.view()
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
