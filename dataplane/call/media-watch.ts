import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { CallMedia, Heard, Renewed, Side } from '../media/media-port.ts'
import { glareMilliseconds } from '../policy/glare.ts'
import type { OwnOutcome } from './own-request.ts'

/** What the watch asks of the call. */
export interface MediaWatchHost {
  /** Runs it; an error inside ends the call instead of getting out. */
  guard(run: () => void): void
  /** Media that an engine carries for a call that is up; undefined otherwise. */
  readonly anchoredMedia: CallMedia | undefined
  /** Somebody does not want to hear or be heard, so that silence says nothing. */
  readonly onHold: boolean
  /** What either side is to be told from now on. */
  mediaMoved(told: Readonly<Record<Side, string>>): void
  /** Sends what the side is to be told in a re-INVITE of our own; once the call has ended `done` may not be called. */
  offerMoved(side: Side, done: (outcome: OwnOutcome) => void): void
  /** The call has to end: no packet came for so long, or no engine carries its media any more. */
  mediaEnded(why: 'Silent' | 'Lost'): void
}

/** How often the engine is asked for the packets of a call, in milliseconds. */
const checkMilliseconds = 10_000
/** How long a call goes on without an engine, in milliseconds; one that is started again is soon back. */
const withoutEngineMilliseconds = 10_000
/** While nobody can carry the media it is tried again so often, in milliseconds. */
const againMilliseconds = 1_000
/**
 * How long the peers may refuse to hear where their media goes now, or leave an offer open meanwhile, in milliseconds: Timer
 * B of RFC 3261.
 */
const untoldMilliseconds = 32_000
/** Calls of an engine that is lost move one after the other, so many milliseconds apart. */
const spreadMilliseconds = 10
const mostSpreadMilliseconds = 10_000

interface Move {
  readonly begunAt: number
  readonly untold: Set<Side>
}

/**
 * Watches the media of one call at its engine. A call whose engine died or has forgotten it is moved: another one gets what
 * was agreed, and both sides are told by re-INVITE where their media goes now. A call that cannot be moved, or in which
 * nobody was heard for too long (feature item 29.6: "media timeout → BYE"), is ended: never does one side talk into the void.
 */
export class MediaWatch {
  readonly #host: MediaWatchHost
  readonly #clock: Clock
  readonly #random: () => number
  readonly #log: Log
  #timeoutMilliseconds: number | undefined
  /** Packets that had come at the last look, and when there were more than before. */
  #packets = -1
  #heardAt = 0
  #next: Timer | undefined
  #move: Move | undefined
  #running = false

  constructor(host: MediaWatchHost, services: { clock: Clock; random: () => number; log: Log }) {
    this.#host = host
    this.#clock = services.clock
    this.#random = services.random
    this.#log = services.log
  }

  /** The call is up. Without `timeoutSeconds`, or with 0, silence is no reason to end it. */
  start(timeoutSeconds: number | undefined): void {
    this.#timeoutMilliseconds = timeoutSeconds ? timeoutSeconds * 1000 : undefined
    this.#running = true
    this.#heardAt = this.#clock.now()
    this.#after(this.#interval() * this.#random(), () => this.#check())
  }

  stop(): void {
    this.#running = false
    this.#next?.cancel()
  }

  /** The engine does not answer any more, and neither does it the calls beside this one. */
  engineDown(calls: number): void {
    if (!this.#running || this.#move !== undefined) return
    this.#begin(this.#random() * Math.min(calls * spreadMilliseconds, mostSpreadMilliseconds))
  }

  #interval(): number {
    return Math.min(checkMilliseconds, this.#timeoutMilliseconds ?? checkMilliseconds)
  }

  #after(milliseconds: number, run: () => void): void {
    this.#next?.cancel()
    this.#next = this.#clock.after(milliseconds, () => this.#host.guard(run))
  }

  #check(): void {
    const media = this.#host.anchoredMedia
    if (media === undefined) return this.#after(this.#interval(), () => this.#check())
    media.heard((heard) => {
      if (this.#running && this.#move === undefined) this.#host.guard(() => this.#checked(heard))
    })
  }

  #checked(heard: Heard): void {
    const now = this.#clock.now()
    const packets = heard.kind === 'Gone' ? this.#packets : (heard.packets ?? this.#packets)
    if (packets !== this.#packets || this.#host.onHold) this.#heardAt = now
    this.#packets = packets
    const left = this.#heardAt + (this.#timeoutMilliseconds ?? Infinity) - now
    if (left <= 0) return this.#host.mediaEnded('Silent')
    if (heard.kind === 'Gone') return this.#begin(0)
    this.#after(Math.min(left, this.#interval()), () => this.#check())
  }

  #begin(delay: number): void {
    this.#move = { begunAt: this.#clock.now(), untold: new Set(['A', 'B']) }
    this.#after(delay, () => this.#renew())
  }

  #renew(): void {
    const media = this.#host.anchoredMedia
    const move = this.#move
    if (move === undefined) return
    // Not before the ACK, and not while an offer of a peer is open: its answer may move the call, too.
    if (media === undefined) return this.#after(againMilliseconds, () => this.#renew())
    media.heard(({ kind }) => {
      if (!this.#running) return
      if (kind === 'Packets') this.#host.guard(() => this.#moved())
      else if (kind === 'Unknown') this.#host.guard(() => this.#renewAgain(move, untoldMilliseconds))
      else media.renew((renewed) => this.#running && this.#host.guard(() => this.#renewed(move, media, renewed)))
    })
  }

  #renewed(move: Move, media: CallMedia, renewed: Renewed): void {
    if (!renewed.ok) return this.#renewAgain(move)
    this.#log.info({ engine: media.engine }, 'the media of a call was moved')
    this.#host.mediaMoved(renewed.told)
    this.#tell(move)
  }

  #renewAgain({ begunAt }: Move, patience = withoutEngineMilliseconds): void {
    if (this.#clock.now() - begunAt >= patience) return this.#host.mediaEnded('Lost')
    this.#after(againMilliseconds, () => this.#renew())
  }

  #tell(move: Move): void {
    const [side] = move.untold
    if (side === undefined) return this.#moved()
    this.#host.offerMoved(side, (outcome) => this.#running && this.#told(move, side, outcome))
  }

  #told(move: Move, side: Side, outcome: OwnOutcome): void {
    switch (outcome.kind) {
      case 'Answered':
        move.untold.delete(side)
        return this.#tell(move)
      case 'Lost':
        return
      case 'LongerInterval':
        return this.#tell(move)
      case 'Glare':
        return this.#tellAgain(move, glareMilliseconds(side, this.#random))
      case 'Busy':
        return this.#tellAgain(move, glareMilliseconds('B', this.#random))
      case 'NotAllowed':
        return this.#host.mediaEnded('Lost')
      case 'Refused': {
        const { retryAfterMilliseconds } = outcome
        if (retryAfterMilliseconds === undefined) return this.#host.mediaEnded('Lost')
        return this.#tellAgain(move, retryAfterMilliseconds)
      }
    }
  }

  #tellAgain(move: Move, milliseconds: number): void {
    if (this.#clock.now() + milliseconds - move.begunAt >= untoldMilliseconds) return this.#host.mediaEnded('Lost')
    this.#after(milliseconds, () => this.#tell(move))
  }

  #moved(): void {
    this.#move = undefined
    // The engine counts anew; a silence goes on.
    this.#packets = 0
    this.#after(this.#interval(), () => this.#check())
  }
}
