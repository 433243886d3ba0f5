import Drachtio from 'drachtio-srf'
import type { Log } from '#lib/log.ts'
import { readMessage } from '../engine/message/parse.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import {
  type ClientTransaction,
  type IncomingRequest,
  type OutgoingRequest,
  type SipPort,
  SipPortError,
  type TransactionEvents,
} from './port.ts'
import { srfHeaders } from './srf-headers.ts'
import { SrfIncomingRequest } from './srf-incoming.ts'
import { sendWritten } from './srf-response.ts'
import { asPortError, SrfTransaction } from './srf-outgoing.ts'
import type { Srf, SrfAck, SrfRequest, SrfResponse } from './srf.types.ts'

/** All that is known here. `trying` is asked for besides; it is no method: our own engine then tells of 100 Trying. */
const all = [
  'INVITE',
  'ACK',
  'BYE',
  'OPTIONS',
  'INFO',
  'UPDATE',
  'REFER',
  'NOTIFY',
  'MESSAGE',
  'SUBSCRIBE',
  'PUBLISH',
  'PRACK',
  'REGISTER',
]

export interface DrachtioAddress {
  readonly host: string
  readonly port: number
  readonly secret: string
}

/** Longest wait before drachtio-srf connects again, in milliseconds; by itself it knows no limit. */
const longestRetryMilliseconds = 2_000

/**
 * Connects to a server that speaks the drachtio protocol. Resolves when it has taken the secret, rejects when it has
 * refused it; until there is a server it goes on trying, and after a loss it connects again by itself.
 */
export function connectDrachtio(address: DrachtioAddress, log: Log): Promise<DrachtioPort> {
  return new Promise((resolve, reject) => {
    const port = followDrachtio(address, log, {
      onConnect: () => resolve(port),
      onRefused: (error) => {
        port.close()
        reject(error)
      },
    })
  })
}

/** What is told of the connection to a server. */
export interface ConnectionEvents {
  /** The server has taken the secret; after a loss again. */
  onConnect(): void
  /** It has refused the secret, and is tried again. */
  onRefused(error: Error): void
  /** There is no connection: it was lost, or an attempt failed. It is tried again. */
  onClosed?(): void
}

/**
 * A port to a server that may come later, go, and come back. Until it is there, what is sent fails as `Disconnected`.
 * `largestFrame`: bytes of the largest message that the server can take; absent: there is no limit.
 */
export function followDrachtio(
  { host, port: tcpPort, secret }: DrachtioAddress,
  log: Log,
  events: ConnectionEvents,
  largestFrame?: number,
): DrachtioPort {
  const srf = new Drachtio() as unknown as Srf
  const port = new DrachtioPort(srf, log, largestFrame)
  srf.on('connect', (error: Error | null) => {
    if (!error) return events.onConnect()
    events.onRefused(new Error(`${host}:${tcpPort} refused the secret`, { cause: error }))
  })
  srf.on('close', () => events.onClosed?.())
  srf.connect({ host, port: tcpPort, secret, reconnect: { retryMaxDelay: longestRetryMilliseconds } })
  return port
}

/**
 * `SipPort` on drachtio-srf. It stands on single requests and responses: drachtio-srf's `Dialog` answers BYE, re-INVITE
 * and others by itself, before an SBC could relay them.
 */
export class DrachtioPort implements SipPort {
  readonly #srf: Srf
  readonly #log: Log
  readonly #largestFrame: number
  readonly #outstanding = new Set<SrfTransaction>()
  /** INVITEs without final answer: drachtio-srf finds the one a CANCEL is for by its Call-ID alone. */
  readonly #invites = new Map<string, SrfIncomingRequest>()
  #closed = false
  #onRequest: (request: IncomingRequest) => void = () => {}
  #onDialogLost: (dialogId: string, reason: string) => void = () => {}
  #onDisconnect: () => void = () => {}

