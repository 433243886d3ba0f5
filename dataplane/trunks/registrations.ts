import { rendezvousOwner } from '#lib/hash.ts'
import type { Timer } from '#lib/clock.ts'
import type { RegistrationConfig, TrunkConfig } from '#api/snapshot.ts'
import type { Binding, RegistrationReport } from '#api/wire.ts'
import type { OpenListener } from '../config/running.ts'
import type { Outside } from './outside.ts'
import { peerIdentity } from './peer.ts'
import { Registrant } from './registrant.ts'

/** How long a registration waits for another one of the same address of record and Contact to be removed. */
const successionMilliseconds = 5000
/** How long `stop` waits for registrars to answer. */
const stopMilliseconds = 2000
/** How long a binding that passes to another replica stays for that one to replace it. */
const handOverMilliseconds = 8000

export interface WantedRegistration {
  readonly trunk: string
  readonly config: RegistrationConfig
  readonly policy: TrunkConfig['registrationPolicy']
  readonly listener: OpenListener | undefined
}

/**
 * The registrations that this replica owns. N replicas that register the same address of record would make N bindings,
 * and forked calls, so each is registered by one: the rendezvous owner among the members. The next owner goes on with the
 * Call-ID of the one before and takes the old Contact away with the REGISTER that brings its own, so that there is one
 * binding at any time; the old one only waits until it has.
 */
export class Registrations {
  readonly #outside: Outside
  readonly #replica: string
  /** Unknown until the control side has told: as long as anybody may be the owner, nobody registers. */
  #members: readonly string[] | undefined
  readonly #owners = new Map<string, string | undefined>()
  #wanted: ReadonlyMap<string, WantedRegistration> = new Map()
  /** Keys of the registrars of an account that are taken one at a time, best first, by each of them. */
  #rivals: ReadonlyMap<string, readonly string[]> = new Map()
  readonly #registrants = new Map<string, { identity: string; registrant: Registrant }>()
  /** Another replica is to have them; they stay until it has. */
  readonly #givenAway = new Map<string, { identity: string; registrant: Registrant; limit: Timer }>()
  readonly #leaving = new Set<Registrant>()
  readonly #bindings = new Map<string, Binding>()
  /** Keys that were registered from here since the start of the process. */
  readonly #begun = new Set<string>()
  readonly #serviceRoutes = new Map<string, readonly string[]>()
  readonly #waitingForHeirs = new Set<() => void>()
  #stopped = false

  constructor(replica: string, outside: Outside) {
    this.#replica = replica
    this.#outside = outside
  }

