import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { SipPort } from '../sip/port.ts'
import type { TrunkCounters } from './counters.ts'
import type { Pace } from './pace.ts'
import type { HostResolution } from './resolution.ts'

/** What the loops touch of the world, and whom they tell. */
export interface Outside {
  readonly sip: SipPort
  readonly clock: Clock
  readonly log: Log
  /** A number in [0, 1). */
  readonly random: () => number
  /** Unpredictable hex digits, for tags, Call-IDs and cnonces. */
  readonly token: () => string
  readonly resolution: HostResolution
  readonly counters: TrunkCounters
  /** When first probes and first REGISTERs leave, of the many that a start or a take-over brings. */
  readonly probePace: Pace
  readonly registerPace: Pace
  /** Something a report would show has changed. */
  readonly onChange: () => void
  /** The addresses of some host have changed. */
  readonly onAddresses: () => void
}
