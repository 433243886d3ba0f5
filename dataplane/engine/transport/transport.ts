/** Told once per message: undefined or null when the operating system took it, otherwise why not. */
export type SendCallback = (error?: Error | null) => void

/** A way to one peer: from which of our sockets, and to which address. A response goes back on the connection it names. */
export interface Flow {
  readonly listener: Listener
  /** IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  readonly connection: Connection | undefined
}

/** A connection that is open or being opened. */
export interface Connection {
  readonly open: boolean
  send(text: string, sent: SendCallback): void
}

/**
 * One named socket that listens, and that requests leave from. UDP and TCP are such transports; TLS and WebSocket fit
 * the same shape.
 */
export interface Listener {
  readonly name: string
  readonly transport: 'UDP' | 'TCP'
  /** The transport repeats by itself what is lost, so that transactions need not (RFC 3261 §17). */
  readonly reliable: boolean
  readonly family: 4 | 6
  /** IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  /** Host and port as in Via and Contact, IPv6 in brackets. */
  readonly hostPort: string
  /** Sends one whole message, one character per byte. Never throws: what goes wrong is told to `sent`. */
  send(text: string, flow: Flow, sent: SendCallback): void
  /** Number of connections that are open. */
  readonly connections: number
  close(): Promise<void>
}

/** Takes what comes in: one whole message per call, one character per byte. */
export interface Receiver {
  receive(text: string, source: Flow): void
  /** Something on a stream that is no SIP; the connection is being closed. */
  outOfStep(source: Flow, reason: string): void
}
