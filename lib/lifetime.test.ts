import { fork } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createLog } from './log.ts'
import { startParts, stopParts, type Part } from './lifetime.ts'

const log = createLog({ level: 'error', name: 'test', write: () => undefined })

function part(name: string, done: string[], changes: Partial<Part> = {}): Part {
  return { name, start: () => done.push(`start ${name}`), stop: () => done.push(`stop ${name}`), ...changes }
}

describe('parts', () => {
  it('start in order, each when the one before has started, and stop in reverse', async () => {
    const done: string[] = []
    const slow = part('b', done, { start: () => Promise.resolve().then(() => done.push('start b')) })
    const parts = [part('a', done), slow, part('c', done)]
    await startParts(parts, log)
    await stopParts(parts, log)
    expect(done).toEqual(['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a'])
  })

  it('do not start behind one that cannot, which is named', async () => {
    const done: string[] = []
    const broken = part('b', done, { start: () => Promise.reject(new Error('port in use')) })
    await expect(startParts([part('a', done), broken, part('c', done)], log)).rejects.toThrow(
      'b cannot start: port in use',
    )
    expect(done).toEqual(['start a'])
  })

  it('all stop, even when one does not stop in good order', async () => {
    const done: string[] = []
    const broken = part('b', done, { stop: () => Promise.reject(new Error('stuck')) })
    await stopParts([part('a', done), broken, part('c', done)], log)
    expect(done).toEqual(['stop c', 'stop a'])
  })
})

describe('a process that shows life', () => {
  it('ends in good order when its parent has gone and it does not know yet', async () => {
    const child = fork(new URL('testdata/busy-child.ts', import.meta.url))
    const exited = once(child, 'exit')
    child.send('be busy')
    await once(child, 'message')
    child.disconnect()
    expect(await exited).toEqual([0, null])
  })
})
