import { describe, expect, it } from 'vitest'
import { type LegEvent, type LegState, step } from './leg.ts'

const setUp: LegState = { at: 'setUp' }
const unacknowledged: LegState = { at: 'unacknowledged', hangUp: false }
const waiting: LegState = { at: 'unacknowledged', hangUp: true }
const up: LegState = { at: 'up' }
const ended: LegState = { at: 'ended' }

describe.each<['A' | 'B', [LegState, LegEvent, ReturnType<typeof step>][]]>([
  [
    'A',
    [
      [setUp, 'answered', [unacknowledged]],
      [setUp, 'acknowledged', [setUp]],
      [setUp, 'hangUp', [ended]],
      [setUp, 'gone', [ended]],
      [unacknowledged, 'answered', [unacknowledged]],
      [unacknowledged, 'acknowledged', [up]],
      // RFC 3261 section 15: no BYE of the callee before the ACK.
      [unacknowledged, 'hangUp', [waiting]],
      [unacknowledged, 'gone', [ended]],
      [waiting, 'acknowledged', [ended, 'bye']],
      [waiting, 'hangUp', [waiting]],
      [waiting, 'gone', [ended]],
      [up, 'answered', [up]],
      [up, 'acknowledged', [up]],
      [up, 'hangUp', [ended, 'bye']],
      [up, 'gone', [ended]],
      [ended, 'answered', [ended]],
      [ended, 'acknowledged', [ended]],
      [ended, 'hangUp', [ended]],
      [ended, 'gone', [ended]],
    ],
  ],
  [
    'B',
    [
      [setUp, 'answered', [unacknowledged]],
      [setUp, 'hangUp', [ended]],
      [setUp, 'gone', [ended]],
      [unacknowledged, 'acknowledged', [up]],
      // RFC 3261 section 13.2.2.4: the ACK of a 2xx is due in any case.
      [unacknowledged, 'hangUp', [ended, 'ack', 'bye']],
      [unacknowledged, 'gone', [ended]],
      [up, 'hangUp', [ended, 'bye']],
      [up, 'gone', [ended]],
      [ended, 'hangUp', [ended]],
    ],
  ],
])('leg %s', (side, rows) => {
  it.each(rows)('%j on %s becomes %j', (state, event, expected) => {
    expect(step(side, state, event)).toEqual(expected)
  })
})
