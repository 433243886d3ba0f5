import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns'
import type { Clock, Timer } from '#lib/clock.ts'
import { bdecode, bencode, type Bencodable } from './bencode.ts'

export type NgFields = { readonly [key: string]: Bencodable }

/** What became of a request. `Silent`: no answer in time. `Refused`: nobody listens there, or its name is unknown. */
export type NgReply =
  | { readonly ok: true; readonly fields: NgFields }
  | { readonly ok: false; readonly cause: 'Error' | 'Silent' | 'Refused' | 'Closed'; readonly reason: string }

/**
 * When a request is sent again, and at last given up, in milliseconds since it was sent first. An engine answers a
 * repeated cookie with the answer it gave, so that nothing is done twice.
 */
const repeatAt = [100, 300, 700, 1_500]

interface Pending {
  readonly packet: Buffer
  readonly done: (reply: NgReply) => void
  timer: Timer | undefined
  sent: number
}

/** Speaks rtpengine's ng protocol over UDP to one engine: a cookie, a space, and a bencoded dictionary. */
export class NgClient {
  readonly #host: string
  readonly #port: number
  readonly #clock: Clock
  readonly #cookiePrefix: string
  readonly #pending = new Map<string, Pending>()
  #count = 0
  #socket: Socket | undefined
  #connected = false
  #closed = false

  /** `cookiePrefix` tells this client's requests from those of every other client of the engine. */
  constructor(options: { host: string; port: number; clock: Clock; cookiePrefix: string }) {
    this.#host = options.host
    this.#port = options.port
    this.#clock = options.clock
    this.#cookiePrefix = options.cookiePrefix
  }

  /** Requests that wait for their answer. */
  get pending(): number {
    return this.#pending.size
  }

  /** `done` is called once, never before this returns; after 1.5 s at the latest. */
  request(command: string, fields: NgFields, done: (reply: NgReply) => void): void {
    if (this.#closed) return queueMicrotask(() => done(closed))
    const cookie = `${this.#cookiePrefix}${(this.#count++).toString(36)}`
    const packet = Buffer.concat([Buffer.from(`${cookie} `), bencode({ ...fields, command })])
    const pending: Pending = { packet, done, timer: undefined, sent: this.#clock.now() }
    this.#pending.set(cookie, pending)
    if (this.#socket === undefined) this.#open()
    this.#send(packet)
    this.#repeat(cookie, pending, 0)
  }

  close(): void {
    this.#closed = true
    this.#drop()
    this.#failAll(closed)
  }

  #repeat(cookie: string, pending: Pending, index: number): void {
    const due = (repeatAt[index] ?? 0) - (this.#clock.now() - pending.sent)
    pending.timer = this.#clock.after(due, () => {
      if (index + 1 >= repeatAt.length) {
        this.#pending.delete(cookie)
        // The name may stand for another address by now, so the next request begins anew.
        if (this.#pending.size === 0) this.#drop()
        return pending.done(silent)
      }
      this.#send(pending.packet)
      this.#repeat(cookie, pending, index + 1)
    })
  }

  #send(packet: Buffer): void {
    // Before the name is resolved there is nowhere to send to; whoever waits is sent when it is.
    if (this.#connected) this.#socket?.send(packet)
  }

  #open(): void {
    lookup(this.#host, (error, address, family) => {
      if (this.#closed || this.#socket !== undefined) return
      if (error !== null) return this.#failAll({ ok: false, cause: 'Refused', reason: error.message })
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
      this.#socket = socket
      socket.on('message', (packet) => this.#receive(packet))
      // A connected socket hears of an unreachable port by ICMP.
      socket.on('error', ({ message }) => {
        if (socket !== this.#socket) return
        this.#drop()
        this.#failAll({ ok: false, cause: 'Refused', reason: message })
      })
      socket.connect(this.#port, address, () => {
        if (socket !== this.#socket) return
        this.#connected = true
        for (const { packet } of this.#pending.values()) socket.send(packet)
      })
    })
  }

  #receive(packet: Buffer): void {
    const space = packet.indexOf(0x20)
    if (space === -1) return
    const cookie = packet.toString('latin1', 0, space)
    const pending = this.#pending.get(cookie)
    const fields = pending && bdecode(packet.subarray(space + 1))
    if (pending === undefined || !isFields(fields)) return
    this.#pending.delete(cookie)
    pending.timer?.cancel()
    if (fields['result'] !== 'error') return pending.done({ ok: true, fields })
    const reason = fields['error-reason']
    pending.done({ ok: false, cause: 'Error', reason: typeof reason === 'string' ? reason : 'no reason given' })
  }

  #drop(): void {
    this.#socket?.close()
    this.#socket = undefined
    this.#connected = false
  }

  #failAll(reply: NgReply): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const { timer, done } of all) {
      timer?.cancel()
      done(reply)
    }
  }
}

const closed: NgReply = { ok: false, cause: 'Closed', reason: 'the client is closed' }
const silent: NgReply = { ok: false, cause: 'Silent', reason: 'no answer in 1.5 s' }

function isFields(value: Bencodable | undefined): value is NgFields {
  return typeof value === 'object' && !Array.isArray(value)
}
