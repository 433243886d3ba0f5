import type { RegistrationReport, TargetReport } from '#api/wire.ts'
import type { CallFailure } from './monitor.ts'

/** Where a call was sent. */
export interface CallPlace {
  readonly trunk: string
  readonly target: { readonly name: string }
  readonly address: string
}

/** What the trunks' loops know about the outside world, for calls to hunt by and for the report. */
export interface TrunkHealth {
  /** Addresses of the target that calls may try, best first, at most 16. Empty when it has not resolved yet. */
  addresses(trunk: string, target: string): readonly string[]
  /** False only when keepalive, or a call of this replica, found the target down. */
  usable(trunk: string, target: string): boolean
  /** What a call met at an address: undefined when it was answered, or how it failed as where nobody is. */
  observe(place: CallPlace, failure: CallFailure | undefined): void
  /** Trunks that a source address belongs to, since a target or a registrar of theirs resolves to it, with its port. */
  trunksAt(address: string): readonly { trunk: string; port: number }[]
  /** Service-Route of a trunk's account: that of the calling number, or else the first that is registered. */
  serviceRoute(trunk: string, calling: string): readonly string[]
  targets(): TargetReport[]
  registrations(): RegistrationReport[]
  /** Something a report would show has changed. */
  onChange(listener: () => void): void
}