  /** Makes it so: those that stay the same keep their state and timers. */
  apply(wanted: readonly WantedRegistration[]): void {
    this.#wanted = new Map(wanted.map((registration) => [keyOf(registration), registration]))
    const accounts = new Map<string, string[]>()
    for (const [key, { trunk, config, policy }] of this.#wanted) {
      if (policy !== 'FirstAvailable') continue
      const account = `${trunk}/${config.account}`
      accounts.set(account, [...(accounts.get(account) ?? []), key])
    }
    this.#rivals = new Map([...accounts.values()].flatMap((keys) => keys.map((key) => [key, keys] as const)))
    this.#owners.clear()
    for (const key of this.#bindings.keys()) if (!this.#wanted.has(key)) this.#bindings.delete(key)
    this.#reconcile()
  }

  setMembers(replicas: readonly string[]): void {
    this.#members = [...replicas]
    this.#owners.clear()
    this.#reconcile()
  }

  /** What is registered in the fleet, by whom. */
  learn(bindings: readonly Binding[]): void {
    for (const binding of bindings) {
      const key = `${binding.trunk}/${binding.account}/${binding.registrar}`
      if (binding.expiresAt === 0) this.#bindings.delete(key)
      else this.#bindings.set(key, binding)
      if (binding.replica !== this.#replica) this.#remember(key, binding.expiresAt === 0 ? [] : binding.serviceRoute)
      const given = this.#givenAway.get(key)
      if (given === undefined || binding.replica === this.#replica || binding.expiresAt === 0) continue
      // The heir's REGISTER has removed our Contact.
      this.#forgetGiven(key)
      given.registrant.abandon()
    }
  }

  /** Service-Route of the account of that number, or else of the first one that has any; whichever replica registered. */
  serviceRoute(trunk: string, calling: string): readonly string[] {
    if (this.#serviceRoutes.size === 0) return []
    let other: readonly string[] | undefined
    for (const [key, wanted] of this.#wanted) {
      if (wanted.trunk !== trunk) continue
      const route = this.#serviceRoutes.get(key) ?? []
      if (route.length > 0 && wanted.config.number === calling) return route
      if (route.length > 0) other ??= route
    }
    return other ?? []
  }

  /** Those that this replica owns, and those that nobody wants any more as long as the registrar may have them. */
  reports(): RegistrationReport[] {
    const reports = [...this.#registrants.values()].map(({ registrant }) => registrant.report())
    for (const { binding: _, ...report } of [...this.#leaving].map((registrant) => registrant.report())) {
      const key = `${report.trunk}/${report.account}/${report.registrar}`
      if (!this.#wanted.has(key)) reports.push({ ...report, state: 'Leaving' })
    }
    const { clock } = this.#outside
    for (const [key, { trunk, config }] of this.#wanted) {
      if (!this.#rivals.has(key) || this.#registrants.has(key) || !this.#owns(key)) continue
      const { account, registrar } = config
      reports.push({ trunk, account, registrar, state: 'Standby', since: this.#standbySince(key, clock.wallTime()) })
    }
    return reports
  }

  /** Settles when no other replica is waited for to take over what was this one's: in 3 s at most. */
  async handOver(): Promise<void> {
    const others = this.#members?.some((member) => member !== this.#replica) ?? false
    if (!others || this.#registrants.size + this.#givenAway.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#outside.clock.after(3000, resolve)
    this.#waitingForHeirs.add(resolve)
    await promise
    timer.cancel()
    this.#waitingForHeirs.delete(resolve)
  }

  /** Removes what is registered; settles within 2 s. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const key of this.#registrants.keys()) this.#retire(key)
    for (const [key, { registrant }] of this.#givenAway) {
      this.#forgetGiven(key)
      this.#see(registrant)
    }
    const timer = this.#outside.clock.after(stopMilliseconds, () => {
      for (const registrant of this.#leaving) registrant.abandon()
    })
    await Promise.all([...this.#leaving].map((registrant) => registrant.leave()))
    timer.cancel()
  }

  #standbySince(key: string, now: number): number {
    // Since the one that took the account has it.
    const ahead = this.#rivals.get(key)?.find((rival) => this.#registrants.get(rival)?.registrant.isRegistered)
    return (ahead === undefined ? undefined : this.#registrants.get(ahead)?.registrant.report().since) ?? now
  }

  #reconcile(): void {
    if (this.#stopped) return
    for (const [key, { identity }] of this.#registrants) {
      const wanted = this.#wanted.get(key)
      if (wanted === undefined || identity !== identityOf(wanted)) this.#retire(key)
      else if (!this.#owns(key)) this.#giveAway(key)
      else if (!this.#isDue(key)) this.#retire(key)
    }
    for (const key of this.#givenAway.keys()) {
      const wanted = this.#wanted.get(key)
      if (wanted === undefined || this.#owns(key)) this.#takeBack(key, wanted)
    }
    for (const [key, wanted] of this.#wanted) {
      if (!this.#owns(key) || !this.#isDue(key)) continue
      const present = this.#registrants.get(key)
      if (present === undefined) this.#begin(key, wanted)
      else present.registrant.follow(wanted.config)
    }
    this.#outside.onChange()
  }

  #owns(key: string): boolean {
    if (this.#members === undefined) return false
    // Registrars of which one is taken at a time are all with one replica, which knows how the others fare.
    const shared = this.#rivals.get(key)?.[0] ?? key
    if (!this.#owners.has(shared)) this.#owners.set(shared, rendezvousOwner(shared, this.#members))
    return this.#owners.get(shared) === this.#replica
  }

  /** Whether it is its turn: always, or when every better registrar of the account fails. */
  #isDue(key: string): boolean {
    for (const rival of this.#rivals.get(key) ?? []) {
      if (rival === key) return true
      if (this.#registrants.get(rival)?.registrant.isFailing !== true) return false
    }
    return true
  }

  #begin(key: string, wanted: WantedRegistration): void {
    const registrant = new Registrant(
      { ...wanted, inherited: this.#inherited(key) },
      { ...this.#outside, onChange: () => this.#changed(key) },
    )
    this.#registrants.set(key, { identity: identityOf(wanted), registrant })
    const { binding } = registrant
    const before = [...this.#leaving].filter((other) => binding !== undefined && other.binding === binding)
    if (before.length === 0) registrant.start()
    else void this.#succeed(key, registrant, before)
  }

  #inherited(key: string): Binding | undefined {
    const binding = this.#bindings.get(key)
    // What this replica left in an earlier life may name an address that it has no more.
    const isOurs = binding?.replica === this.#replica && this.#begun.has(key)
    this.#begun.add(key)
    return isOurs ? undefined : binding
  }

  /** How a registrar fares decides whether the next one is tried, or a worse one is left. */
  #changed(key: string): void {
    const registrant = this.#registrants.get(key)?.registrant
    if (registrant !== undefined) this.#remember(key, registrant.serviceRoute)
    const rivals = this.#rivals.get(key) ?? []
    const isWrong = rivals.some((rival) => this.#owns(rival) && this.#isDue(rival) !== this.#registrants.has(rival))
    if (isWrong) this.#reconcile()
    else this.#outside.onChange()
  }

  #remember(key: string, route: readonly string[]): void {
    if (route.length > 0) this.#serviceRoutes.set(key, route)
    else this.#serviceRoutes.delete(key)
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

  #giveAway(key: string): void {
    const { registrant, identity } = this.#registrants.get(key) ?? {}
    if (registrant === undefined || identity === undefined) return
    this.#registrants.delete(key)
    registrant.rest()
    const limit = this.#outside.clock.after(handOverMilliseconds, () => {
      this.#forgetGiven(key)
      this.#see(registrant)
    })
    this.#givenAway.set(key, { identity, registrant, limit })
  }

  /** It is this replica's again, and goes on; or nobody's, and is removed. */
  #takeBack(key: string, wanted: WantedRegistration | undefined): void {
    const given = this.#givenAway.get(key)
    if (given === undefined) return
    this.#forgetGiven(key)
    if (wanted === undefined || given.identity !== identityOf(wanted)) return this.#see(given.registrant)
    this.#registrants.set(key, given)
    given.registrant.wake()
  }

  #forgetGiven(key: string): void {
    this.#givenAway.get(key)?.limit.cancel()
    this.#givenAway.delete(key)
    if (this.#registrants.size + this.#givenAway.size === 0) for (const resolve of this.#waitingForHeirs) resolve()
  }

  #retire(key: string): void {
    const registrant = this.#registrants.get(key)?.registrant
    if (registrant === undefined) return
    this.#registrants.delete(key)
    this.#see(registrant)
  }

  /** Sees it off: its binding is removed. */
  #see(registrant: Registrant): void {
    this.#leaving.add(registrant)
    void registrant.leave().then(() => {
      this.#leaving.delete(registrant)
      if (!this.#stopped) this.#outside.onChange()
    })
  }
}

function keyOf({ trunk, config }: WantedRegistration): string {
  return `${trunk}/${config.account}/${config.registrar}`
}

/** What a binding is made of; everything else can change under it. */
function identityOf({ config, listener }: WantedRegistration): string {
  return `${config.number} ${config.contactUser} ${config.bulk} ${peerIdentity(config, listener)}`
}
