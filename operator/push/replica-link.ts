import type { RawData, WebSocket } from 'ws'
import { FromReplica, wireSchema, type Ack, type Bye, type Hello, type ResourceError } from '#api/wire.ts'
import { ReportSum } from '#api/report-delta.ts'
import type { Clock, Timer } from '#lib/clock.ts'
import { type Rate, TokenBucket } from '#lib/token-bucket.ts'
import type { Log } from '#lib/log.ts'
import type { Turns } from '#lib/turns.ts'
import type { Identity } from './authenticate.ts'
import { type Publication, type SharedVersions, type Versions, versionsOf } from './delta.ts'
import { Outbox } from './outbox.ts'
import { versionsAfter, type ReplicaState } from './replica-state.ts'

export interface LinkLimits {
  /** Time for the first `hello`, in milliseconds. */
  readonly helloMilliseconds: number
  /** Time for the answer to a delta, in milliseconds; sockets must be opened in it. */
  readonly ackMilliseconds: number
  /** Bytes that may wait to be sent to a replica that does not read. */
  readonly bufferedBytes: number
  /** Messages a second that a replica may send for long, and how many at once. */
  readonly messagesPerSecond: number
  readonly messagesAtOnce: number
}

export interface LinkOptions {
  readonly socket: WebSocket
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Log
  readonly limits: LinkLimits
  /** Shared by all links: large frames are sent a few at a time, since each is encrypted in memory of its own. */
  readonly largeFrames: Turns
  /** Shared by all links. */
  readonly sharedVersions: SharedVersions
  /** It said who it is and what it has. */
  readonly onHello: (link: ReplicaLink, hello: Greeting) => void
  /** Something that `state()` shows is different. */
  readonly onChange: (link: ReplicaLink) => void
  /** Runs once, however the connection ended. */
  readonly onEnd: (link: ReplicaLink) => void
}

/** What a replica says of itself; what it runs is kept apart. */
export type Greeting = Omit<Hello, 'known'>

/** What is larger waits for its turn, in bytes. Changes of a few resources never do. */
const largeFrameBytes = 32 * 1024
/** In milliseconds. */
const longestTurn = 1_000
/** A replica on a machine with too much to do may be late once; twice is four seconds. */
const missesAllowed = 2
const nothing = versionsOf([])

/** One connection of one replica: what it was told, what it said, and one delta at a time in between. */
export class ReplicaLink {
  readonly #options: LinkOptions
  readonly #log: Log
  readonly #outbox: Outbox
  readonly #rate: Rate
  readonly #bucket: TokenBucket
  readonly #connectedSince: number
  #hello: Greeting | undefined
  /** What it has been told to run; the next delta is made against this. */
  #base: Versions = nothing
  /** What it does run. */
  #versions: ReadonlyMap<string, string> = nothing.byKey
  #revision: string | null = null
  #errors: readonly ResourceError[] = []
  #refused: Ack['refused']
  readonly #reports = new ReportSum()
  #draining = false
  #newest: Publication | undefined
  #inFlight: { nonce: string; publication: Publication; timer: Timer } | undefined
  #answered: { nonce: string; publication: Publication } | undefined
  /** Pings that were not answered. */
  #missed = 0
  #timer: Timer
  /** It was told why, and nothing more is said or heard. */
  #leaving = false
  #ended = false

