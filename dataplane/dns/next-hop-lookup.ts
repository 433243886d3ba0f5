import { isIPv6 } from 'node:net'
import type { Lookup } from '../engine/transport/resolver.ts'
import type { Locate, Located } from './locate.ts'
import { selectionOrder } from './selection.ts'

/** Keeps the time between two looks at a name that a peer has chosen within bounds, in seconds. */
const ttlSeconds = { shortest: 5, longest: 3600 }

/** A request that cannot be sent goes on to the next of them: who owns the name must not have us try a whole network. */
const maximumEndpoints = 16

/**
 * How the engine finds names in Contact, Route and Via of peers: as trunks find theirs (RFC 3263 section 4). The order is
 * drawn once for an answer, so that the requests of a dialog stay together while it lives. Of each address family the
 * first 16 are used.
 */
export function nextHopLookup(locate: Locate, random: () => number): Lookup {
  return (sought, answer) => {
    const endpointsOf = ({ sites }: Located) => {
      const all = selectionOrder(sites, random).flatMap(({ addresses, port }) =>
        addresses.map((address) => ({ address, port })),
      )
      const ofFamily = [all.filter(({ address }) => isIPv6(address)), all.filter(({ address }) => !isIPv6(address))]
      const used = new Set(ofFamily.flatMap((endpoints) => endpoints.slice(0, maximumEndpoints)))
      return all.filter((endpoint) => used.has(endpoint))
    }
    locate(sought, ['IPv4', 'IPv6']).then(
      (located) => {
        const seconds = Math.min(ttlSeconds.longest, Math.max(ttlSeconds.shortest, located.ttlSeconds))
        answer({ endpoints: endpointsOf(located), ttlSeconds: seconds })
      },
      () => answer(undefined),
    )
  }
}
