import type { Log } from '#lib/log.ts'
import { SerialQueue } from '#lib/queue.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import type { EnginePool, MediaEngine } from './engine-pool.ts'
import type { CallMedia, Carried, OnCarried, Side } from './media-port.ts'
import type { NgFields, NgReply } from './ng-client.ts'
import { descriptionIn, withoutAddressesOf } from './session-description.ts'

export interface AnchoredMediaOptions {
  readonly pool: EnginePool
  /** Call-ID of the caller, which chooses the engine. */
  readonly callId: string
  /** Name of the session at the engine; no two sessions have the same. */
  readonly session: string
  readonly log: Log
}

/** What both sides said in one exchange, in the peers' own words. */
interface Agreement {
  readonly from: Side
  readonly offer: string
  readonly answer: string
}

/** The offer that was carried last, and the answer to it that was, if one was. */
interface Exchange {
  readonly from: Side
  readonly offer: string
  answer: string | undefined
  /** The answer as it was carried, so that one that is repeated costs nothing. */
  carriedAnswer: string | undefined
}

/**
 * Media of one call that runs through an engine: every description is given to it, and what it makes of it goes out. The
 * engine knows the two sides as tags, so that nothing of the peers' dialogs gets there.
 */
export class AnchoredMedia implements CallMedia {
  readonly anchored = true
  readonly #options: AnchoredMediaOptions
  readonly #queue = new SerialQueue(Number.POSITIVE_INFINITY)
  #engine: MediaEngine | undefined
  #leave: (() => void) | undefined
  #exchange: Exchange | undefined
  #agreement: Agreement | undefined
  #released = false

  constructor(options: AnchoredMediaOptions) {
    this.#options = options
  }

