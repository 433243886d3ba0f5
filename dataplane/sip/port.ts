import type { Transport } from '#api/fields.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'

/**
 * The door between call logic and SIP. Behind it is the engine of this process, or drachtio-srf with a SIP server beside
 * it; in tests a fake. The server does transactions, retransmission, 100 Trying, the ACK of failures and the answer to
 * CANCEL; the application answers requests, sends requests, and sends the ACK of every 2xx.
 */
export interface SipPort {
  /** Every request from the network but CANCEL, which goes to the INVITE it cancels. One handler for all. */
  onRequest(handler: (request: IncomingRequest) => void): void
  /** The server ended a dialog by itself, since the ACK of a 2xx never came: it has sent the BYE. */
  onDialogLost(handler: (dialogId: string, reason: string) => void): void
  /** The SIP server went away, and with it every transaction and dialog; outstanding requests have been told. */
  onDisconnect?(handler: () => void): void
  /** Sends a request. Never throws: what cannot be sent is told by `onFailure`. */
  send(request: OutgoingRequest, events: TransactionEvents): ClientTransaction
}

/** Header fields in order; a name may stand several times. Long form of the name. */
export type HeaderList = readonly (readonly [name: string, value: string])[]

export interface Body {
  readonly content: string
  /** Value of Content-Type. */
  readonly type: string
}

export interface IncomingRequest {
  readonly method: string
  readonly message: SipMessage
  readonly source: { readonly address: string; readonly port: number; readonly transport: Transport }
  /** Local address it came in on. Undefined inside a dialog. */
  readonly receivedOn: { readonly address: string; readonly port: number } | undefined
  /** In an ACK of a 2xx, the id of the INVITE it belongs to. */
  readonly transactionId: string
  /** Dialog it belongs to; undefined outside of one. */
  readonly dialogId: string | undefined
  /**
   * Answers it. After a final answer, or a CANCEL, further answers are passed over. The server adds Via, From, To with
   * tag, Call-ID, CSeq, Record-Route and Content-Length, and Contact where it is missing.
   */
  respond(status: number, options?: ResponseOptions): void
  /** Runs when a CANCEL came in time; the server has answered both with 200 and 487. */
  onCancel(handler: (cancel: SipMessage) => void): void
}

export interface ResponseOptions {
  readonly reason?: string
  readonly headers?: HeaderList
  readonly body?: Body | undefined
  /** Tag of To; every answer of one INVITE should have the same. The server makes one up otherwise. */
  readonly toTag?: string
  /** Told the id of the dialog once the answer is on its way. */
  readonly onDialog?: (dialogId: string) => void
  /** The server could not send it any more, since the request was cancelled meanwhile. */
  readonly onRefused?: (reason: string) => void
}

export interface OutgoingRequest {
  readonly method: string
  /** Request-URI. Inside a dialog leave it out: the remote target is taken. */
  readonly uri?: string
  /** Dialog it is sent in. */
  readonly dialogId?: string | undefined
  /** Tag of the peer in the early dialog that is meant, where forks of one INVITE have made several with that id. */
  readonly fork?: string | undefined
  /**
   * Where it is sent, as `sip:192.0.2.1:5060;transport=udp`, without being put into a Route. Inside a dialog the route
   * set decides.
   */
  readonly nextHop?: string
  /**
   * From and To without tag, Contact. A request leaves from the listener whose address its Contact names. The server
   * adds Via, Call-ID, CSeq, the tag of From, and Max-Forwards where it is missing. Call-ID, CSeq and the tag of From
   * may be given, to go on counting after a challenge.
   */
  readonly headers: HeaderList
  readonly body?: Body | undefined
}

export interface TransactionEvents {
  /** It is on its way, with the identifiers the server gave it. */
  onSent?(sent: SipMessage): void
  /** 100: the next hop has it. Servers that keep 100 to themselves never say so. */
  onTrying?(): void
  /** 101 to 699; a transaction that times out gives a 408, one whose transport fails a 503, both with `local` set. */
  onResponse(response: IncomingResponse): void
  /** It could not be sent at all, or the SIP server went away before the final answer. */
  onFailure(error: SipPortError): void
}

export interface ClientTransaction {
  /** Sends CANCEL, as soon as a provisional answer allows it. For INVITE only; nothing happens after a final answer. */
  cancel(headers?: HeaderList): void
  /**
   * Whoever asked has given up: nothing more is told of it. A request outside of a dialog that is no INVITE is not sent
   * again either, by servers that know how.
   */
  abandon(): void
}

export interface IncomingResponse {
  readonly status: number
  readonly reason: string
  readonly message: SipMessage
  /** Made up by the server here, since nothing came from the network. */
  readonly local: boolean
  /** Why nothing could be sent, where the server says so; undefined otherwise. */
  readonly localReason?: string | undefined
  readonly dialogId: string | undefined
  /** Sends the ACK of a 2xx to INVITE; nothing for any other answer. */
  ack(options?: { headers?: HeaderList; body?: Body | undefined }): void
}

/**
 * `DialogGone`: the dialog ended meanwhile. `InviteInProgress`: the peer's INVITE in the dialog was there first.
 * `Disconnected`: no SIP server. `Rejected`: the server refused the message.
 */
export class SipPortError extends Error {
  readonly code: 'DialogGone' | 'InviteInProgress' | 'Disconnected' | 'Rejected'

  constructor(code: SipPortError['code'], message: string) {
    super(message)
    this.name = 'SipPortError'
    this.code = code
  }
}
