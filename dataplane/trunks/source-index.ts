import type { Peer } from './peer.ts'
import { canonicalAddress } from './resolution.ts'

export interface Source {
  readonly trunk: string
  /** Of the target or registrar that has the address. */
  readonly host: string
  readonly port: number
}

const none: readonly Source[] = []

/** Which trunks an address belongs to. Asked for every request from outside, so it is built once per change. */
export class SourceIndex {
  readonly #peers: () => Iterable<{ readonly trunk: string; readonly peer: Peer }>
  #byAddress: ReadonlyMap<string, readonly Source[]> | undefined

  constructor(peers: () => Iterable<{ readonly trunk: string; readonly peer: Peer }>) {
    this.#peers = peers
  }

  /** To be called when a peer comes, goes or moves. */
  invalidate(): void {
    this.#byAddress = undefined
  }

  at(address: string): readonly Source[] {
    this.#byAddress ??= this.#build()
    return this.#byAddress.get(address) ?? this.#byAddress.get(canonicalAddress(address)) ?? none
  }

  #build(): Map<string, Source[]> {
    const byAddress = new Map<string, Source[]>()
    for (const { trunk, peer } of this.#peers()) {
      const { host } = peer.config
      for (const { address, port } of peer.endpoints) {
        const sources = byAddress.get(address)
        if (sources === undefined) byAddress.set(address, [{ trunk, host, port }])
        else if (!sources.some((source) => source.trunk === trunk && source.host === host && source.port === port)) {
          sources.push({ trunk, host, port })
        }
      }
    }
    return byAddress
  }
}
