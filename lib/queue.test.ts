import { describe, expect, it } from 'vitest'
import { SerialQueue } from './queue.ts'

function recorder(queue: SerialQueue) {
  const started: string[] = []
  const finish = new Map<string, () => void>()
  const push = (name: string) =>
    queue.push((done) => {
      started.push(name)
      finish.set(name, done)
    })
  return { started, push, finish: (name: string) => finish.get(name)?.() }
}

describe('a serial queue', () => {
  it('starts a task when the one before is done', () => {
    const { started, push, finish } = recorder(new SerialQueue(8))
    push('a')
    push('b')
    expect(started).toEqual(['a'])
    finish('a')
    expect(started).toEqual(['a', 'b'])
  })

  it('takes a second call of done for nothing', () => {
    const { started, push, finish } = recorder(new SerialQueue(8))
    for (const name of ['a', 'b', 'c']) push(name)
    finish('a')
    finish('a')
    expect(started).toEqual(['a', 'b'])
  })

  it('refuses more than may wait', () => {
    const { push } = recorder(new SerialQueue(1))
    expect([push('runs'), push('waits'), push('refused')]).toEqual([true, true, false])
  })

  it('starts nothing while held, however many hold it', () => {
    const queue = new SerialQueue(8)
    const { started, push } = recorder(queue)
    const first = queue.hold()
    const second = queue.hold()
    push('a')
    first()
    first()
    expect(started).toEqual([])
    second()
    expect(started).toEqual(['a'])
  })

  it('forgets what waits when cleared', () => {
    const queue = new SerialQueue(8)
    const { started, push, finish } = recorder(queue)
    push('a')
    push('b')
    queue.clear()
    finish('a')
    expect(started).toEqual(['a'])
  })

  it('goes on after a task that throws', () => {
    const queue = new SerialQueue(8)
    const { started, push } = recorder(queue)
    expect(() =>
      queue.push(() => {
        throw new Error('broken')
      }),
    ).toThrow('broken')
    push('a')
    expect(started).toEqual(['a'])
  })

  it('takes any number of tasks that are done at once without growing the stack', () => {
    const queue = new SerialQueue(20_000)
    let count = 0
    const release = queue.hold()
    for (let i = 0; i < 20_000; i++) {
      queue.push((done) => {
        count++
        done()
      })
    }
    release()
    expect(count).toBe(20_000)
  })
})
