import type { ListenerAddress } from '../engine.types.ts'

/** Told once per message: undefined or null when the operating system took it, otherwise why not. */
export type SendCallback = (error?: Error | null) => void

/** A way to one peer: from which of our sockets, and to which address. A response goes back on the connection it names. */
export interface Flow {
  readonly listener: Listener
  /** IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  readonly connection: Connection | undefined
  /** Host of the URI that led here, which a certificate is checked against; absent where there was none. */
  readonly host?: string
}

/** A connection that is open or being opened. */
export interface Connection {
  readonly open: boolean
  /** Names that the peer has shown a trusted certificate for; none without TLS, or without a certificate of the peer. */
  readonly names: readonly string[]
  /** Of the peer's end. */
  readonly port: number
  send(text: string, sent: SendCallback): void
}

/**
 * One named socket that listens, and that requests leave from.
 */
export interface Listener {
  readonly name: string
  readonly transport: ListenerAddress['transport']
  /** The transport repeats by itself what is lost, so that transactions need not (RFC 3261 §17). */
  readonly reliable: boolean
  readonly family: 4 | 6
  /** IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  /** Host and port that peers are told, where those are not the ones it is bound to. */
  readonly advertised: ListenerAddress['advertised']
  /** Host and port as in Via and Contact, IPv6 in brackets. */
  readonly hostPort: string
  /**
   * Sends one whole message, one character per byte, and gives the connection it went to, where there is one. Never throws:
   * what goes wrong is told to `sent`.
   */
  send(text: string, flow: Flow, sent: SendCallback): Connection | undefined
  /** Number of connections that are open. */
  readonly connections: number
  /**
   * Takes over what may change while it is bound: certificates and what peers are told. Connections stay as they are. Throws
   * when a certificate or key cannot be used, and then nothing has changed.
   */
  reload(wanted: ListenerAddress): void
  /** A request that came that way asks for others to that port to go back over the same connection (RFC 5923). */
  alias?(source: Flow, port: number): void
  close(): Promise<void>
}

/** Takes what comes in: one whole message per call, one character per byte. */
export interface Receiver {
  receive(text: string, source: Flow): void
  /** Whether requests from there are answered at all. `names` are those of the peer's certificate, if that was verified. */
  welcomes(source: Flow, names: readonly string[]): boolean
  /** A connection of somebody whom nobody knows was closed without a word. */
  turnedAway(source: Flow): void
  /** Something on a stream that is no SIP; the connection is being closed. */
  outOfStep(source: Flow, reason: string): void
  /** No connection could be opened to there. */
  notConnected(target: Flow, reason: string): void
  /** A connection that messages were sent over was broken off, so that they may not have arrived. */
  brokenOff(connection: Connection, reason: string): void
}
