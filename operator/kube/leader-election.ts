import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import { isConflict, isNotFound } from './api-error.ts'
import type { KubeClient } from './client.ts'
import type { KubeMetrics } from './metrics.ts'
import { microTime } from './micro-time.ts'
import { pause } from './pause.ts'
import type { KubeObject, ObjectName, Resource } from './resource.ts'

export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

export const leases: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
}

export interface LeaderElectionOptions {
  readonly api: Pick<KubeClient, 'get' | 'create' | 'replace'>
  /** The Lease that candidates compete for. */
  readonly lease: ObjectName
  /** Who we are. Must be another one after each start of the process, as the pod's name and something random. */
  readonly identity: string
  /** We are the leader from now on. Also called when the epoch has grown while we are. */
  readonly onElected: (epoch: number) => void
  /** We are no longer the leader, though nobody asked us to stop. */
  readonly onLost: () => void
  readonly clock: Clock
  readonly log: Log
  readonly metrics: KubeMetrics
  /** 0 to 1. */
  readonly random?: () => number
  /** How long others wait for a leader that is silent, in seconds. */
  readonly leaseSeconds?: number
  /** How long a leader tries to renew before it takes itself for lost, in seconds; less than `leaseSeconds`. */
  readonly renewSeconds?: number
  /** How often candidates look and the leader renews, in seconds. */
  readonly retrySeconds?: number
}

const defaults = { random: Math.random, leaseSeconds: 15, renewSeconds: 10, retrySeconds: 2 }

/**
 * Makes one of several processes the leader, by a Lease. The epoch is the number of times that the Lease changed hands:
 * what a leader does under an epoch can be refused once a higher one was seen, whatever an old leader still believes.
 * Clocks are never compared between machines: a Lease is stale when it was not seen to change for its whole duration.
 */
export class LeaderElection {
  readonly #options: Required<LeaderElectionOptions>
  readonly #stop = new AbortController()
  readonly #log: Log
  #running: Promise<void> | undefined
  /** The Lease as it was last seen, and when it was first seen so. */
  #seen: { lease: Lease; at: number } | undefined
  /** Set while we lead. `renewedAt` is when we began the request that renewed it: its holding counts from there at the latest. */
  #leading: { epoch: number; renewedAt: number; deadline: Timer } | undefined
  /** The highest number of transitions that was seen, in the Lease or one of its name before. */
  #highestEpoch = -1
  #lowestEpoch = 0

  constructor(options: LeaderElectionOptions) {
    this.#options = { ...defaults, ...options }
    this.#log = options.log.child({ lease: options.lease.name, identity: options.identity })
    options.metrics.leader.compute({ name: options.lease.name }, () => (this.epoch === undefined ? 0 : 1))
  }

