import { rendezvousOwner } from '#lib/hash.ts'
import type { RegistrationConfig } from '#api/snapshot.ts'
import type { RegistrationReport } from '#api/wire.ts'
import type { OpenListener } from '../config/running.ts'
import type { Outside } from './outside.ts'
import { peerIdentity } from './peer.ts'
import { Registrant } from './registrant.ts'

/** How long a registration waits for another one of the same address of record and Contact to be removed. */
const successionMilliseconds = 5000
/** How long `stop` waits for registrars to answer. */
const stopMilliseconds = 2000

export interface WantedRegistration {
  readonly trunk: string
  readonly config: RegistrationConfig
  readonly listener: OpenListener | undefined
}

/**
 * The registrations that this replica owns. N replicas that register the same address of record would make N bindings,
 * and forked calls, so each is registered by one: the rendezvous owner of `trunk/account/registrar` among the members.
 * One that changes hands is registered by the new owner with its own Contact and removed by the old one with its own.
 */
export class Registrations {
  readonly #outside: Outside
  readonly #replica: string
  /** Unknown until the control side has told: as long as anybody may be the owner, nobody registers. */
  #members: readonly string[] | undefined
  readonly #owners = new Map<string, string | undefined>()
  #wanted: ReadonlyMap<string, WantedRegistration> = new Map()
  readonly #registrants = new Map<string, { identity: string; registrant: Registrant }>()
  readonly #leaving = new Set<Registrant>()
  #stopped = false

  constructor(replica: string, outside: Outside) {
    this.#replica = replica
    this.#outside = outside
  }

  /** Makes it so: those that stay the same keep their state and timers. */
  apply(wanted: readonly WantedRegistration[]): void {
    this.#wanted = new Map(
      wanted.map((registration) => {
        const { account, registrar } = registration.config
        return [`${registration.trunk}/${account}/${registrar}`, registration]
      }),
    )
    for (const key of this.#owners.keys()) if (!this.#wanted.has(key)) this.#owners.delete(key)
    this.#reconcile()
  }

  setMembers(replicas: readonly string[]): void {
    this.#members = [...replicas]
    this.#owners.clear()
    this.#reconcile()
  }

  reports(): RegistrationReport[] {
    return [...this.#registrants.values()].map(({ registrant }) => registrant.report())
  }

  /** Removes what is registered; settles within 2 s. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const key of this.#registrants.keys()) this.#retire(key)
    const timer = this.#outside.clock.after(stopMilliseconds, () => {
      for (const registrant of this.#leaving) registrant.abandon()
    })
    await Promise.all([...this.#leaving].map((registrant) => registrant.leave()))
    timer.cancel()
  }

  #reconcile(): void {
    if (this.#stopped) return
    for (const [key, { identity }] of this.#registrants) {
      const wanted = this.#wanted.get(key)
      if (wanted === undefined || identity !== identityOf(wanted) || !this.#owns(key)) this.#retire(key)
    }
    for (const [key, wanted] of this.#wanted) {
      if (!this.#owns(key)) continue
      const present = this.#registrants.get(key)
      if (present === undefined) this.#begin(key, wanted)
      else present.registrant.follow(wanted.config)
    }
    this.#outside.onChange()
  }

  #owns(key: string): boolean {
    if (this.#members === undefined) return false
    if (!this.#owners.has(key)) this.#owners.set(key, rendezvousOwner(key, this.#members))
    return this.#owners.get(key) === this.#replica
  }

  #begin(key: string, wanted: WantedRegistration): void {
    const registrant = new Registrant(wanted, this.#outside)
    this.#registrants.set(key, { identity: identityOf(wanted), registrant })
    const { binding } = registrant
    const before = [...this.#leaving].filter((other) => binding !== undefined && other.binding === binding)
    if (before.length === 0) registrant.start()
    else void this.#succeed(key, registrant, before)
  }

  /** The removal of the same binding must not overtake its registration (RFC 3261 section 10.3, step 7). */
  async #succeed(key: string, registrant: Registrant, before: readonly Registrant[]): Promise<void> {
    const timer = this.#outside.clock.after(successionMilliseconds, () => {
      for (const other of before) other.abandon()
    })
    await Promise.all(before.map((other) => other.leave()))
    timer.cancel()
    if (this.#registrants.get(key)?.registrant === registrant) registrant.start()
  }

  #retire(key: string): void {
    const registrant = this.#registrants.get(key)?.registrant
    if (registrant === undefined) return
    this.#registrants.delete(key)
    this.#leaving.add(registrant)
    void registrant.leave().then(() => this.#leaving.delete(registrant))
  }
}

/** What a binding is made of; everything else can change under it. */
function identityOf({ config, listener }: WantedRegistration): string {
  return `${config.number} ${peerIdentity(config, listener)}`
}
