import type { Admission } from '#api/admission.ts'
import type { ListenerConfig, MediaEngineConfig, Resource, TrunkConfig } from '#api/snapshot.ts'
import type { ContactTable } from '../policy/registered-contact.ts'
import type { RouteTable } from '../policy/route-table.ts'
import type { SourceTable } from '../policy/source-blocks.ts'

/** A listener with the socket it got. */
export interface OpenListener extends ListenerConfig {
  /** IP address or name that peers are told in Contact. IPv6 without brackets. */
  readonly address: string
  /** Port that peers are told in Contact. */
  readonly port: number
  /** What is bound, where peers are told something else. */
  readonly bound?: { readonly address: string; readonly port: number }
}

/**
 * One configuration, whole and immutable, with what calls look up in it. A call takes `running.current` at its INVITE
 * and uses that to its end.
 */
export interface RunningConfig {
  readonly fleet: string
  readonly revision: string
  readonly resources: ReadonlyMap<string, Resource>
  readonly listeners: ReadonlyMap<string, OpenListener>
  readonly trunks: ReadonlyMap<string, TrunkConfig>
  /** Who may call from where; made by `compileSources(trunks.values())`. */
  readonly sources: SourceTable
  /** Engines that carry media, by name. */
  readonly mediaEngines: ReadonlyMap<string, MediaEngineConfig>
  /** Accounts by the Contact they are registered with; made by `compileContacts(trunks.values())`. */
  readonly contacts: ContactTable
  /** How many calls there may be, of all trunks together; absent: any number. */
  readonly admission?: Admission | undefined
  /** Made by `compileRoutes(routes)`. */
  readonly routes: RouteTable
}

/** The one reference that is swapped. Undefined before the first configuration. */
export interface Running {
  readonly current: RunningConfig | undefined
  onChange(listener: (next: RunningConfig, previous: RunningConfig | undefined) => void): void
}
