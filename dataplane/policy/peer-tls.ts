import { isIP } from 'node:net'
import type { TargetConfig, TrunkConfig } from '#api/snapshot.ts'
import type { RunningConfig } from '../config/running.ts'
import type { ClientTls, TlsTarget } from '../engine/engine.types.ts'
import { comparableName } from '../engine/message/domain-name.ts'
import type { TrunkHealth } from '../trunks/health.ts'

type Peer = Pick<TargetConfig, 'host' | 'port' | 'transport'>

/**
 * What is asked of a peer that a TLS connection leads to: what its trunk says. The host of the URI tells the trunk, else
 * the address, as for requests inside a dialog, whose URI is the peer's Contact. A peer of no trunk has to show a
 * certificate of a public authority for the host of the URI.
 */
export function tlsTowards(to: TlsTarget, config: RunningConfig | undefined, health: TrunkHealth): ClientTls {
  const found = config === undefined ? undefined : findPeer(to, config, health)
  const { trunk, host } = found ?? { trunk: undefined, host: to.host }
  const tls = trunk?.tls
  const serverName = tls?.serverName ?? host
  const credentials = tls?.credentials ?? config?.listeners.get(to.listener)?.tls
  return {
    identity: `${trunk?.name ?? ''} ${serverName}`,
    serverName,
    verify: tls?.verify ?? true,
    authorities: tls?.authorities,
    names: [serverName, ...(tls?.allowedNames ?? [])],
    credentials:
      credentials === undefined ? undefined : { certificate: credentials.certificate, key: credentials.key.reveal() },
    minVersion: tls?.minVersion ?? 'TLSv1.2',
  }
}

/** Names any of which the certificate of a trunk's peer has; none when it is known by addresses alone. */
export function namesOfTrunk({ tls, targets, registrations }: TrunkConfig): readonly string[] {
  const hosts = [...targets, ...registrations].map(({ host }) => host).filter((host) => isIP(host) === 0)
  return [...hosts, ...(tls?.serverName === undefined ? [] : [tls.serverName]), ...(tls?.allowedNames ?? [])]
}

/** Its trunk, and the host by which that knows it. */
function findPeer(to: TlsTarget, config: RunningConfig, health: TrunkHealth) {
  const wanted = comparableName(to.host)
  let atAddress: { trunk: TrunkConfig; host: string } | undefined
  for (const trunk of config.trunks.values()) {
    if (!trunk.listeners.includes(to.listener)) continue
    for (const peer of peersOf(trunk)) {
      if (comparableName(peer.host) === wanted) return { trunk, host: peer.host }
      if (peer.port === to.port && comparableName(peer.host) === comparableName(to.address)) {
        return { trunk, host: peer.host }
      }
    }
  }
  for (const { trunk: name, host: known, port } of health.trunksAt(to.address)) {
    const trunk = config.trunks.get(name)
    if (trunk?.listeners.includes(to.listener) !== true) continue
    const peers = peersOf(trunk)
    const host = (peers.find((peer) => peer.host === known) ?? peers[0])?.host
    if (host === undefined) continue
    if (port === to.port) return { trunk, host }
    atAddress ??= { trunk, host }
  }
  return atAddress
}

function peersOf({ targets, registrations }: TrunkConfig): readonly Peer[] {
  return [...targets, ...registrations].filter(({ transport }) => transport === 'TLS' || transport === 'WSS')
}
