import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, type Clock, type Timer } from '#lib/clock.ts'
import { type ReplicaProcess, Supervisor } from './supervisor.ts'

const child = join(import.meta.dirname, 'testdata', 'child.ts')

/** Real processes need real time; the delays that were asked for are kept, and those of a restart are skipped. */
class SkippingClock implements Clock {
  readonly delays: number[] = []
  ageMilliseconds = 0
  now = () => this.ageMilliseconds
  wallTime = () => systemClock.wallTime()
  after(milliseconds: number, run: () => void): Timer {
    this.delays.push(milliseconds)
    return systemClock.after(milliseconds >= 60_000 ? milliseconds : 0, run)
  }
}

describe('Supervisor', () => {
  let directory: string
  let supervisor: Supervisor
  let clock: SkippingClock
  let notices: string[]
  let changed = new EventTarget()

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'supervisor-'))
    notices = []
    changed = new EventTarget()
    clock = new SkippingClock()
    supervisor = create(60_000)
  })

  function create(stopMilliseconds: number): Supervisor {
    return new Supervisor({
      clock,
      command: [process.execPath, child],
      stopMilliseconds,
      onNotice: (id, notice) => {
        notices.push(`${id} ${notice}`)
        changed.dispatchEvent(new Event('change'))
      },
      onChange: () => changed.dispatchEvent(new Event('change')),
    })
  }

  afterEach(async () => {
    const stopped = supervisor.stop()
    supervisor.kill()
    await stopped
    rmSync(directory, { recursive: true })
  })

  const plan = (id: string, environment: Record<string, string> = {}) => ({
    id,
    logFile: join(directory, `${id}.log`),
    environment,
  })

  async function until<T>(what: string, probe: () => T | undefined | false): Promise<T> {
    const signal = AbortSignal.timeout(100_000)
    for (;;) {
      const found = probe()
      if (found !== undefined && found !== false) return found
      await once(changed, 'change', { signal }).catch(() => {
        throw new Error(`waited in vain for ${what}; notices: ${notices.join(' | ')}`)
      })
    }
  }
  const find = (id: string): ReplicaProcess | undefined => supervisor.list().find((replica) => replica.id === id)
  /** The child says so on standard error, which comes up as a notice. */
  const saysReady = (id: string, pid: number) => until(`${id} to run`, () => notices.includes(`${id} ready ${pid}`))
  const pidOf = (id: string) => until(`the pid of ${id}`, () => find(id)?.pid)

  it('starts what is wanted and drains what no longer is', async () => {
    supervisor.want([plan('a'), plan('b')])
    await saysReady('a', await pidOf('a'))
    await saysReady('b', await pidOf('b'))
    supervisor.want([plan('a')])
    expect(find('b')?.state).toBe('Stopping')
    await until('b to go', () => find('b') === undefined)
    expect(find('a')).toMatchObject({ state: 'Running', restarts: 0 })
    expect(readFileSync(join(directory, 'b.log'), 'utf8')).toContain('drained')
  })

  it('starts a killed replica again at once and leaves the others alone', async () => {
    supervisor.want([plan('a'), plan('b')])
    const [a, b] = [await pidOf('a'), await pidOf('b')]
    await saysReady('a', a)
    process.kill(a, 'SIGKILL')
    const again = await until('a new process', () => find('a')?.pid !== a && find('a')?.pid)
    await saysReady('a', again)
    expect(clock.delays).toEqual([])
    expect(find('a')).toMatchObject({ state: 'Running', restarts: 1 })
    expect(find('b')?.pid).toBe(b)
    expect(notices.some((notice) => notice.startsWith('a was ended by SIGKILL; it is started again at once'))).toBe(
      true,
    )
  })

  it('kills a replica that showed life and then hangs, and starts it again', async () => {
    supervisor.want([plan('a', { CHILD: 'hangs' })])
    await until('a to be started again', () => (find('a')?.restarts ?? 0) >= 1)
    expect(clock.delays.slice(0, 5)).toEqual([2000, 2000, 2000, 2000, 2000])
    expect(notices).toContain('a showed no life for 10 s; it is killed')
  })

  it('waits longer and longer, up to 2 s, for a replica that keeps dying', async () => {
    supervisor.want([plan('a', { CHILD: 'dies' })])
    await until('eight starts', () => (find('a')?.restarts ?? 0) >= 8)
    expect(clock.delays.slice(0, 7)).toEqual([250, 500, 1000, 2000, 2000, 2000, 2000])
    expect(notices).toContain(`a exited with code 3; it is started again in 250 ms (log: ${join(directory, 'a.log')})`)
  })

  it('takes a replica that lived for 10 s as sound again', async () => {
    supervisor.want([plan('a', { CHILD: 'dies' })])
    await until('three starts', () => (find('a')?.restarts ?? 0) >= 3)
    clock.ageMilliseconds += 10_000
    supervisor.want([plan('a')])
    await until('a to run', () => notices.some((notice) => notice.startsWith('a ready')))
    clock.delays.length = 0
    clock.ageMilliseconds += 10_000
    process.kill(await pidOf('a'), 'SIGKILL')
    await until(
      'the restart at once',
      () => notices.at(-1)?.includes('at once') || notices.at(-1)?.startsWith('a ready'),
    )
    expect(clock.delays).toEqual([])
  })

  it('starts a replica anew when its environment changes', async () => {
    supervisor.want([plan('a', { COLOUR: 'red' })])
    const first = await pidOf('a')
    await saysReady('a', first)
    supervisor.want([plan('a', { COLOUR: 'blue' })])
    const second = await until('a new process', () => find('a')?.pid !== first && find('a')?.pid)
    await saysReady('a', second)
    expect(find('a')?.restarts).toBe(0)
  })

  it('keeps a replica that is wanted again while it drains', async () => {
    supervisor.want([plan('a')])
    const first = await pidOf('a')
    await saysReady('a', first)
    supervisor.want([])
    supervisor.want([plan('a')])
    const second = await until('a new process', () => find('a')?.pid !== first && find('a')?.pid)
    await saysReady('a', second)
    expect(find('a')?.state).toBe('Running')
  })

  it('kills a replica that does not drain in time', async () => {
    supervisor = create(100)
    supervisor.want([plan('a', { CHILD: 'stubborn' })])
    await saysReady('a', await pidOf('a'))
    await supervisor.stop()
    expect(supervisor.list()).toEqual([])
    expect(clock.delays).toContain(100)
  })

  it('tells a program that cannot be started', async () => {
    supervisor = new Supervisor({
      clock,
      command: [join(directory, 'no-such-program')],
      stopMilliseconds: 1000,
      onNotice: (id, notice) => {
        notices.push(`${id} ${notice}`)
        changed.dispatchEvent(new Event('change'))
      },
      onChange: () => {},
    })
    supervisor.want([plan('a')])
    const notice = await until('the notice', () => notices[0])
    expect(notice).toContain('could not be started')
    expect(notice).toContain('ENOENT')
  })

  it('shows errors of the log of a replica and keeps every line in its file', async () => {
    supervisor.want([plan('a', { CHILD: 'complains' })])
    await until('the complaint', () => notices.includes('a the socket is gone'))
    await supervisor.stop()
    const text = readFileSync(join(directory, 'a.log'), 'utf8')
    expect(text).toContain('all is well')
    expect(text).toContain('the socket is gone')
  })
})
