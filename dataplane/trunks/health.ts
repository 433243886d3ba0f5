import type { RegistrationReport, TargetReport } from '#api/wire.ts'

/** What the trunks' loops know about the outside world, for calls to hunt by and for the report. */
export interface TrunkHealth {
  /** Addresses the target's host resolved to, best first, at most 16. Empty when it has not resolved yet. */
  addresses(trunk: string, target: string): readonly string[]
  /** False only when keepalive found the target down. */
  usable(trunk: string, target: string): boolean
  /** Trunks that a source address belongs to, since a target or a registrar of theirs resolves to it, with its port. */
  trunksAt(address: string): readonly { trunk: string; port: number }[]
  targets(): TargetReport[]
  registrations(): RegistrationReport[]
  /** Something a report would show has changed. */
  onChange(listener: () => void): void
}
