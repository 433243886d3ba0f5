import type { RegistrationConfig } from '#api/snapshot.ts'
import type { RegistrationReport } from '#api/wire.ts'
import type { Timer } from '#lib/clock.ts'
import type { OpenListener } from '../config/running.ts'
import type { Outside } from './outside.ts'
import { Peer } from './peer.ts'
import { RegisterClient, type RegisterOutcome } from './register-client.ts'
import { backoffMilliseconds, refreshMilliseconds, type RegistrationFailure } from './registration.ts'

/** First REGISTERs of many accounts that start together are spread over this time. */
const firstSpreadMilliseconds = 1000
/** What could not leave is tried again soon. */
const notSentRetryMilliseconds = 1000

/** What a report shows. */
interface Standing {
  readonly state: RegistrationReport['state']
  readonly lastCode?: number | undefined
  readonly expiresAt?: number | undefined
  readonly failure?: RegistrationFailure | undefined
  readonly detail?: string | undefined
}

/** The loop around one binding, an account of a trunk at one registrar: keeps it in place until it is told to leave. */
export class Registrant {
  readonly trunk: string
  readonly peer: Peer
  readonly #outside: Outside
  /** Undefined while the listener is not open. */
  readonly #client: RegisterClient | undefined
  readonly #left = Promise.withResolvers<void>()
  #config: RegistrationConfig
  #standing: Standing = { state: 'Pending' }
  #failures = 0
  /** The registrar may hold a binding of ours. */
  #mayBeBound = false
  /** The configuration changed while an exchange was out. */
  #outdated = false
  #started = false
  #waitsForAddress = false
  #leaving = false
  #ended = false
  #next: Timer | undefined
  #lapse: Timer | undefined

