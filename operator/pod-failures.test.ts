import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApiError } from './kube/api-error.ts'
import type { ListOptions } from './kube/client.ts'
import { firstLook, longestWait, PodFailures } from './pod-failures.ts'
import type { StatefulSet } from './report/rolled.ts'

const { signal } = new AbortController()

interface Told {
  readonly reason: string
  readonly note: string
  readonly deprecatedLastTimestamp?: string
  readonly eventTime?: string | null
  readonly series?: { readonly count: number; readonly lastObservedTime: string }
}

const forbidden = { reason: 'FailedCreate', note: 'pods "edge-0" is forbidden: exceeded quota' }
const at = (second: number) => ({ deprecatedLastTimestamp: `2026-01-01T00:00:${String(second).padStart(2, '0')}Z` })

function statefulSet(replicas: number, { wanted = 2, generation = 1, observed = 2, uid = 'first' } = {}) {
  const one: StatefulSet = {
    metadata: { namespace: 'voice', name: 'edge', uid, generation },
    spec: { replicas: wanted },
    status: { observedGeneration: observed, replicas },
  }
  return one
}

/** An API server with these events, and what it was asked for. */
function setUp(events: readonly Told[] | ApiError = [{ ...forbidden, ...at(1) }]) {
  const clock = new ManualClock()
  const asked: (ListOptions | undefined)[] = []
  const server = { events }
  const failures = new PodFailures({
    api: {
      list: async (_resource, options) => {
        asked.push(options)
        if (server.events instanceof ApiError) throw server.events
        return { metadata: { resourceVersion: '1' }, items: server.events } as never
      },
    },
    clock,
    log: pino({ level: 'silent' }),
  })
  const find = (object: StatefulSet | undefined) => failures.find('voice/edge', object, signal)
  /** As if it were looked at whenever it is due, and how long it took to the first look that asked. */
  const wordsOf = async (object: StatefulSet) => {
    await find(object)
    clock.advance(firstLook)
    return (await find(object)).words
  }
  return { clock, asked, server, find, wordsOf }
}

describe('why pods cannot be made', () => {
  it('is not asked for while none is missing, nor before the controller has looked', async () => {
    const { clock, asked, find } = setUp()
    for (const object of [
      statefulSet(2),
      statefulSet(3),
      statefulSet(0, { wanted: 0 }),
      statefulSet(0, { generation: 2, observed: 1 }),
      undefined,
    ]) {
      expect(await find(object)).toEqual({})
      clock.advance(longestWait)
    }
    expect(asked).toEqual([])
  })

  it('is asked for when they are still missing after two seconds, of that StatefulSet alone', async () => {
    const { clock, asked, find } = setUp()
    expect(await find(statefulSet(1))).toEqual({ words: undefined, after: firstLook })
    clock.advance(firstLook - 1)
    expect(await find(statefulSet(1))).toEqual({ words: undefined, after: 1 })
    expect(asked).toEqual([])
    clock.advance(1)
    expect((await find(statefulSet(1))).words).toBe(forbidden.note)
    expect(asked).toMatchObject([
      { namespace: 'voice', fieldSelector: 'regarding.kind=StatefulSet,regarding.uid=first' },
    ])
  })

  it('is asked for ever more seldom, however often the fleet is looked at, and known in between', async () => {
    const { clock, asked, find, wordsOf } = setUp()
    await wordsOf(statefulSet(0))
    const times: number[] = []
    for (let second = 1; second <= 300; second++) {
      clock.advance(1_000)
      const before = asked.length
      expect((await find(statefulSet(0))).words).toBe(forbidden.note)
      if (asked.length > before) times.push(second)
    }
    expect(times).toEqual([4, 12, 28, 60, 120, 180, 240, 300])
  })

  it('is asked for soon after a change of the StatefulSet, and known meanwhile', async () => {
    const { clock, asked, find, wordsOf } = setUp()
    await wordsOf(statefulSet(0))
    clock.advance(1_000)
    expect(await find(statefulSet(0, { generation: 2 }))).toEqual({ words: forbidden.note, after: firstLook })
    clock.advance(firstLook)
    await find(statefulSet(0, { generation: 2 }))
    expect(asked).toHaveLength(2)
    expect((await find(statefulSet(0, { uid: 'second' }))).words).toBeUndefined()
  })

  it('is forgotten when all are there', async () => {
    const { find, wordsOf } = setUp()
    await wordsOf(statefulSet(0))
    expect(await find(statefulSet(2))).toEqual({})
    expect((await find(statefulSet(1))).words).toBeUndefined()
  })

  it.each<[string, readonly Told[], string | undefined]>([
    [
      'the newest words',
      [
        { ...forbidden, note: 'new', ...at(5) },
        { ...forbidden, note: 'old', ...at(3) },
      ],
      'new',
    ],
    [
      'the newest words, by the newer API too',
      [
        { ...forbidden, note: 'old', ...at(3) },
        { ...forbidden, note: 'new', eventTime: '2026-01-01T00:00:05.000000Z' },
        { ...forbidden, note: 'middle', ...at(4), eventTime: null },
      ],
      'new',
    ],
    [
      'nothing after a pod could be made',
      [
        { ...forbidden, ...at(1) },
        { reason: 'SuccessfulCreate', note: 'x', ...at(2) },
      ],
      undefined,
    ],
    [
      'the words where one could and one could not',
      [
        { ...forbidden, ...at(2) },
        { reason: 'SuccessfulCreate', note: 'x', ...at(2) },
      ],
      forbidden.note,
    ],
    ['nothing of other events', [{ reason: 'RecreatingFailedPod', note: 'x', ...at(2) }], undefined],
    ['nothing where there is none', [], undefined],
  ])('is %s', async (_, events, words) => {
    expect(await setUp(events).wordsOf(statefulSet(0))).toBe(words)
  })

  it('is not known where events may not be read, and nothing else fails for it', async () => {
    const { clock, find, server, wordsOf } = setUp(new ApiError('GET', 403, {}))
    expect(await wordsOf(statefulSet(0))).toBeUndefined()
    server.events = [{ ...forbidden, ...at(1) }]
    clock.advance(longestWait)
    expect((await find(statefulSet(0))).words).toBe(forbidden.note)
  })
})