  /** Our epoch while we are the leader, else undefined. Right even when timers are late: it looks at the clock. */
  get epoch(): number | undefined {
    const { clock, renewSeconds } = this.#options
    if (this.#leading === undefined || clock.now() - this.#leading.renewedAt >= renewSeconds * 1000) return undefined
    return this.#leading.epoch
  }

  /** Who holds the Lease, as far as we know; empty when nobody does. */
  get holder(): string {
    return this.#seen?.lease.spec?.holderIdentity ?? ''
  }

  /**
   * Our epoch must be above this one, which someone has seen: at the next renewal it is. Without this, a Lease that was
   * deleted and begun anew would leave a leader whom everybody refuses.
   */
  exceed(epoch: number): void {
    this.#lowestEpoch = Math.max(this.#lowestEpoch, epoch + 1)
  }

  /** Competes until `stop`. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Stops competing, and gives the Lease away if we hold it, so that another one need not wait. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopping'))
    await this.#running
    if (this.#leading === undefined) return
    this.#leading.deadline.cancel()
    this.#leading = undefined
    await this.#within(this.#options.retrySeconds * 1000, (signal) => this.#release(signal)).catch((error: unknown) =>
      this.#log.warn({ err: error }, 'the Lease could not be given away; it will expire'),
    )
  }

  async #run(): Promise<void> {
    const { clock, renewSeconds } = this.#options
    while (!this.#stop.signal.aborted) {
      const began = clock.now()
      const patience = renewSeconds * 1000 - (this.#leading === undefined ? 0 : began - this.#leading.renewedAt)
      try {
        const held = await this.#within(patience, (signal) => this.#acquireOrRenew(signal))
        if (held !== undefined) this.#hold(held, began)
        else if (this.#leading !== undefined && this.#isTaken()) this.#lose('another one holds the Lease')
      } catch (error) {
        // What we had seen may be old; the next try reads it anew.
        if (this.#leading !== undefined) this.#seen = undefined
        if (!this.#stop.signal.aborted) this.#log.warn({ err: error }, 'the Lease could not be read or renewed')
      }
      await pause(clock, this.#nextTry(), this.#stop.signal)
    }
  }

  /** The Lease if it is ours now. */
  async #acquireOrRenew(signal: AbortSignal): Promise<Lease | undefined> {
    const { api, lease: name, clock, identity } = this.#options
    // A leader knows its Lease; everybody else looks.
    let seen = this.#leading === undefined ? undefined : this.#seen
    try {
      seen ??= this.#see(await api.get(leases, name, signal))
    } catch (error) {
      if (!isNotFound(error)) throw error
      return this.#write(this.#highestEpoch + 1, {}, (lease) => api.create(leases, lease, { signal }))
    }
    const { lease, at } = seen
    const { holderIdentity = '', leaseDurationSeconds = 0, leaseTransitions = 0, acquireTime } = lease.spec ?? {}
    const isOurs = holderIdentity === identity
    if (!isOurs && holderIdentity !== '' && clock.now() - at < leaseDurationSeconds * 1000) return undefined
    const { resourceVersion } = lease.metadata
    return this.#write(
      isOurs ? leaseTransitions : leaseTransitions + 1,
      {
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
        ...(isOurs && acquireTime !== undefined ? { acquireTime } : {}),
      },
      (wanted) => api.replace(leases, wanted, signal),
    )
  }

  async #write(
    transitions: number,
    { resourceVersion, acquireTime }: { resourceVersion?: string; acquireTime?: string },
    send: (lease: Lease) => Promise<Lease>,
  ): Promise<Lease | undefined> {
    const { lease, identity, leaseSeconds, clock } = this.#options
    const now = microTime(clock.wallTime())
    try {
      const written = await send({
        metadata: metadataOf(lease, resourceVersion),
        spec: {
          holderIdentity: identity,
          leaseDurationSeconds: leaseSeconds,
          acquireTime: acquireTime ?? now,
          renewTime: now,
          leaseTransitions: Math.max(transitions, this.#lowestEpoch),
        },
      })
      this.#see(written)
      return written
    } catch (error) {
      if (!isConflict(error)) throw error
      // Another one was faster; the next try reads what it wrote.
      this.#seen = this.#leading === undefined ? this.#seen : undefined
      return undefined
    }
  }

  #see(lease: Lease): { lease: Lease; at: number } {
    const isNews = this.#seen?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion
    this.#seen = { lease, at: isNews || this.#seen === undefined ? this.#options.clock.now() : this.#seen.at }
    this.#highestEpoch = Math.max(this.#highestEpoch, lease.spec?.leaseTransitions ?? 0)
    return this.#seen
  }

  #hold(lease: Lease, renewedAt: number): void {
    const { clock, renewSeconds, onElected } = this.#options
    const epoch = lease.spec?.leaseTransitions ?? 0
    const before = this.#leading
    before?.deadline.cancel()
    const left = renewSeconds * 1000 - (clock.now() - renewedAt)
    const deadline = clock.after(left, () => this.#lose('the Lease was not renewed in time'))
    this.#leading = { epoch, renewedAt, deadline }
    if (before?.epoch === epoch) return
    this.#log.info({ epoch }, before === undefined ? 'elected as the leader' : 'leading under a higher epoch')
    this.#guarded(() => onElected(epoch))
  }

  #isTaken(): boolean {
    return this.#seen !== undefined && this.holder !== '' && this.holder !== this.#options.identity
  }

  #lose(reason: string): void {
    this.#leading?.deadline.cancel()
    this.#leading = undefined
    this.#log.error({ reason }, 'no longer the leader')
    this.#guarded(() => this.#options.onLost())
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#log.error({ err: error }, 'a change of the leader could not be handled')
    }
  }

  /** Candidates spread out, and the one that waits for a Lease to expire comes right then. */
  #nextTry(): number {
    const { clock, random, retrySeconds } = this.#options
    if (this.#leading !== undefined) return retrySeconds * 1000
    const usual = retrySeconds * 1000 * (1 + 0.1 * random())
    const { leaseDurationSeconds = 0 } = this.#seen?.lease.spec ?? {}
    if (this.#seen === undefined || !this.#isTaken()) return usual
    const expiry = this.#seen.at + leaseDurationSeconds * 1000 - clock.now()
    return expiry > 0 ? Math.min(usual, expiry) : usual
  }

  async #release(signal: AbortSignal): Promise<void> {
    const { api, lease: name, clock, identity } = this.#options
    const lease = await api.get(leases, name, signal)
    if (lease.spec?.holderIdentity !== identity) return
    const now = microTime(clock.wallTime())
    await api.replace(
      leases,
      {
        metadata: metadataOf(name, lease.metadata.resourceVersion),
        spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now },
      },
      signal,
    )
  }

  /** Aborts the work after so many milliseconds, and when we stop, except for the very last work. */
  async #within<R>(milliseconds: number, work: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const abort = new AbortController()
    const isLast = this.#stop.signal.aborted
    const stop = () => abort.abort(this.#stop.signal.reason)
    const timer = this.#options.clock.after(milliseconds, () => abort.abort(new Error('the API server is too slow')))
    if (!isLast) this.#stop.signal.addEventListener('abort', stop, { once: true })
    try {
      return await work(abort.signal)
    } finally {
      timer.cancel()
      this.#stop.signal.removeEventListener('abort', stop)
    }
  }
}

function metadataOf({ namespace, name }: ObjectName, resourceVersion: string | undefined) {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  }
}
