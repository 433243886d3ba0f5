import type { Log } from '#lib/log.ts'
import { SerialQueue } from '#lib/queue.ts'
import type { EnginePool, MediaEngine } from './engine-pool.ts'
import type { CallMedia, Carried, Heard, OnCarried, Renewed, Side, Uncarried } from './media-port.ts'
import type { NgFields, NgReply } from './ng-client.ts'
import { withoutAddresses } from './session-description.ts'

export interface AnchoredMediaOptions {
  readonly pool: Pick<EnginePool, 'choose'>
  /** Call-ID of the caller, which chooses the engine. */
  readonly callId: string
  /** Name of the session at the engine; no two sessions have the same. */
  readonly session: string
  readonly log: Log
  /** The engine that has the call does not answer any more, and so many calls are at it. */
  readonly onDown: (calls: number) => void
}

/** What both sides said in one exchange, in the peers' own words. */
interface Agreement {
  readonly from: Side
  readonly offer: string
  readonly answer: string
}

/** A description of a peer, and what it became. */
interface Crossed {
  readonly said: string
  readonly carried: string
}

/**
 * Media of one call that runs through an engine: every description is given to it, and what it makes of it goes out. The
 * engine knows the two sides as tags, so that nothing of the peers' dialogs gets there.
 */
export class AnchoredMedia implements CallMedia {
  readonly #options: AnchoredMediaOptions
  readonly #queue = new SerialQueue(Number.POSITIVE_INFINITY)
  readonly #crossed: { A: Crossed | undefined; B: Crossed | undefined } = { A: undefined, B: undefined }
  #engine: MediaEngine | undefined
  /** The engine that both sides were told of. An offer that came to nothing may have moved the call away from it. */
  #home: MediaEngine | undefined
  #leave: (() => void) | undefined
  /** The offer that has no answer yet. */
  #pending: { readonly from: Side; readonly offer: string } | undefined
  #agreed: Agreement | undefined
  /** What was agreed before the last offer. */
  #before: Agreement | undefined
  #released = false

  constructor(options: AnchoredMediaOptions) {
    this.#options = options
  }

  get engine(): string | undefined {
    return this.#engine?.name
  }

