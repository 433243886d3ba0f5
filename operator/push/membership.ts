import type { Clock, Timer } from '#lib/clock.ts'

export interface MembershipOptions {
  readonly clock: Clock
  /** How long a replica that was lost still counts, so that one that is started again at once gives nothing away. */
  readonly graceMilliseconds: number
  /** How long to wait at first for all replicas, so that the first to connect does not take everybody's work. */
  readonly settleMilliseconds: number
  readonly onChange: (members: readonly string[]) => void
}

/** Everybody is told of everybody, so a change costs as much as there are replicas, squared. */
const membersForFree = 20
/** After a change, changes are gathered for so long for every member beyond those, in milliseconds. */
const gatherMilliseconds = 1

/**
 * The replicas that share the work of one fleet. Work moves when this set changes, and a registration that moves is two
 * REGISTERs, so the set is slow where slowness costs nothing.
 */
export class Membership {
  readonly #options: MembershipOptions
  /** Undefined: live. A timer: lost, and forgotten when it fires. */
  readonly #replicas = new Map<string, Timer | undefined>()
  #expected = Number.POSITIVE_INFINITY
  #settling: Timer | undefined
  #settled = false
  /** Set while changes are gathered. */
  #gathering: Timer | undefined
  #current: readonly string[] = []

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  /** The members in order of their names; empty until the first set has settled. */
  get current(): readonly string[] {
    return this.#current
  }

  /** How many replicas there will be; when so many are there, nobody else is waited for. */
  expect(replicas: number): void {
    this.#expected = replicas
    this.#refresh()
  }

  join(replica: string): void {
    this.#replicas.get(replica)?.cancel()
    this.#replicas.set(replica, undefined)
    if (!this.#settled)
      this.#settling ??= this.#options.clock.after(this.#options.settleMilliseconds, () => this.#settle())
    this.#refresh()
  }

  /** The connection went away without a word: it may come back. */
  lose(replica: string): void {
    if (!this.#replicas.has(replica)) return
    this.#replicas.get(replica)?.cancel()
    this.#replicas.set(
      replica,
      this.#options.clock.after(this.#options.graceMilliseconds, () => this.leave(replica)),
    )
  }

  /** It said that it will end: its work moves now. */
  leave(replica: string): void {
    this.#replicas.get(replica)?.cancel()
    if (this.#replicas.delete(replica)) this.#refresh()
  }

  stop(): void {
    this.#settling?.cancel()
    this.#gathering?.cancel()
    for (const timer of this.#replicas.values()) timer?.cancel()
    this.#replicas.clear()
  }

  #settle(): void {
    this.#settled = true
    this.#refresh()
  }

  #refresh(): void {
    if (!this.#settled && (this.#replicas.size === 0 || this.#replicas.size < this.#expected)) return
    this.#settled = true
    this.#settling?.cancel()
    if (this.#gathering !== undefined) return
    const members = [...this.#replicas.keys()].sort()
    if (members.length === this.#current.length && members.every((member, index) => member === this.#current[index])) {
      return
    }
    this.#current = members
    this.#gather(members.length)
    this.#options.onChange(members)
  }

  #gather(members: number): void {
    const milliseconds = gatherMilliseconds * (members - membersForFree)
    if (milliseconds <= 0) return
    this.#gathering = this.#options.clock.after(milliseconds, () => {
      this.#gathering = undefined
      this.#refresh()
    })
  }
}
