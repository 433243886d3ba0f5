import type { Target } from '#api/sip-trunk.ts'
import type { Listener } from '#api/voice-service.ts'
import { canonicalBlock, canonicalHost } from './address.ts'

/** Who is taken for whom: each source, on each listener, belongs to at most one trunk. The first to claim it has it. */
export class Claims {
  readonly #owners = new Map<string, string>()

  /** The trunk that has one of these sources already. */
  owner(keys: readonly string[]): string | undefined {
    for (const key of keys) {
      const owner = this.#owners.get(key)
      if (owner !== undefined) return owner
    }
    return undefined
  }

  add(trunk: string, keys: readonly string[]): void {
    for (const key of keys) this.#owners.set(key, trunk)
  }
}

/** What calls from a target look like: its address, and over UDP its port, on the listeners with its transport. */
export function targetClaims(target: Target, listeners: readonly Listener[]): string[] {
  // A peer's requests over TCP come from a port of the moment, so that only the address tells whose they are.
  const port = target.transport === 'UDP' ? ` ${target.port}` : ''
  return listeners
    .filter(({ transport }) => transport === target.transport)
    .map(({ name }) => `${name} target ${canonicalHost(target.host)}${port}`)
}

/** What calls from an allowed address or block look like: the block as it is; of nested blocks the narrower one has them. */
export function sourceClaims(source: string, listeners: readonly Listener[]): string[] {
  const block = canonicalBlock(source) ?? source
  return listeners.map(({ name }) => `${name} block ${block}`)
}
