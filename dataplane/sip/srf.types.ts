import type { EventEmitter } from 'node:events'

/**
 * The part of drachtio-srf that is used, as its source has it; the typings it brings along miss most of it. All of it is
 * the level of requests and responses, below its `Dialog`.
 */
export interface Srf extends EventEmitter {
  use(handler: (req: SrfRequest, res: SrfResponse) => void): void
  /** Asks the server for requests of that method. */
  use(method: string, handler: (req: SrfRequest, res: SrfResponse) => void): void
  connect(options: { host: string; port: number; secret: string; reconnect: { retryMaxDelay: number } }): void
  /** Throws when there is no connection. */
  disconnect(): void
  /** Throws when there is no connection. */
  request(uri: string, options: SrfRequestOptions, callback: (error: SrfError | null, req: SrfRequest) => void): void
  readonly app: { readonly client: { readonly wp: { closing?: boolean } } }
}

export interface SrfError extends Error {
  readonly code?: string
}

export interface SrfRequestOptions {
  readonly method: string
  readonly headers: Record<string, string>
  readonly body?: string
  readonly stackDialogId?: string
  /** Next hop. */
  readonly proxy?: string
}

export interface SrfRequest extends EventEmitter {
  readonly method: string
  readonly source: 'network' | 'application'
  readonly source_address: string
  readonly source_port: number
  readonly protocol: string
  readonly stackTxnId: string
  readonly stackDialogId: string | undefined
  /** `address:port`; absent inside a dialog. */
  readonly receivedOn?: string
  readonly msg: { readonly raw: string }
  cancel(options: { headers?: Record<string, string> }, callback: (error: SrfError | null) => void): void
}

export interface SrfResponse {
  readonly req: SrfRequest
  readonly agent: {
    /** Sends `res.msg` as its `toString()` says, with what the options add. */
    sendResponse(res: SrfResponse, options: Partial<SrfSendOptions>, callback?: SrfSendCallback): void
  }
  msg: SrfResponseMessage
  finished: boolean
  readonly stackDialogId: string | undefined
}

export interface SrfResponseMessage {
  /** Of a response from the network. */
  readonly raw?: string
  readonly status: number
  get(name: string): string | undefined
  toString(): string
}

export interface SrfSendOptions {
  readonly headers: Record<string, string>
  readonly body?: string
}

/** The server's text, or an error of drachtio-srf's own. */
export type SrfSendError = Error | string | null | undefined

export type SrfSendCallback = (error: SrfSendError) => void

export type SrfAck = (options: SrfSendOptions, callback?: SrfSendCallback) => void
