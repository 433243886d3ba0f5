import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'

/** A socket to listen on. Port 0 takes a free one; `open` tells which. */
export interface ListenerAddress {
  readonly name: string
  readonly transport: 'UDP' | 'TCP'
  /**
   * IP address to bind, IPv6 without brackets. Peers are told it in Via and Contact, so it has to be one they reach and not
   * `0.0.0.0` or `::`.
   */
  readonly address: string
  readonly port: number
}

/** Who sent a request, and where it came in. */
export interface RequestSource {
  readonly address: string
  readonly port: number
  readonly listener: string
}

export interface EngineOptions {
  readonly clock: Clock
  readonly log: Log
  /** What an application must say to be served. */
  readonly secret: string
  /**
   * Asked for every request outside a dialog, before anything is sent. False: it gets no answer at all, not even to
   * something malformed.
   */
  readonly admit: (source: RequestSource) => boolean
}

/** The SIP engine: sockets, transactions and dialogs, served to an application over the drachtio protocol. */
export interface Engine {
  /** Opens a listener. Rejects with a Node system error (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`); nothing is left open. */
  open(listener: ListenerAddress): Promise<ListenerAddress>
  /** Closes a listener. Transactions and dialogs on it can send nothing more. */
  close(name: string): Promise<void>
  /** Serves the drachtio protocol on 127.0.0.1, on a free port. */
  serve(): Promise<{ port: number }>
  /** Counters since the start, for metrics: `received_INVITE`, `retransmitted`, `rejected_malformed` … */
  readonly counters: Readonly<Record<string, number>>
  /**
   * Numbers of things alive now: `serverTransactions`, `clientTransactions`, `dialogs`, `connections` of stream listeners,
   * `applications` and `timers`.
   */
  gauges(): Record<string, number>
  /** Closes everything at once. */
  stop(): Promise<void>
}
