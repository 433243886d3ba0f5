import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { TrunkConfig } from '#api/snapshot.ts'
import type { Clock } from '#lib/clock.ts'
import { type Log, OncePerSecond } from '#lib/log.ts'
import type { OpenListener, Running, RunningConfig } from '../config/running.ts'
import type { Uri } from '../engine/message/uri.ts'
import { DigestServer } from '../digest/digest-server.ts'
import { AdmissionControl, admissionRetryAfter } from '../policy/admission.ts'
import { type CallRequest, decide } from '../policy/decide.ts'
import type { EnginePool } from '../media/engine-pool.ts'
import { findInboundTrunk } from '../policy/inbound-trunk.ts'
import { refuseReliability } from '../policy/reliable-provisionals.ts'
import { numberOf } from '../policy/registered-contact.ts'
import type { HeaderList, IncomingRequest, SipPort } from '../sip/port.ts'
import type { TrunkHealth } from '../trunks/health.ts'
import { Call, type CallServices } from './call.ts'
import type { CallEvents, CallRecord } from './call-record.ts'
import { CallTable } from './call-table.ts'
import { allow, supportedExtensions } from './header-relay.ts'
import { callingNumber, plainUser } from './identity-headers.ts'
import { checkInvite, checkTimer } from './invite-checks.ts'
import type { ChallengeResult } from './trunk-credentials.ts'

export interface CallsOptions {
  readonly sip: SipPort
  /** What carries media that is anchored. Absent: nothing does, and calls that need it get 503. */
  readonly engines?: Pick<EnginePool, 'choose'>
  readonly running: Running
  readonly health: TrunkHealth
  readonly clock: Clock
  readonly log: Log
  /** A number in [0, 1). */
  readonly random: () => number
  readonly events?: CallEvents
}

/** Seconds after which a caller may try again here, once this replica takes no new calls. */
const drainRetryAfter = '10'

/** The B2BUA: takes every request, makes calls of INVITEs, and gives requests inside a call to it. */
export class Calls {
  readonly #options: CallsOptions
  readonly #services: CallServices
  readonly #table: CallTable<Call>
  readonly #countListeners = new Set<(count: number) => void>()
  /** Calls by trunk they were sent to, for hunting in turn. */
  readonly #turns = new Map<string, number>()
  readonly #admission: AdmissionControl
  readonly #digest: DigestServer
  readonly #oncePerSecond: OncePerSecond
  #refusing = false

