import type { RegistrationReport, TargetReport } from '#api/wire.ts'
import type { CallFailure } from './monitor.ts'

/** Where a call was sent. */
export interface CallPlace {
  readonly trunk: string
  readonly target: { readonly name: string }
  readonly address: string
  readonly port: number
}

/** Where a call may be sent. */
export interface CallEndpoint {
  /** IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  /** A call failed there of late, and nobody probes it: others are better. */
  readonly isPassedOver: boolean
}

/** What the trunks' loops know about the outside world, for calls to hunt by and for the report. */
export interface TrunkHealth {
  /**
   * Endpoints of the target in the order in which one call tries them, at most 16: drawn anew each time (RFC 2782) with
   * `random`, which gives a number in [0, 1). Empty when it has not resolved yet.
   */
  endpoints(trunk: string, target: string, random: () => number): readonly CallEndpoint[]
  /** False only when keepalive, or a call of this replica, found the target down. */
  usable(trunk: string, target: string): boolean
  /** What a call met at an endpoint: undefined when it was answered, or how it failed as where nobody is. */
  observe(place: CallPlace, failure: CallFailure | undefined): void
  /** Trunks that a source address belongs to, since a target or a registrar of theirs resolves to it, with its port there. */
  trunksAt(address: string): readonly { trunk: string; host: string; port: number }[]
  /** Service-Route of a trunk's account: that of the calling number, or else the first that is registered. */
  serviceRoute(trunk: string, calling: string): readonly string[]
  targets(): TargetReport[]
  registrations(): RegistrationReport[]
  /** Something a report would show has changed. */
  onChange(listener: () => void): void
}
