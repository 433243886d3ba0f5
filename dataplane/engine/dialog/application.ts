import type { ParsedMessage } from '../message/parsed-message.ts'
import type { SipMessage } from '../message/sip-message.ts'
import type { Flow } from '../transport/transport.ts'

/** A SIP message on its way to the application, with what identifies it there. */
export interface Delivery {
  /** One character per byte. */
  readonly text: string
  /** The same as it was read; absent where the engine has written it. */
  readonly message?: SipMessage
  /** Whom it came from. */
  readonly source: Flow
  readonly transactionId: string
  /** Empty outside of a dialog. */
  readonly dialogId: string
}

/** One connected application, as the layers below the wire see it. */
export interface Application {
  /** It has left: nothing can be delivered. */
  readonly gone: boolean
  /** It has asked to be told 100 Trying of its INVITEs, which drachtio-server keeps to itself. */
  readonly wantsTrying: boolean
  /** A request outside a dialog is told with the local address it came in on. */
  deliverRequest(delivery: Delivery): void
  deliverResponse(delivery: Delivery): void
  /** A BYE that the engine sent by itself: the dialog is gone. */
  deliverNotice(delivery: Delivery): void
}

/** An application that requests may be given to. */
export interface ServedApplication extends Application {
  /** What it takes outside of a dialog; this may change. */
  readonly methods: ReadonlySet<string>
  /** It does not keep up with what it is sent, and gets no new calls. */
  readonly behind: boolean
}

export interface Applications {
  /** The one whose turn it is, of those that take the method and keep up with what they are sent. */
  next(method: string): Application | undefined
  /** Some application takes the method, be it able to keep up or not. */
  takes(method: string): boolean
  /** Methods that are taken, for Allow. */
  methods(): readonly string[]
  /** Number of applications that are connected. */
  readonly count: number
}

/** A response that an application wants to send. */
export interface ResponseOrder {
  readonly transactionId: string
  readonly response: ParsedMessage
}

/** A request that an application wants to send. */
export interface RequestOrder {
  /** Of the INVITE to cancel; empty otherwise. */
  readonly transactionId: string
  /** Empty outside of a dialog. */
  readonly dialogId: string
  /** URI to send it to instead of where Route or Request-URI lead; empty otherwise. */
  readonly nextHop: string
  readonly request: ParsedMessage
}

/** What became of an order. */
export type Outcome =
  | {
      readonly ok: true
      readonly text: string
      readonly flow: Flow
      readonly transactionId: string
      readonly dialogId: string
    }
  | { readonly ok: false; readonly reason: string }

/**
 * What an application of this process may have done. `done` is told what became of it, maybe before the call returns; and a
 * second time, with a refusal, of what could not be sent after all. None of them throws.
 */
export interface Orders {
  request(order: RequestOrder, done: (outcome: Outcome) => void): void
  respond(order: ResponseOrder, done: (outcome: Outcome) => void): void
  /** It takes nothing more: what it has not answered gets a 503, and its INVITEs are cancelled. */
  leave(): void
}

export function refuse(reason: string): Outcome {
  return { ok: false, reason }
}