  offer(from: Side, message: SipMessage, done: OnCarried): void {
    this.#enqueue(done, (over) => {
      const sdp = descriptionIn(message)
      if (sdp === undefined) over(nothing)
      else this.#offer(from, sdp, over)
    })
  }

  answer(from: Side, message: SipMessage, done: OnCarried): void {
    this.#enqueue(done, (over) => {
      const sdp = descriptionIn(message)
      if (sdp === undefined) over(nothing)
      else this.#answer(from, sdp, over)
    })
  }

  withdraw(): void {
    this.#enqueue(ignore, (over) => {
      const agreement = this.#agreement
      const exchange = this.#exchange
      if (exchange === undefined || exchange.answer !== undefined) return over(nothing)
      this.#exchange = undefined
      if (agreement === undefined) return over(nothing)
      this.#offer(agreement.from, agreement.offer, (offered) => {
        if (!offered.ok) return over(offered)
        this.#answer(otherOf(agreement.from), agreement.answer, over)
      })
    })
  }

  agreed(side: Side): string | undefined {
    const agreement = this.#agreement
    return agreement?.from === side ? agreement.offer : agreement?.answer
  }

  answerHere(from: Side, offer: string, as: string, done: OnCarried): void {
    this.#enqueue(done, (over) => {
      const other = otherOf(from)
      const said = this.agreed(other)
      this.#offer(from, offer, (offered) => {
        if (!offered.ok) return over(offered)
        this.#answer(other, as, (answered) => {
          // What the other side has agreed to is what it said itself.
          if (answered.ok && said !== undefined) this.#agreement = { from, offer, answer: said }
          over(answered)
        })
      })
    })
  }

  offerHere(to: Side, done: OnCarried): void {
    this.#enqueue(done, (over) => {
      const from = otherOf(to)
      const said = this.agreed(from)
      if (said === undefined)
        return over({ ok: false, status: 500, reason: 'nothing was agreed on that could be offered' })
      this.#offer(from, said, over)
    })
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    // After what is asked now: the engine must not learn of the call again when it is told to forget it.
    this.#queue.push((done) => {
      this.#delete()
      done()
    })
  }

  #enqueue(done: OnCarried, run: (over: OnCarried) => void): void {
    this.#queue.push((next) => {
      const over = (carried: Carried) => {
        next()
        done(this.#released && carried.ok ? gone : carried)
      }
      if (this.#released) over(gone)
      else run(over)
    })
  }

  #offer(from: Side, sdp: string, done: OnCarried): void {
    const inDialog = this.#agreement !== undefined || this.#exchange !== undefined
    const tags = { 'from-tag': from, ...(inDialog && { 'to-tag': otherOf(from) }) }
    this.#askAny('offer', { ...tags, sdp }, (reply) => {
      const carried = this.#carried(sdp, reply)
      if (carried.ok) this.#exchange = { from, offer: sdp, answer: undefined, carriedAnswer: undefined }
      done(carried)
    })
  }

  #answer(from: Side, sdp: string, done: OnCarried): void {
    const exchange = this.#exchange
    if (exchange === undefined || exchange.from === from) {
      return done({ ok: false, status: 500, reason: 'an answer without an offer' })
    }
    if (exchange.answer === sdp) return done({ ok: true, sdp: exchange.carriedAnswer })
    this.#ask('answer', { 'from-tag': exchange.from, 'to-tag': from, sdp }, (reply) => {
      const carried = this.#carried(sdp, reply)
      if (carried.ok) {
        exchange.answer = sdp
        exchange.carriedAnswer = carried.sdp
        this.#agreement = { from: exchange.from, offer: exchange.offer, answer: sdp }
      }
      done(carried)
    })
  }

  /** An offer tells an engine all it needs, so that another one can take it where the call's own does not live. */
  #askAny(command: string, fields: NgFields, done: (reply: NgReply) => void): void {
    const preferred = this.#options.pool.choose(this.#options.callId)
    const own = this.#engine
    const candidates = own?.up === true ? [own, ...preferred.filter((engine) => engine !== own)] : preferred
    const next = (index: number) => {
      const engine = candidates[index]
      if (engine === undefined) return done({ ok: false, cause: 'Refused', reason: 'no media engine is up' })
      this.#join(engine)
      this.#ask(command, fields, (reply) => {
        if (reply.ok || reply.cause === 'Error') done(reply)
        else next(index + 1)
      })
    }
    next(0)
  }

  #ask(command: string, fields: NgFields, done: (reply: NgReply) => void): void {
    if (this.#engine === undefined) return done({ ok: false, cause: 'Refused', reason: 'no media engine was chosen' })
    this.#engine.request(command, { ...flags, ...fields, 'call-id': this.#options.session }, done)
  }

  #join(engine: MediaEngine): void {
    if (engine === this.#engine) return
    this.#delete()
    this.#engine = engine
    this.#leave = engine.join()
  }

  #delete(): void {
    const { session, log } = this.#options
    const leave = this.#leave
    const engine = this.#engine
    this.#engine = undefined
    engine?.request('delete', { 'call-id': session, 'delete-delay': 0 }, (reply) => {
      leave?.()
      if (!reply.ok) log.info({ session, engine: engine.name, cause: reply.reason }, 'a media session was not deleted')
    })
  }

  #carried(sdp: string, reply: NgReply): Carried {
    if (reply.ok) {
      const { sdp: ours } = reply.fields
      if (typeof ours === 'string') return { ok: true, sdp: withoutAddressesOf(sdp, ours) }
      return { ok: false, status: 500, reason: 'the media engine gave no description back' }
    }
    this.#options.log.warn({ session: this.#options.session, cause: reply.reason }, 'media could not be anchored')
    const { cause, reason } = reply
    return {
      ok: false,
      status: cause === 'Refused' ? 503 : cause === 'Error' && /pars/i.test(reason) ? 488 : 500,
      reason,
    }
  }
}

/**
 * Nothing of either peer stays in a description, ICE included (feature item 29.6). Ports are kept when the peer changes its
 * own, so that a description that says the same to the other side is the same.
 */
const flags: NgFields = {
  replace: ['origin', 'session-connection'],
  ICE: 'remove',
  flags: ['port-latching'],
}

const nothing: Carried = { ok: true, sdp: undefined }
const gone: Carried = { ok: false, status: 500, reason: 'the call is over' }

function ignore(): void {}

function otherOf(side: Side): Side {
  return side === 'A' ? 'B' : 'A'
}
