import type { RegistrationConfig } from '#api/snapshot.ts'
import type { RegistrationReport } from '#api/wire.ts'
import type { Timer } from '#lib/clock.ts'
import type { OpenListener } from '../config/running.ts'
import type { Outside } from './outside.ts'
import { Peer } from './peer.ts'
import { type Inherited, RegisterClient, type RegisterOutcome } from './register-client.ts'
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
  readonly serviceRoute?: readonly string[] | undefined
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
  #since: number
  #reported: Standing['state'] = 'Pending'
  #failures = 0
  /** The registrar may hold a binding of ours. */
  #mayBeBound = false
  /** The configuration changed while an exchange was out. */
  #outdated = false
  #started = false
  #waitsForAddress = false
  #leaving = false
  #isResting = false
  #ended = false
  #next: Timer | undefined
  #lapse: Timer | undefined

  constructor(
    options: {
      trunk: string
      config: RegistrationConfig
      listener: OpenListener | undefined
      /** What another replica left at the registrar. */
      inherited?: Inherited | undefined
    },
    outside: Outside,
  ) {
    const { config, listener } = options
    this.trunk = options.trunk
    this.#config = config
    this.#outside = outside
    this.#since = outside.clock.wallTime()
    this.peer = new Peer(config, { ...outside, listener, onChange: () => this.#resolved() })
    this.#client =
      listener === undefined
        ? undefined
        : new RegisterClient({ config, listener, peer: this.peer, inherited: options.inherited }, outside)
  }

  /** Address of record and Contact; undefined when nothing can be sent. */
  get binding(): string | undefined {
    return this.#client?.binding
  }

  /** Route that calls of the account take (RFC 3608); empty while it is not registered. */
  get serviceRoute(): readonly string[] {
    return this.#standing.state === 'Registered' ? (this.#standing.serviceRoute ?? []) : []
  }

  /** Whether the registrar takes the account now: as far as is known it does. */
  get isFailing(): boolean {
    return this.#standing.failure !== undefined
  }

  get isRegistered(): boolean {
    return this.#standing.state === 'Registered' && !this.isFailing
  }

  /** Registers soon, once the host has resolved: within a second unless many start. */
  start(): void {
    this.#started = true
    if (this.#client === undefined) this.#stand({ detail: `the listener ${this.#config.listener} is not open` })
    else if (this.peer.settled) this.#scheduleFirst()
    else this.#waitsForAddress = true
  }

  /** Takes other credentials or another lifetime over, and registers with them at once. */
  follow(config: RegistrationConfig): void {
    const before = this.#config
    this.#config = config
    const same =
      config.username === before.username &&
      config.password.reveal() === before.password.reveal() &&
      config.realm === before.realm &&
      config.expiresSeconds === before.expiresSeconds
    if (same) return
    this.#failures = 0
    if (!this.#started || this.#leaving) return
    if (this.#client?.busy) this.#outdated = true
    else this.#register()
  }

  /** Sends nothing more; what is registered stays as it is. */
  rest(): void {
    this.#next?.cancel()
    this.#waitsForAddress = false
    this.#isResting = true
  }

  /** Goes on after a rest: what is registered is refreshed soon. */
  wake(): void {
    this.#isResting = false
    if (this.#client?.busy !== true) this.#scheduleFirst()
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
    const { state, lastCode, expiresAt, failure, serviceRoute = [] } = this.#standing
    const registered = state === 'Registered' ? this.#client?.registered : undefined
    const detail = this.#standing.detail ?? this.peer.failure
    return {
      trunk: this.trunk,
      account: this.#config.account,
      registrar: this.#config.registrar,
      state,
      since: this.#since,
      ...(lastCode === undefined ? {} : { lastCode }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(failure === undefined ? {} : { failure }),
      ...(detail === undefined ? {} : { detail: detail.slice(0, 500) }),
      ...(registered === undefined || expiresAt === undefined
        ? {}
        : { binding: { ...registered, expiresAt, serviceRoute: serviceRoute.slice(0, 10) } }),
    }
  }

  #resolved(): void {
    this.#outside.onAddresses()
    this.#outside.onChange()
    if (!this.#waitsForAddress || this.#leaving) return
    this.#waitsForAddress = false
    this.#scheduleFirst()
  }

  #scheduleFirst(): void {
    this.#schedule(this.#outside.registerPace.next() + firstSpreadMilliseconds * this.#outside.random())
  }

  #schedule(milliseconds: number): void {
    this.#next?.cancel()
    if (this.#isResting) return
    this.#next = this.#outside.clock.after(milliseconds, () => this.#register())
  }

  #register(): void {
    this.#next?.cancel()
    this.#outdated = false
    this.#waitsForAddress = this.peer.endpoints.length === 0
    if (this.#waitsForAddress) {
      return this.#missed('NameNotResolved', this.peer.failure ?? `${this.#config.host} has not resolved yet`)
    }
    const { expiresSeconds } = this.#config
    this.#client?.register({ expiresSeconds, credentials: this.#config }, (outcome) => this.#settle(outcome))
  }

  #unregister(): void {
    if (!this.#mayBeBound) return this.abandon()
    // RFC 3261 section 10.2.2: a Contact of its own, never "*", which would take the bindings of other replicas too.
    const isOut = this.#client?.register({ expiresSeconds: 0, credentials: this.#config }, () => this.abandon())
    if (isOut !== true) this.abandon()
  }

  #settle(outcome: RegisterOutcome): void {
    this.#outside.counters.registers[outcome.kind]++
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
        this.#missed(outcome.failure ?? 'NoAnswer', outcome.detail)
        break
      case 'NotSent':
        this.#stand({ detail: outcome.detail })
        this.#schedule(notSentRetryMilliseconds * (0.5 + this.#outside.random()))
        break
    }
    if (this.#outdated && !this.#isResting) this.#register()
  }

  #accepted({ status, grantedSeconds, detail, serviceRoute }: RegisterOutcome & { kind: 'Accepted' }): void {
    this.#lapse?.cancel()
    // RFC 3261 section 10.2.2: an interval of zero means that the binding is removed, asked for or not.
    if (grantedSeconds === 0) {
      return this.#missed('Rejected', detail, { lastCode: status, lasting: true })
    }
    const { clock, log } = this.#outside
    this.#failures = 0
    if (this.#standing.state !== 'Registered') log.info({ ...this.#names(), grantedSeconds }, 'registered')
    const expiresAt = Math.round(clock.wallTime() + grantedSeconds * 1000)
    this.#standing = { state: 'Registered', lastCode: status, expiresAt, serviceRoute }
    this.#tell()
    this.#lapse = clock.after(Math.min(grantedSeconds * 1000, 2 ** 31 - 1), () => this.#lapsed())
    this.#schedule(refreshMilliseconds(grantedSeconds, this.#config.refreshPercent))
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
      serviceRoute: stands ? this.#standing.serviceRoute : undefined,
    }
    const { retry } = this.#config
    this.#schedule(
      backoffMilliseconds(failure, this.#failures, answer?.retryAfterSeconds, this.#outside.random(), retry),
    )
    this.#tell()
  }

  #lapsed(): void {
    this.#outside.log.warn(this.#names(), 'the binding has lapsed')
    this.#stand({ state: 'Unregistered', expiresAt: undefined })
  }

  #stand(change: Partial<Standing>): void {
    this.#standing = { ...this.#standing, ...change }
    this.#tell()
  }

  #tell(): void {
    const { state } = this.#standing
    if (state !== this.#reported) this.#since = this.#outside.clock.wallTime()
    this.#reported = state
    this.#outside.onChange()
  }

  #names() {
    return { trunk: this.trunk, account: this.#config.account, registrar: this.#config.registrar }
  }
}
