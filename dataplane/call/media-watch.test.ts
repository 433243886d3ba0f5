import { describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import type { CallMedia, Heard, Renewed, Side } from '../media/media-port.ts'
import { MediaWatch } from './media-watch.ts'
import type { OwnOutcome } from './own-request.ts'

const log = createLog({ level: 'error', name: 'test', write: () => {} })

/** A watch whose call and engine are what the test says they are. */
function begin(timeoutSeconds?: number) {
  const clock = new ManualClock()
  const state = {
    packets: 0,
    /** What the engine says instead of the packets. */
    says: undefined as Heard | undefined,
    renewed: { ok: true, told: { A: 'to A', B: 'to B' } } as Renewed,
    onHold: false,
    up: true,
    asked: 0,
    renewals: 0,
  }
  const outcomes: OwnOutcome['kind'][] = []
  const offered: Side[] = []
  const moved: Readonly<Record<Side, string>>[] = []
  const ended: string[] = []
  const media = {
    engine: 'one',
    heard: (done: (heard: Heard) => void) => {
      state.asked++
      done(state.says ?? { kind: 'Packets', packets: state.packets })
    },
    renew: (done: (renewed: Renewed) => void) => {
      state.renewals++
      if (state.renewed.ok) state.says = undefined
      done(state.renewed)
    },
  } as CallMedia
  const watch = new MediaWatch(
    {
      guard: (run) => run(),
      get anchoredMedia() {
        return state.up ? media : undefined
      },
      get onHold() {
        return state.onHold
      },
      mediaMoved: (told) => void moved.push(told),
      offerMoved: (side, done) => {
        offered.push(side)
        done(outcomeOf(outcomes.shift() ?? 'Answered'))
      },
      mediaEnded: (why) => {
        ended.push(why)
        watch.stop()
      },
    },
    { clock, random: () => 0.5, log },
  )
  watch.start(timeoutSeconds)
  const engineDown = (calls = 1) => {
    state.says = { kind: 'Gone' }
    watch.engineDown(calls)
  }
  return { watch, engineDown, clock, state, outcomes, offered, moved, ended }
}

function outcomeOf(kind: OwnOutcome['kind']): OwnOutcome {
  if (kind === 'Refused') return { kind, status: 500, retryAfterMilliseconds: 3_000 }
  if (kind === 'Lost') return { kind, status: 481 }
  return { kind } as OwnOutcome
}

const refusedForGood: OwnOutcome = { kind: 'Refused', status: 488, retryAfterMilliseconds: undefined }

describe('the watch of anchored media', () => {
  it('asks the engine every 10 s, and each call at another moment', () => {
    const { clock, state } = begin()
    clock.advance(4_999)
    expect(state.asked).toBe(0)
    clock.advance(1)
    expect(state.asked).toBe(1)
    clock.advance(20_000)
    expect(state.asked).toBe(3)
  })

  it('ends a call in which nobody is heard for the time that is set, and not before (feature item 29.6)', () => {
    const { clock, state, ended } = begin(30)
    clock.advance(5_000)
    state.packets = 7
    clock.advance(10_000)
    clock.advance(29_999)
    expect(ended).toEqual([])
    clock.advance(1)
    expect(ended).toEqual(['Silent'])
    clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })

  it('lets a call on hold be silent, and counts from its end', () => {
    const { clock, state, ended } = begin(30)
    state.onHold = true
    clock.advance(300_000)
    expect(ended).toEqual([])
    state.onHold = false
    clock.advance(20_000)
    expect(ended).toEqual([])
    clock.advance(10_000)
    expect(ended).toEqual(['Silent'])
  })

  it.each([undefined, 0])('lets a call be silent for ever with a time of %s', (timeoutSeconds) => {
    const { clock, ended } = begin(timeoutSeconds)
    clock.advance(3_600_000)
    expect(ended).toEqual([])
  })

  it('moves a call that its engine has forgotten, and tells both sides', () => {
    const { clock, state, moved, offered, ended } = begin()
    state.says = { kind: 'Gone' }
    clock.advance(5_000)
    clock.advance(0)
    expect(moved).toEqual([{ A: 'to A', B: 'to B' }])
    expect(offered).toEqual(['A', 'B'])
    clock.advance(10_000)
    expect({ asked: state.asked, renewals: state.renewals, ended }).toEqual({ asked: 3, renewals: 1, ended: [] })
  })

  it('goes on counting a silence while the call moves', () => {
    const { clock, state, ended } = begin(60)
    clock.advance(5_000)
    state.says = { kind: 'Gone' }
    clock.advance(60_000)
    expect(state.renewals).toBe(1)
    expect(ended).toEqual(['Silent'])
  })

  it('moves the calls of an engine that died one after the other, at once or within 10 s', () => {
    const one = begin()
    one.engineDown()
    one.clock.advance(5)
    expect(one.state.renewals).toBe(1)
    const many = begin()
    many.engineDown(5_000)
    // A word that comes twice changes nothing.
    many.engineDown(5_000)
    many.clock.advance(4_999)
    expect(many.state.renewals).toBe(0)
    many.clock.advance(1)
    expect(many.state.renewals).toBe(1)
  })

  it('leaves a call alone that an offer of a peer has moved, and waits for one that is open', () => {
    const { engineDown, clock, state } = begin()
    engineDown()
    state.says = { kind: 'Unknown' }
    clock.advance(30_000)
    state.says = undefined
    clock.advance(1_000)
    expect(state.renewals).toBe(0)
    expect(clock.pending).toBe(1)
  })

  it('ends a call without engine in which an offer stays open for 32 s', () => {
    const { engineDown, clock, state, ended } = begin()
    engineDown()
    state.says = { kind: 'Unknown' }
    clock.advance(31_000)
    expect(ended).toEqual([])
    clock.advance(2_000)
    expect(ended).toEqual(['Lost'])
  })

  it('counts the silence of a call in which an offer is open, and hears it all the same', () => {
    const { clock, state, ended } = begin(30)
    clock.advance(5_000)
    for (const packets of [7, 8, 9, 10]) {
      state.says = { kind: 'Unknown', packets }
      clock.advance(10_000)
    }
    expect(ended).toEqual([])
    state.says = { kind: 'Unknown' }
    clock.advance(29_000)
    expect(ended).toEqual([])
    clock.advance(1_000)
    expect(ended).toEqual(['Silent'])
  })

  it('waits 10 s for an engine, and then ends the call', () => {
    const { engineDown, clock, state, ended, offered } = begin()
    state.renewed = { ok: false, status: 503, reason: 'no media engine is up' }
    engineDown()
    clock.advance(9_000)
    expect(ended).toEqual([])
    state.renewed = { ok: true, told: { A: 'a', B: 'b' } }
    clock.advance(1_000)
    expect(offered).toEqual(['A', 'B'])

    state.renewed = { ok: false, status: 503, reason: 'no media engine is up' }
    engineDown()
    clock.advance(11_000)
    expect(ended).toEqual(['Lost'])
  })

  it('tells a side again that was busy with an offer of its own (RFC 3261 section 14.1)', () => {
    const { engineDown, clock, outcomes, offered, ended } = begin()
    outcomes.push('Answered', 'Glare', 'Busy', 'LongerInterval', 'Refused')
    engineDown()
    clock.advance(5)
    expect(offered).toEqual(['A', 'B'])
    clock.advance(3_050)
    expect(offered).toEqual(['A', 'B', 'B'])
    clock.advance(3_050)
    expect(offered).toEqual(['A', 'B', 'B', 'B', 'B'])
    clock.advance(3_000)
    expect(offered).toHaveLength(6)
    expect(ended).toEqual([])
  })

  it('ends a call of which a side is busy for 32 s, or refuses', () => {
    const busy = begin()
    busy.outcomes.push(...Array.from({ length: 20 }, () => 'Busy' as const))
    busy.engineDown()
    busy.clock.advance(29_000)
    expect(busy.ended).toEqual([])
    busy.clock.advance(3_000)
    expect(busy.ended).toEqual(['Lost'])

    const refused = begin()
    refused.watch.stop()
    const told: string[] = []
    const watch = new MediaWatch(
      {
        guard: (run) => run(),
        anchoredMedia: {
          heard: (done: (heard: Heard) => void) => done({ kind: 'Gone' }),
          renew: (done: (renewed: Renewed) => void) => done(refused.state.renewed),
        } as CallMedia,
        onHold: false,
        mediaMoved: () => {},
        offerMoved: (_side, done) => done(refusedForGood),
        mediaEnded: (why) => void told.push(why),
      },
      { clock: refused.clock, random: () => 0, log },
    )
    watch.start(undefined)
    watch.engineDown(1)
    refused.clock.advance(0)
    expect(told).toEqual(['Lost'])
  })

  it('asks nothing while the call is not up yet, and nothing after its end', () => {
    const { watch, clock, state } = begin(10)
    state.up = false
    clock.advance(60_000)
    expect(state.asked).toBe(0)
    watch.stop()
    watch.engineDown(1)
    expect(clock.pending).toBe(0)
  })
})