  offer(from: Side, sdp: string, done: OnCarried): void {
    this.#enqueue(done, (over) => {
      this.#before = this.#agreed
      if (sdp.length > longest) return over(tooLong)
      this.#offer(from, sdp, over)
    })
  }

  answer(from: Side, sdp: string, done: OnCarried): void {
    this.#enqueue(done, (over) => {
      if (sdp.length > longest) return over(tooLong)
      const crossed = this.#crossed[from]
      const agreed = this.#agreed
      if (this.#pending !== undefined) this.#answer(from, sdp, (carried) => over(this.#atHome(carried)))
      else if (crossed?.said === sdp) over({ ok: true, sdp: crossed.carried })
      else if (agreed === undefined) over({ ok: false, status: 500, reason: 'an answer without an offer' })
      else this.#answerAnew(from, sdp, agreed, over)
    })
  }

  withdraw(): void {
    this.#enqueue(ignore, (over) => {
      const wanted = this.#pending === undefined ? this.#before : this.#agreed
      this.#pending = undefined
      if (wanted === undefined) return over(gone)
      this.#before = undefined
      this.#exchange(wanted, over)
    })
  }

  settle(): void {
    this.#enqueue(ignore, (over) => {
      const pending = this.#pending
      if (pending === undefined || this.#agreed === undefined) return over(gone)
      const other = otherOf(pending.from)
      this.#answer(other, wordsOf(this.#agreed, other), (carried) => {
        // Nobody answers it any more: what was agreed before can still be given to another engine.
        if (!carried.ok) this.#pending = undefined
        over(carried)
      })
    })
  }

  heard(done: (heard: Heard) => void): void {
    const engine = this.#engine
    if (engine === undefined || this.#agreed === undefined) return done({ kind: 'Unknown' })
    const open = this.#pending !== undefined
    if (!engine.up || (!open && engine !== this.#home)) return done({ kind: open ? 'Unknown' : 'Gone' })
    engine.request('query', { 'call-id': this.#options.session }, (reply) => {
      if (engine !== this.#engine) return done({ kind: 'Unknown' })
      const packets = reply.ok ? { packets: packetsIn(reply.fields) } : {}
      if (open || this.#pending !== undefined) done({ kind: 'Unknown', ...packets })
      else done(reply.ok ? { kind: 'Packets', packets: packetsIn(reply.fields) } : { kind: 'Gone' })
    })
  }

  renew(done: (renewed: Renewed) => void): void {
    this.#enqueue(ignore, (over) => {
      const agreed = this.#agreed
      const end = (carried: Carried) => {
        const { A, B } = this.#crossed
        over(carried)
        if (!carried.ok) done(carried)
        else if (A !== undefined && B !== undefined) done({ ok: true, told: { A: B.carried, B: A.carried } })
      }
      if (agreed === undefined || this.#pending !== undefined) return end(open)
      this.#exchange(agreed, (carried) => {
        // What was offered to an engine that has died since is no offer of a peer.
        if (!carried.ok) this.#pending = undefined
        end(this.#atHome(carried))
      })
    })
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    // After what is asked now: the engine must not learn of the call again when it was told to forget it.
    this.#queue.push((done) => {
      this.#delete()
      done()
    })
  }

  #atHome(carried: Carried): Carried {
    if (carried.ok) this.#home = this.#engine
    return carried
  }

  #enqueue(done: OnCarried, run: (over: OnCarried) => void): void {
    this.#queue.push((next) => {
      const over = (carried: Carried) => {
        next()
        done(this.#released ? gone : carried)
      }
      if (this.#released) over(gone)
      else run(over)
    })
  }

  #offer(from: Side, sdp: string, done: OnCarried): void {
    const known = this.#pending !== undefined || this.#agreed !== undefined
    const tags = { 'from-tag': from, ...(known && { 'to-tag': otherOf(from) }) }
    this.#askAny('offer', { ...tags, sdp }, (reply) => {
      const carried = this.#carried(from, sdp, reply)
      if (carried.ok) this.#pending = { from, offer: sdp }
      done(carried)
    })
  }

  /** Answers the pending offer, which must be the other side's. */
  #answer(from: Side, sdp: string, done: OnCarried): void {
    const offer = this.#pending
    if (offer === undefined || offer.from === from) {
      return done({ ok: false, status: 500, reason: 'an answer to an own offer' })
    }
    this.#ask('answer', { 'from-tag': offer.from, 'to-tag': from, sdp }, (reply) => {
      const carried = this.#carried(from, sdp, reply)
      if (carried.ok) {
        this.#agreed = { ...offer, answer: sdp }
        this.#pending = undefined
      }
      done(carried)
    })
  }

  /** A side says something new to an offer that was answered, or to one that repeats what was agreed. */
  #answerAnew(from: Side, sdp: string, agreed: Agreement, done: OnCarried): void {
    const other = otherOf(from)
    this.#exchange({ from: other, offer: wordsOf(agreed, other), answer: sdp }, done)
  }

  #exchange({ from, offer, answer }: Agreement, done: OnCarried): void {
    this.#offer(from, offer, (carried) => {
      if (carried.ok) this.#answer(otherOf(from), answer, done)
      else done(carried)
    })
  }

  /** An offer tells an engine all it needs, so that another one can take it where the call's own does not live. */
  #askAny(command: string, fields: NgFields, done: (reply: NgReply) => void): void {
    const preferred = this.#options.pool.choose(this.#options.callId)
    const own = this.#engine
    const candidates = own?.up === true ? [own, ...preferred.filter((engine) => engine !== own)] : preferred
    const next = (index: number) => {
      const engine = candidates[index]
      if (engine === undefined) return done(noEngine)
      this.#join(engine)
      this.#ask(command, fields, (reply) => {
        if (reply.ok || reply.cause === 'Error') done(reply)
        else next(index + 1)
      })
    }
    next(0)
  }

  #ask(command: string, fields: NgFields, done: (reply: NgReply) => void): void {
    if (this.#engine === undefined) return done(noEngine)
    this.#engine.request(command, { ...flags, ...fields, 'call-id': this.#options.session }, done)
  }

  #join(engine: MediaEngine): void {
    if (engine === this.#engine) return
    this.#delete()
    this.#engine = engine
    this.#leave = engine.join(this.#options.onDown)
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

  #carried(from: Side, said: string, reply: NgReply): Carried {
    if (reply.ok) {
      const { sdp } = reply.fields
      if (typeof sdp === 'string') {
        const carried = withoutAddresses(sdp)
        this.#crossed[from] = { said, carried }
        return { ok: true, sdp: carried }
      }
      return { ok: false, status: 500, reason: 'the media engine gave no description back' }
    }
    this.#options.log.warn({ session: this.#options.session, cause: reply.reason }, 'media could not be anchored')
    const { cause, reason } = reply
    if (reply === noEngine) return { ok: false, status: 503, reason }
    // The engine says "Failed to parse SDP" and the like.
    return { ok: false, status: cause === 'Error' && /pars/i.test(reason) ? 488 : 500, reason }
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

/** Characters; a datagram to the engine holds 64 KiB, and a description of a telephone has one or two. */
const longest = 16_384

const tooLong: Carried = { ok: false, status: 488, reason: `a description of more than ${longest} characters` }
const noEngine: NgReply = { ok: false, cause: 'Refused', reason: 'no media engine is up' }
const open: Uncarried = { ok: false, status: 503, reason: 'an offer has no answer yet' }
const gone: Carried = { ok: false, status: 500, reason: 'the call is over' }

function ignore(): void {}

/** The totals of a `query`. */
function packetsIn({ totals }: NgFields): number {
  const { RTP, RTCP } = (totals ?? {}) as { RTP?: NgFields; RTCP?: NgFields }
  return Number(RTP?.['packets'] ?? 0) + Number(RTCP?.['packets'] ?? 0)
}

/** What that side has said in it. */
function wordsOf({ from, offer, answer }: Agreement, side: Side): string {
  return from === side ? offer : answer
}

function otherOf(side: Side): Side {
  return side === 'A' ? 'B' : 'A'
}