  constructor(options: CallsOptions) {
    this.#options = options
    this.#oncePerSecond = new OncePerSecond(options.clock)
    this.#digest = new DigestServer(options.clock)
    this.#table = new CallTable(() => {
      for (const listener of this.#countListeners) listener(this.count)
    })
    this.#admission = new AdmissionControl({
      ...{ from: (trunk) => this.#table.countFrom(trunk), to: (trunk) => this.#table.countTo(trunk) },
      all: () => this.#table.count,
    })
    this.#services = {
      ...options,
      engines: options.engines ?? { choose: () => [] },
      events: options.events ?? {},
      table: this.#table,
      admitsTo: (call, trunk, config) => this.#admitsTo(call, trunk, config),
      onChallenge: (trunk, result, why) => this.#challenged(trunk, result, why),
    }
  }

  start(): void {
    const { sip } = this.#options
    sip.onRequest((request) => this.#guard(request))
    sip.onDialogLost((dialogId, reason) => this.#table.byDialog(dialogId)?.onDialogLost(dialogId, reason))
    sip.onDisconnect?.(() => {
      for (const call of this.#table) call.guard(() => call.drop('the SIP server went away'))
    })
  }

  /** Calls that are set up, are up, or are ending. */
  get count(): number {
    return this.#table.count
  }

  list(): CallRecord[] {
    return [...this.#table].map((call) => call.record)
  }

  onCountChange(listener: (count: number) => void): void {
    this.#countListeners.add(listener)
  }

  /** From here on new calls and OPTIONS get 503; calls that are there go on. */
  refuseNewCalls(): void {
    this.#refusing = true
  }

  /** Ends every call, and resolves when the last one is gone: no more than 32 s later, the time a BYE may take. */
  endAll(reason: string): Promise<void> {
    for (const call of this.#table) call.hangUp(reason, 503)
    if (this.count === 0) return Promise.resolve()
    return new Promise((resolve) => this.onCountChange((count) => count === 0 && resolve()))
  }

  /** Nothing a request brings may take the replica down. */
  #guard(request: IncomingRequest): void {
    try {
      this.#receive(request)
    } catch (error) {
      const { method, source, message } = request
      const { callId } = message
      this.#oncePerSecond.run(`failed ${method}`, (heldBack) =>
        this.#options.log.error({ method, source, callId, error, heldBack }, 'a request failed inside the fleet'),
      )
      request.respond(500)
    }
  }

  #receive(request: IncomingRequest): void {
    const { method, dialogId } = request
    if (dialogId !== undefined) return this.#receiveInDialog(request, dialogId)
    if (method === 'ACK') return
    const config = this.#options.running.current
    if (config === undefined) return request.respond(503, { headers: [['Retry-After', drainRetryAfter]] })
    if (request.message.toTag !== '') return this.#receiveStray(request, config)
    const listener = listenerOf(request, config)
    if (listener === undefined) return this.#ignore(request, 'it came in on no open listener')
    if (method === 'INVITE') return this.#receiveInvite(request, listener, config)
    const { trunk, because } = findInboundTrunk(sourceOf(request, listener), config, this.#options.health)
    if (trunk === undefined) return this.#ignore(request, because)
    if (method === 'OPTIONS') return this.#answerOptions(request)
    request.respond(405, { headers: [['Allow', allow]] })
  }

  /**
   * RFC 3261 section 12.2.2: a request with a To tag that matches no dialog gets 481, which the engine answers by itself. A
   * server that lets it through may take it for one inside a dialog, and not say which listener it came in on.
   */
  #receiveStray(request: IncomingRequest, config: RunningConfig): void {
    const listener = listenerOf(request, config)
    const isOfPeer = (on: OpenListener) =>
      findInboundTrunk(sourceOf(request, on), config, this.#options.health).trunk !== undefined
    const possible = request.receivedOn === undefined ? [...config.listeners.values()] : []
    if ((listener === undefined ? possible : [listener]).some(isOfPeer)) request.respond(481)
    else this.#ignore(request, 'it belongs to no dialog and no trunk')
  }

  #receiveInDialog(request: IncomingRequest, dialogId: string): void {
    const call = this.#table.byDialog(dialogId)
    if (call !== undefined) call.guard(() => call.onRequest(request, dialogId))
    else if (request.method !== 'ACK') request.respond(481)
  }

  #receiveInvite(invite: IncomingRequest, listener: OpenListener, config: RunningConfig): void {
    const { health, random } = this.#options
    const check = checkInvite(invite.message)
    const called = check.ok ? dialled(check.called, config) : undefined
    const request = callRequest(invite, check.ok ? check.called : undefined, called, listener)
    const found = findInboundTrunk(request.source, config, health)
    if (found.trunk === undefined) return this.#ignore(invite, found.because)
    if (this.#refusing) return invite.respond(503, { headers: [['Retry-After', drainRetryAfter]] })
    // RFC 3261 section 8.2: requests are processed "starting with authentication", so that nobody else learns of routes.
    const proof = this.#authenticate(invite, found.trunk)
    if (proof === undefined) return
    const origin = { ...found, because: `${found.because}${proof}` }
    const turn = (trunk: string) => this.#turn(trunk)
    const { verdict, because } = decide(request, config, health, { random, turn, origin })
    this.#options.log.debug({ callId: invite.message.callId, verdict: verdict.kind, because }, 'decided')
    if (!check.ok) return invite.respond(check.status, { headers: check.headers })
    if (verdict.kind === 'Ignore') return this.#ignore(invite, because.join('; '))
    if (verdict.kind === 'Reject') return invite.respond(verdict.status, { headers: refusalHeaders(verdict.errors) })
    if (!this.#admits(invite, verdict.trunk, config))
      return invite.respond(503, { headers: [['Retry-After', admissionRetryAfter]] })
    const { sessionTimer, reliable1xx } = verdict.inbound
    const refusal = refuseReliability(invite.message, reliable1xx) ?? checkTimer(invite.message, sessionTimer)
    if (refusal !== undefined) return invite.respond(refusal.status, { headers: refusal.headers })
    new Call({ invite, called: called ?? check.called, verdict, because, listener, config }, this.#services).start()
  }

  /** What it has proved, as a phrase to go on with; undefined when its trunk wants more, and it has been answered. */
  #authenticate(invite: IncomingRequest, { name, authentication }: TrunkConfig): string | undefined {
    if (authentication === undefined) return ''
    const verdict = this.#digest.verify(invite, authentication)
    this.#options.events?.authenticated?.(name, verdict.proof)
    if (verdict.proof === 'Accepted') return ` and has the password of user ${verdict.user}`
    invite.respond(verdict.status, { headers: verdict.headers })
    const { proof, why } = verdict
    if (why === undefined) return undefined
    const source = `${invite.source.address}:${invite.source.port}`
    this.#oncePerSecond.run(`authentication ${name}`, (heldBack) =>
      this.#options.log.warn({ trunk: name, source, proof, why, heldBack }, 'a call was not authenticated'),
    )
    return undefined
  }

  /** Feature item 29.3: the call after the last that there may be gets 503, and those before it go on. */
  #admits({ message: { callId } }: IncomingRequest, { name, admission }: TrunkConfig, fleet: RunningConfig): boolean {
    const refusal = this.#admission.refusalFrom(name, admission, fleet.admission, this.#options.clock.now())
    if (refusal !== undefined) this.#notAdmitted(name, 'inbound', { callId, refusal })
    return refusal === undefined
  }

  /** Whether the call may be sent to the trunk. Once it was, every target of the trunk may have it. */
  #admitsTo(call: Call, trunk: string, config: RunningConfig): boolean {
    if (this.#table.sentTo(call) === trunk) return true
    const limits = config.trunks.get(trunk)?.admission
    const refusal = this.#admission.refusalTo(trunk, limits, this.#options.clock.now())
    if (refusal !== undefined) this.#notAdmitted(trunk, 'outbound', { call: call.id, refusal })
    else this.#table.send(call, trunk)
    return refusal === undefined
  }

  #notAdmitted(trunk: string, direction: 'inbound' | 'outbound', fields: object): void {
    this.#options.events?.notAdmitted?.(trunk, direction)
    this.#oncePerSecond.run(`admission ${direction} ${trunk}`, (heldBack) =>
      this.#options.log.warn({ trunk, direction, ...fields, heldBack }, 'a call was one more than there may be'),
    )
  }

  #challenged(trunk: string, result: ChallengeResult, why: string | undefined): void {
    this.#options.events?.challenged?.(trunk, result)
    if (why === undefined) return
    this.#oncePerSecond.run(`challenge ${trunk}`, (heldBack) =>
      this.#options.log.warn({ trunk, why, heldBack }, 'a challenge to a request of a call was not answered'),
    )
  }

  #turn(trunk: string): number {
    const turn = this.#turns.get(trunk) ?? 0
    this.#turns.set(trunk, (turn + 1) % Number.MAX_SAFE_INTEGER)
    return turn
  }

  /** RFC 3261 section 11.2; peers use it as keepalive, and a replica that drains wants none of their calls. */
  #answerOptions(request: IncomingRequest): void {
    if (this.#refusing) return request.respond(503, { headers: [['Retry-After', drainRetryAfter]] })
    request.respond(200, { headers: capabilities })
  }

  /**
   * No answer, and nothing louder than debug: whoever it is may send a lot of them. The engine lets no stranger in, so
   * that this happens only when a trunk has just been removed, or with a server that asks nobody. An INVITE has got its
   * 100 by then, and would wait for ever.
   */
  #ignore(request: IncomingRequest, because: string): void {
    const { method, source } = request
    this.#options.log.debug({ method, source, because }, 'ignored')
    if (method === 'INVITE') request.respond(403)
  }
}

