import { createHash } from 'node:crypto'
import type { TargetConfig } from '#api/snapshot.ts'
import type { OpenListener } from '../config/running.ts'
import { formatHostPort } from '../engine/message/uri.ts'
import type { OutgoingRequest } from '../sip/port.ts'
import type { KeepalivePolicy } from './keepalive.ts'
import { listenerUri, soughtName } from './peer.ts'
import type { Endpoint } from './resolution.ts'

/** A peer to watch: where calls to it go, how it is probed, and from which socket. */
export interface MonitoredPeer {
  readonly target: TargetConfig
  readonly policy: KeepalivePolicy
  /** Listener that calls leave from; undefined while it is not open. */
  readonly listener: OpenListener | undefined
  /** Listener that probes leave from. */
  readonly probeListener: OpenListener | undefined
}

/** The same for every replica, and for targets that are the same peer, probed in the same way from the same listener. */
export function probeName({ transport, listener, probe, ...sought }: TargetConfig, policy: KeepalivePolicy): string {
  const parts = [
    soughtName({ ...sought, transport, listener }).toLowerCase(),
    transport,
    listener,
    probe ?? null,
    policy,
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16)
}

/**
 * The OPTIONS that asks an endpoint for a sign of life (RFC 3261 section 11.1), or why none can be sent. The Contact makes
 * it leave from the listener that probes leave from.
 */
export function probeRequest({ target, probeListener }: MonitoredPeer, endpoint: Endpoint): OutgoingRequest | string {
  const { host, port } = target
  const { transport, listener } = target.probe ?? target
  if (probeListener === undefined) return `the listener ${listener} is not open`
  const parameter = `;transport=${transport.toLowerCase()}`
  return {
    method: 'OPTIONS',
    uri: `sip:${formatHostPort(host, port)}${parameter}`,
    nextHop: `sip:${endpoint.name}${parameter}`,
    headers: [
      ['From', `<sip:ping@${formatHostPort(probeListener.address, probeListener.port)}>`],
      ['To', `<sip:${formatHostPort(host, port)}>`],
      ['Contact', `<${listenerUri('ping', probeListener)}>`],
      ['Accept', 'application/sdp'],
    ],
  }
}

/** Tells peers apart that calls and probes reach from other sockets. */
export function monitoredIdentity({ target, listener, probeListener }: MonitoredPeer): string {
  const from = (open: OpenListener | undefined) => (open === undefined ? '-' : formatHostPort(open.address, open.port))
  return `${target.transport} ${soughtName(target)} from ${target.listener} ${from(listener)} probed ${from(probeListener)}`
}