  constructor(options: LinkOptions) {
    this.#options = options
    this.#log = options.log
    const { socket, clock, limits } = options
    this.#outbox = new Outbox(socket)
    this.#rate = { perSecond: limits.messagesPerSecond, burst: limits.messagesAtOnce }
    this.#bucket = new TokenBucket(this.#rate, clock.now())
    this.#connectedSince = clock.wallTime()
    this.#timer = clock.after(limits.helloMilliseconds, () => this.bye('no hello came; is this an sbcfleet replica?'))
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary))
    socket.on('pong', () => (this.#missed = 0))
    socket.on('error', (error) => this.#log.warn({ error: error.message }, 'the connection of a replica failed'))
    socket.on('close', () => this.#end())
  }

  /** Who it is, without what it had then; undefined before its hello. */
  get hello(): Greeting | undefined {
    return this.#hello
  }

  get draining(): boolean {
    return this.#draining
  }

  /** Whether it can be given work: it runs something, and does not end. */
  get live(): boolean {
    return this.#hello !== undefined && this.#revision !== null && !this.#draining && !this.#ended
  }

  state(): ReplicaState {
    return {
      replica: this.#hello?.replica ?? '',
      instance: this.#hello?.instance ?? '',
      connectedSince: this.#connectedSince,
      revision: this.#revision,
      versions: this.#versions,
      errors: this.#errors,
      refused: this.#refused,
      pending: this.#inFlight !== undefined,
      draining: this.#draining,
      report: this.#reports.current,
    }
  }

  /** Brings the replica to this publication: now, or after the answer that is awaited, skipping what came in between. */
  offer(publication: Publication): void {
    this.#newest = publication
    if (this.#inFlight === undefined) this.#sendDelta()
  }

  /** `sent` is called when the message is with the kernel, or will never be. */
  send(message: Buffer, sent: () => void = () => undefined): void {
    const { socket, limits } = this.#options
    if (this.#leaving || socket.readyState !== socket.OPEN) return sent()
    if (this.#outbox.bytes > limits.bufferedBytes) {
      this.#log.warn({ replica: this.#hello?.replica }, 'a replica does not read; its connection is cut')
      socket.terminate()
      return sent()
    }
    this.#outbox.send(message, sent)
  }

  /** Says why, and closes. */
  bye(reason: string): void {
    if (this.#leaving) return
    const { socket, clock } = this.#options
    const bye: Bye = { type: 'bye', reason }
    this.send(Buffer.from(JSON.stringify(bye)), () => socket.close(1000))
    this.#leaving = true
    // A peer that never reads, or never answers the close, must not hold the socket.
    this.#timer.cancel()
    this.#timer = clock.after(5_000, () => socket.terminate())
  }

  /**
   * Called on a beat: a peer that answered none of the last two pings is gone. Not when the beat is late: then this process
   * stood still, and answers that have arrived are not read yet.
   */
  beat(isLate: boolean): void {
    if (isLate) this.#missed = 0
    // Timers come first, and answers that have arrived are read after them.
    if (this.#missed >= missesAllowed) setImmediate(() => this.#missed < missesAllowed || this.#giveUp())
    else {
      this.#missed++
      if (this.#options.socket.readyState === this.#options.socket.OPEN) this.#options.socket.ping()
    }
  }

  terminate(): void {
    this.#options.socket.terminate()
  }

  #giveUp(): void {
    this.#log.warn({ replica: this.#hello?.replica }, 'a replica does not answer; its connection is cut')
    this.#options.socket.terminate()
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#leaving || this.#options.socket.readyState !== this.#options.socket.OPEN) return
    this.#missed = 0
    if (!this.#bucket.take(this.#rate, this.#options.clock.now())) return this.#refuse('too many messages')
    if (isBinary) return this.#refuse('a binary message; messages are JSON text')
    const message = parse(data)
    if (typeof message === 'string') return this.#refuse(message)
    if (message.type === 'hello') return this.#greet(message)
    if (this.#hello === undefined) return this.#refuse(`${message.type} before hello`)
    switch (message.type) {
      case 'ack':
        return this.#acknowledge(message)
      case 'report':
        this.#reports.take(message)
        break
      case 'drain':
        this.#draining = true
        break
    }
    this.#options.onChange(this)
  }

  #refuse(reason: string): void {
    this.#log.warn({ replica: this.#hello?.replica, reason }, 'a replica sent what cannot be used')
    this.bye(reason)
  }

  /**
   * The first hello says who it is. A later one says that what it has is no longer what it was told here, since another
   * leader told it something else: what is in flight is void, and the next delta starts from what it has.
   */
  #greet(hello: Hello): void {
    const reason = this.#objection(hello)
    if (reason !== undefined) return this.#refuse(reason)
    this.#timer.cancel()
    this.#inFlight?.timer.cancel()
    this.#inFlight = undefined
    this.#answered = undefined
    this.#base = this.#options.sharedVersions.of(hello.known)
    const { known: _, ...greeting } = hello
    this.#hello = greeting
    this.#versions = this.#base.byKey
    this.#revision = hello.revision
    this.#errors = []
    this.#refused = undefined
    this.#options.onHello(this, greeting)
  }

  #objection(hello: Hello): string | undefined {
    const { identity } = this.#options
    if (hello.schema !== wireSchema) {
      return `the replica speaks version ${hello.schema} of the protocol, the control side ${wireSchema}; run the same release on both`
    }
    if (identity.fleet !== undefined && identity.fleet !== hello.fleet) {
      return `the credentials are for fleet ${identity.fleet}, not for ${hello.fleet}`
    }
    if (identity.replica !== undefined && identity.replica !== hello.replica) {
      return `the credentials are for replica ${identity.replica}, not for ${hello.replica}`
    }
    const first = this.#hello
    if (first !== undefined && (first.replica !== hello.replica || first.fleet !== hello.fleet)) {
      return `a connection is for one replica; this one was for ${first.replica} of ${first.fleet}`
    }
    return undefined
  }

  #acknowledge(ack: Ack): void {
    if (ack.nonce === this.#inFlight?.nonce) {
      this.#inFlight.timer.cancel()
      this.#answered = this.#inFlight
      this.#inFlight = undefined
      this.#take(ack, this.#answered.publication)
    } else if (ack.nonce === this.#answered?.nonce && this.#inFlight === undefined) {
      // The verdict on the same delta may change, as when a port that was in use becomes free.
      this.#take(ack, this.#answered.publication)
    } else {
      this.#log.debug({ replica: this.#hello?.replica, nonce: ack.nonce }, 'an answer to an older delta is passed over')
      return
    }
    if (this.#newest !== this.#answered?.publication) this.#sendDelta()
    this.#options.onChange(this)
  }

  #take(ack: Ack, publication: Publication): void {
    this.#refused = ack.refused
    if (ack.refused !== undefined) return
    this.#versions = versionsAfter(this.#versions, publication.versions.byKey, ack.errors)
    this.#base = publication.versions
    this.#revision = ack.revision
    this.#errors = ack.errors
  }

  #sendDelta(): void {
    const publication = this.#newest
    if (publication === undefined || this.#hello === undefined || this.#ended) return
    const { nonce, frame } = publication.deltaFrom(this.#base)
    const timer = this.#options.clock.after(this.#options.limits.ackMilliseconds, () =>
      this.#refuse('the delta was not answered in time'),
    )
    const inFlight = { nonce, publication, timer }
    this.#inFlight = inFlight
    if (frame.length <= largeFrameBytes) return this.send(frame)
    void this.#options.largeFrames.take(async () => {
      // Another hello came before its turn, or nothing more can come.
      if (this.#inFlight === inFlight && !this.#ended) await this.#sendLarge(frame)
    })
  }

  /** Settles when it is sent, or when others have waited long enough for a replica that does not read. */
  #sendLarge(frame: Buffer): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(longestTurn, resolve)
      this.send(frame, () => {
        timer.cancel()
        resolve()
      })
    })
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#timer.cancel()
    this.#inFlight?.timer.cancel()
    this.#options.onEnd(this)
  }
}

/** The message, or what is wrong with it. */
function parse(data: RawData): FromReplica | string {
  let value: unknown
  try {
    value = JSON.parse(Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data as Buffer).toString())
  } catch {
    return 'not JSON'
  }
  const result = FromReplica.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  return `not a message of the protocol: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`.slice(0, 400)
}
