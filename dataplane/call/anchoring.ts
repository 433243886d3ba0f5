import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { AnchoredMedia } from '../media/anchored-media.ts'
import type { EnginePool } from '../media/engine-pool.ts'
import { MediaGate, type MediaGateHost } from '../media/media-gate.ts'
import type { CallMedia, Side, Uncarried } from '../media/media-port.ts'
import { isOnHold } from '../policy/media-change.ts'
import type { IncomingRequest, SipPort } from '../sip/port.ts'
import type { Leg } from './leg.ts'
import { MediaWatch, type MediaWatchHost } from './media-watch.ts'
import type { OwnOutcome } from './own-request.ts'
import { hideOrigin } from './sdp-origin.ts'

/** What anchored media asks of the call. */
export interface AnchoringHost extends MediaGateHost {
  readonly id: string
  readonly invite: IncomingRequest
  leg(side: Side): Leg | undefined
  /** Sends a re-INVITE with what the leg is to be told; once the call has ended `done` may not be called. */
  offer(leg: Leg, done: (outcome: OwnOutcome) => void): void
  mediaEnded(why: 'Silent' | 'Lost'): void
}

interface Services {
  readonly sip: SipPort
  readonly engines: Pick<EnginePool, 'choose'>
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
}

/** Media of a call that goes through an engine: the gate before the call, a session for each target, and the watch. */
export class Anchoring implements MediaWatchHost {
  readonly #host: AnchoringHost
  readonly #services: Services
  readonly #gate: MediaGate
  readonly #watch: MediaWatch
  #sessions = 0

  constructor(host: AnchoringHost, services: Services) {
    this.#host = host
    this.#services = services
    this.#gate = new MediaGate(host, services.sip)
    this.#watch = new MediaWatch(this, services)
  }

  /** The call sends through this. */
  get port(): SipPort {
    return this.#gate.port
  }

  get engine(): string | undefined {
    return this.#gate.engine
  }

  /** Another target is tried; `anchored` says whether its media goes through an engine. */
  anchor(anchored: boolean): void {
    for (const leg of this.#legs) leg.origin = { ...leg.origin, anchored }
    if (!anchored) return this.#gate.anchor(undefined)
    const { engines: pool, log } = this.#services
    const { callId } = this.#host.invite.message
    const session = `${this.#host.id}-${this.#sessions++}`
    const onDown = (calls: number) => this.#watch.engineDown(calls)
    this.#gate.anchor(new AnchoredMedia({ pool, callId, session, log, onDown }))
  }

  /** Carries the caller's offer; a failure when it cannot be. */
  carryOffer(done: (offer: SipMessage | Uncarried) => void): void {
    this.#gate.offer(this.#host.invite.message, done)
  }

  receive(from: Side, request: IncomingRequest, run: (request: IncomingRequest) => void): void {
    this.#gate.receive(from, request, run)
  }

  /** The call is answered. */
  answered(): void {
    if (this.#gate.media === undefined) return
    const times = this.#legs.map(({ sip }) => sip.media.timeoutSeconds ?? 0).filter((seconds) => seconds > 0)
    this.#watch.start(times.length === 0 ? undefined : Math.min(...times))
  }

  /** The call is over. */
  release(): void {
    this.#watch.stop()
    this.#gate.release()
  }

  // What the watch asks for.

  get anchoredMedia(): CallMedia | undefined {
    return this.#legs.every(({ state }) => state.at === 'up') ? this.#gate.media : undefined
  }

  get onHold(): boolean {
    return this.#legs.some(({ origin }) => isOnHold(origin.rest))
  }

  guard(run: () => void): void {
    this.#host.guard(run)
  }

  mediaMoved(told: Readonly<Record<Side, string>>): void {
    for (const leg of this.#legs) {
      const { origin } = hideOrigin(told[leg.side], leg.origin, leg.listener.address)
      leg.origin = { ...origin, carried: origin.rest }
    }
  }

  offerMoved(side: Side, done: (outcome: OwnOutcome) => void): void {
    const leg = this.#host.leg(side)
    if (leg !== undefined) this.#host.offer(leg, done)
  }

  mediaEnded(why: 'Silent' | 'Lost'): void {
    this.#host.mediaEnded(why)
  }

  get #legs(): Leg[] {
    return (['A', 'B'] as const).map((side) => this.#host.leg(side)).filter((leg) => leg !== undefined)
  }
}