  constructor(srf: Srf, log: Log, largestFrame = Infinity) {
    this.#srf = srf
    this.#log = log
    this.#largestFrame = largestFrame
    const receive = (req: SrfRequest, res: SrfResponse) => this.#receive(req, res)
    srf.use(receive)
    // The handler above takes them; this tells the server that they are wanted.
    for (const method of ['trying', ...all]) srf.use(method.toLowerCase(), receive)
    srf.on('error', (error: Error) => log.warn({ error: error.message }, 'connection to the SIP server failed'))
    srf.on('close', () => this.#disconnected())
  }

  get closed(): boolean {
    return this.#closed
  }

  onRequest(handler: (request: IncomingRequest) => void): void {
    this.#onRequest = handler
  }

  onDialogLost(handler: (dialogId: string, reason: string) => void): void {
    this.#onDialogLost = handler
  }

  onDisconnect(handler: () => void): void {
    this.#onDisconnect = handler
  }

  send(request: OutgoingRequest, events: TransactionEvents): ClientTransaction {
    const largestFrame = this.#largestFrame
    const transaction = new SrfTransaction(events, largestFrame, (over) => this.#outstanding.delete(over))
    this.#outstanding.add(transaction)
    const { method, uri = 'sip:placeholder', dialogId, nextHop, fork, body } = request
    const headers =
      fork === undefined ? request.headers : [['To', `<sip:fork>;tag=${fork}`] as const, ...request.headers]
    try {
      const options = {
        method,
        headers: srfHeaders(headers, body, largestFrame),
        ...(body !== undefined && { body: body.content }),
        ...(dialogId !== undefined && { stackDialogId: dialogId }),
        ...(nextHop !== undefined && { proxy: nextHop }),
      }
      this.#srf.request(uri, options, (error, req) => {
        if (error === null) this.#sent(transaction, req)
        else transaction.failed(asPortError(error))
      })
    } catch (error) {
      // Not before `send` has returned: who sends does not expect to be called back meanwhile.
      queueMicrotask(() => transaction.failed(asPortError(error)))
    }
    return transaction
  }

  /** Ends the connection, and every transaction with it. */
  close(): void {
    this.#closed = true
    this.#srf.app.client.wp.closing = true
    try {
      this.#srf.disconnect()
    } catch {
      // It asserts that there is a connection; without one there is nothing to end.
    }
  }

  #sent(transaction: SrfTransaction, req: SrfRequest): void {
    req.on('response', (res: SrfResponse, ack: SrfAck) => {
      const message = this.#parse(res.msg.raw ?? '')
      if (message !== undefined) transaction.response(res, message, ack)
      else transaction.failed(new SipPortError('Rejected', 'the answer is malformed'))
    })
    // drachtio-srf hands an UPDATE with the Call-ID of any outstanding request to that request.
    req.on('update', (update: SrfRequest, res: SrfResponse) => this.#receive(update, res))
    transaction.sent(req, transaction.wantsSent ? this.#parse(req.msg.raw) : undefined)
  }

  #receive(req: SrfRequest, res: SrfResponse): void {
    const message = this.#parse(req.msg.raw)
    // Sent by the server itself: the BYE of a dialog whose ACK never came.
    if (req.source === 'application') {
      return this.#onDialogLost(req.stackDialogId ?? '', message?.get('Reason') ?? 'ended by the SIP server')
    }
    if (message === undefined) {
      if (req.method !== 'ACK') sendWritten(res, { ...malformed, callId: res.msg.get('call-id') ?? '' }, undefined)
      return
    }
    const key = inviteKey(message)
    const onOver = () => {
      if (this.#invites.get(key) === request) this.#invites.delete(key)
    }
    const request = new SrfIncomingRequest(req, res, message, this.#largestFrame, onOver)
    if (req.method === 'INVITE') this.#watchInvite(key, request, req)
    this.#onRequest(request)
  }

  #watchInvite(key: string, request: SrfIncomingRequest, req: SrfRequest): void {
    this.#invites.set(key, request)
    req.on('cancel', ({ raw }: { raw: string }) => {
      const cancel = this.#parse(raw)
      if (cancel !== undefined) this.#invites.get(inviteKey(cancel))?.cancelled(cancel)
    })
    // drachtio-srf hands an UPDATE that comes before the answer to the INVITE.
    req.on('update', (update: SrfRequest, res: SrfResponse) => this.#receive(update, res))
  }

  #parse(raw: string): SipMessage | undefined {
    const result = readMessage(raw)
    if (result.ok) return result.message
    this.#log.warn({ reason: result.reason }, 'the SIP server handed over a malformed message')
    return undefined
  }

  #disconnected(): void {
    const lost = [...this.#outstanding]
    for (const transaction of lost) {
      transaction.failed(new SipPortError('Disconnected', 'the SIP server went away'))
    }
    this.#invites.clear()
    this.#onDisconnect()
  }
}

/** Equal in an INVITE and its CANCEL (RFC 3261 section 9.1). */
function inviteKey({ callId, fromTag, cseq, branch }: SipMessage): string {
  return `${callId} ${fromTag} ${cseq} ${branch}`
}

/** The server has the header fields that an answer takes from its request. */
const malformed = { status: 400, text: 'SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n' }