  constructor(
    options: { trunk: string; config: RegistrationConfig; listener: OpenListener | undefined },
    outside: Outside,
  ) {
    const { config, listener } = options
    this.trunk = options.trunk
    this.#config = config
    this.#outside = outside
    this.peer = new Peer(config, { listener, resolution: outside.resolution, onChange: () => this.#resolved() })
    this.#client =
      listener === undefined ? undefined : new RegisterClient({ config, listener, peer: this.peer }, outside)
  }

  /** Address of record and Contact; undefined when nothing can be sent. */
  get binding(): string | undefined {
    return this.#client?.binding
  }

  /** Registers within a second, once the host has resolved. */
  start(): void {
    this.#started = true
    if (this.#client === undefined) this.#stand({ detail: `the listener ${this.#config.listener} is not open` })
    else if (this.peer.settled) this.#schedule(firstSpreadMilliseconds * this.#outside.random())
    else this.#waitsForAddress = true
  }

  /** Takes other credentials or another lifetime over, and registers with them at once. */
  follow(config: RegistrationConfig): void {
    const before = this.#config
    this.#config = config
    const same =
      config.username === before.username &&
      config.password.reveal() === before.password.reveal() &&
      config.expiresSeconds === before.expiresSeconds
    if (same) return
    this.#failures = 0
    if (!this.#started || this.#leaving) return
    if (this.#client?.busy) this.#outdated = true
    else this.#register()
  }

  /** Removes the binding, ours only, and ends. Settles when the registrar has answered, or will not. */
  leave(): Promise<void> {
    if (this.#leaving) return this.#left.promise
    this.#leaving = true
    this.#next?.cancel()
    // RFC 3261 section 10.2: "UAs MUST NOT send a new registration […] until they have received a final response from
    // the registrar for the previous one or the previous REGISTER request has timed out".
    if (!this.#client?.busy) this.#unregister()
    return this.#left.promise
  }

  /** Ends at once, leaving the binding to lapse. */
  abandon(): void {
    if (this.#ended) return
    this.#ended = true
    this.#leaving = true
    this.#client?.cancel()
    this.#next?.cancel()
    this.#lapse?.cancel()
    this.peer.stop()
    this.#left.resolve()
  }

  report(): RegistrationReport {
    const { state, lastCode, expiresAt, failure } = this.#standing
    const detail = this.#standing.detail ?? this.peer.failure
    return {
      trunk: this.trunk,
      account: this.#config.account,
      registrar: this.#config.registrar,
      state,
      ...(lastCode === undefined ? {} : { lastCode }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(failure === undefined ? {} : { failure }),
      ...(detail === undefined ? {} : { detail: detail.slice(0, 500) }),
    }
  }

  #resolved(): void {
    this.#outside.onAddresses()
    this.#outside.onChange()
    if (!this.#waitsForAddress || this.#leaving) return
    this.#waitsForAddress = false
    this.#schedule(firstSpreadMilliseconds * this.#outside.random())
  }

  #schedule(milliseconds: number): void {
    this.#next?.cancel()
    this.#next = this.#outside.clock.after(milliseconds, () => this.#register())
  }

  #register(): void {
    this.#next?.cancel()
    this.#outdated = false
    const address = this.peer.addresses[0]
    this.#waitsForAddress = address === undefined
    if (address === undefined) {
      return this.#missed('NoAnswer', this.peer.failure ?? `${this.#config.host} has not resolved yet`)
    }
    const { expiresSeconds } = this.#config
    this.#client?.register({ expiresSeconds, address, credentials: this.#config }, (outcome) => this.#settle(outcome))
  }

  #unregister(): void {
    const address = this.peer.addresses[0]
    if (!this.#mayBeBound || address === undefined || this.#client === undefined) return this.abandon()
    // RFC 3261 section 10.2.2: a Contact of its own, never "*", which would take the bindings of other replicas too.
    this.#client.register({ expiresSeconds: 0, address, credentials: this.#config }, () => this.abandon())
  }

  #settle(outcome: RegisterOutcome): void {
    if (outcome.kind === 'Accepted' || outcome.kind === 'Silent') this.#mayBeBound = true
    if (this.#leaving) return this.#unregister()
    switch (outcome.kind) {
      case 'Accepted':
        this.#accepted(outcome)
        break
      case 'Refused': {
        const { status: lastCode, refusal, detail, retryAfterSeconds } = outcome
        this.#missed(refusal.failure, detail, { lastCode, lasting: refusal.lasting, retryAfterSeconds })
        break
      }
      case 'Silent':
        this.#missed('NoAnswer', outcome.detail)
        break
      case 'NotSent':
        this.#stand({ detail: outcome.detail })
        this.#schedule(notSentRetryMilliseconds * (0.5 + this.#outside.random()))
        break
    }
    if (this.#outdated) this.#register()
  }

  #accepted({ status, grantedSeconds }: { status: number; grantedSeconds: number }): void {
    this.#lapse?.cancel()
    // RFC 3261 section 10.2.2: an interval of zero means that the binding is removed, asked for or not.
    if (grantedSeconds === 0) {
      const detail = 'the registrar accepted, but granted no time'
      return this.#missed('Rejected', detail, { lastCode: status, lasting: true })
    }
    const { clock, log } = this.#outside
    this.#failures = 0
    if (this.#standing.state !== 'Registered') log.info({ ...this.#names(), grantedSeconds }, 'registered')
    this.#standing = {
      state: 'Registered',
      lastCode: status,
      expiresAt: Math.round(clock.wallTime() + grantedSeconds * 1000),
    }
    this.#outside.onChange()
    this.#lapse = clock.after(Math.min(grantedSeconds * 1000, 2 ** 31 - 1), () => this.#lapsed())
    this.#schedule(refreshMilliseconds(grantedSeconds))
  }

  /** An attempt failed. The binding stands until it lapses, unless the registrar said that it will not have it. */
  #missed(
    failure: RegistrationFailure,
    detail: string,
    answer?: { lastCode: number; lasting: boolean; retryAfterSeconds?: number | undefined },
  ): void {
    this.#failures++
    const stands = this.#standing.state === 'Registered' && answer?.lasting !== true
    if (!stands) this.#lapse?.cancel()
    if (this.#failures === 1 || !stands) {
      this.#outside.log.warn({ ...this.#names(), failure, detail }, 'registration failed')
    }
    this.#standing = {
      state: stands ? 'Registered' : 'Unregistered',
      lastCode: answer?.lastCode,
      expiresAt: stands ? this.#standing.expiresAt : undefined,
      failure,
      detail,
    }
    this.#outside.onChange()
    this.#schedule(backoffMilliseconds(failure, this.#failures, answer?.retryAfterSeconds, this.#outside.random()))
  }

  #lapsed(): void {
    this.#outside.log.warn(this.#names(), 'the binding has lapsed')
    this.#stand({ state: 'Unregistered', expiresAt: undefined })
  }

  #stand(change: Partial<Standing>): void {
    this.#standing = { ...this.#standing, ...change }
    this.#outside.onChange()
  }

  #names() {
    return { trunk: this.trunk, account: this.#config.account, registrar: this.#config.registrar }
  }
}