/** RFC 3261 section 20.33, and RFC 3326 section 2 for the cause. */
function refusalHeaders(errors: ResolvedSipBehaviour['errors'] | undefined): HeaderList {
  const { retryAfterSeconds, reasonQ850 } = errors ?? {}
  return [
    ...(retryAfterSeconds === undefined ? [] : [['Retry-After', String(retryAfterSeconds)] as const]),
    ...(reasonQ850 === undefined ? [] : [['Reason', `Q.850;cause=${reasonQ850}`] as const]),
  ]
}

const capabilities: HeaderList = [
  ['Allow', allow],
  ['Accept', 'application/sdp'],
  ['Supported', supportedExtensions.join(', ')],
]

function listenerOf({ receivedOn, source }: IncomingRequest, config: RunningConfig): OpenListener | undefined {
  for (const listener of config.listeners.values()) {
    const { address, port } = listener.bound ?? listener
    if (address !== receivedOn?.address || port !== receivedOn.port) continue
    if ((listener.transport === 'UDP') === (source.transport === 'UDP')) return listener
  }
  return undefined
}

function sourceOf({ source }: IncomingRequest, listener: OpenListener) {
  return { address: source.address, port: source.port, listener: listener.name }
}

/** Where a call came to a Contact that hides the number, the number. */
function dialled(uri: Uri, { contacts }: RunningConfig): Uri {
  const number = contacts.size === 0 ? uri.user : numberOf(contacts, uri.user)
  return number === uri.user ? uri : { ...uri, user: number }
}

function callRequest(
  invite: IncomingRequest,
  contact: Uri | undefined,
  called: Uri | undefined,
  listener: OpenListener,
): CallRequest {
  return {
    source: { ...sourceOf(invite, listener), ...(contact === undefined ? {} : { user: contact.user }) },
    called: called === undefined ? '' : dialledNumber(called),
    calling: callingNumber(invite.message),
    maxForwards: invite.message.get('Max-Forwards'),
  }
}

/** RFC 3966 section 5.1.1: the visual separators of a tel: URI mean nothing. */
function dialledNumber(uri: Uri): string {
  const number = plainUser(uri)
  return uri.scheme === 'tel' ? number.replace(/[-.()]/g, '') : number
}
