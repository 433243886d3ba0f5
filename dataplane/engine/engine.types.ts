import type { Orders, ServedApplication } from './dialog/application.ts'
import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { Lookup } from './transport/resolver.ts'

/** PEM texts of a certificate, with those that lead from it to its authority, and of its key. */
export interface Credentials {
  readonly certificate: string
  readonly key: string
}

/** What a TLS or WSS listener shows and asks for. */
export interface ServerTls extends Credentials {
  /** Shown instead to clients that ask for a name in one of them (SNI, RFC 6066 §3). */
  readonly others: readonly Credentials[]
  /** PEM text of the authorities that clients must have a certificate of; undefined: clients need none. */
  readonly clientAuthorities: string | undefined
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
}

/** What a peer that is connected to over TLS must show, and is shown. */
export interface ClientTls {
  /** Requests that have the same share a connection to an address and port. */
  readonly identity: string
  /** Asked for by SNI; undefined, or an IP address: no name is asked for. */
  readonly serverName: string | undefined
  /** False: whatever the peer shows is taken. */
  readonly verify: boolean
  /** PEM text of the authorities; undefined: those that Node knows. */
  readonly authorities: string | undefined
  /** The certificate must have one of them (RFC 5922 §7). */
  readonly names: readonly string[]
  /** Shown to a peer that asks for a certificate. */
  readonly credentials: Credentials | undefined
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
}

/** Where a TLS connection is to lead. */
export interface TlsTarget {
  readonly listener: string
  /** Host of the URI, which may be the address itself. */
  readonly host: string
  readonly address: string
  readonly port: number
}

/** A socket to listen on. Port 0 takes a free one; `open` tells which. */
export interface ListenerAddress {
  readonly name: string
  readonly transport: 'UDP' | 'TCP' | 'TLS' | 'WS' | 'WSS'
  /**
   * IP address to bind, IPv6 without brackets. Peers are told it in Via and Contact unless `advertised` is given, so it has
   * to be one they reach and not `0.0.0.0` or `::`.
   */
  readonly address: string
  readonly port: number
  /** What peers are told instead, where they reach the listener at another place: IP address or name, and port. */
  readonly advertised?: { readonly host: string; readonly port: number } | undefined
  /** Needed for TLS and WSS, of no use to others. */
  readonly tls?: ServerTls | undefined
}

/** Who sent a request, and where it came in. */
export interface RequestSource {
  readonly address: string
  readonly port: number
  readonly listener: string
  /** Names that it has shown a trusted certificate for; none without TLS, or without a certificate of the client. */
  readonly names: readonly string[]
}

export interface EngineOptions {
  readonly clock: Clock
  readonly log: Log
  /**
   * Asked for every request outside a dialog, before anything is sent. False: it gets no answer at all, not even to
   * something malformed.
   */
  readonly admit: (source: RequestSource) => boolean
  /**
   * Which share of the time since it was last asked the event loop has worked, from 0 to 1; new calls are refused with 503
   * while that is all of it. Absent: no call is refused for that.
   */
  readonly busyShare?: () => number
  /** How names of next hops are looked up. Absent: by the operating system, which knows addresses alone. */
  readonly lookUp?: Lookup
  /**
   * Asked before a TLS connection is opened or used again. Absent: the certificate has to be of an authority that Node
   * knows, and for the host of the URI.
   */
  readonly tlsTo?: (target: TlsTarget) => ClientTls
}

/** The SIP engine: sockets, transactions and dialogs, for an application of this process, or over the drachtio protocol. */
export interface Engine {
  /** Opens a listener. Rejects with a Node system error (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`); nothing is left open. */
  open(listener: ListenerAddress): Promise<ListenerAddress>
  /**
   * Takes over what may change while a listener is bound: certificates, and what peers are told. Connections, transactions
   * and dialogs stay. Throws when a certificate or key cannot be used, and then nothing has changed.
   */
  reload(listener: ListenerAddress): void
  /** Closes a listener. Transactions and dialogs on it can send nothing more. */
  close(name: string): Promise<void>
  /** Serves the drachtio protocol on 127.0.0.1, on a free port, to applications that say the secret. */
  serve(secret: string): Promise<{ port: number }>
  /** Takes an application of this process in. What it is told, it is told from within the engine. */
  join(application: ServedApplication): Orders
  /** Counters since the start, for metrics: `received_requests INVITE`, `sent_responses INVITE 486`, `retransmitted` … */
  readonly counters: Readonly<Record<string, number>>
  /**
   * Numbers of things alive now: `serverTransactions`, `clientTransactions`, `dialogs`, `connections` of stream listeners,
   * `applications` and `timers`; `overloaded` is 1 while new calls are refused.
   */
  gauges(): Record<string, number>
  /** Closes everything at once. */
  stop(): Promise<void>
}
