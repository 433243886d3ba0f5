import type { Target } from '#api/sip-trunk.ts'
import type { Listener } from '#api/voice-service.ts'
import { canonicalBlock, canonicalHost } from './address.ts'

/**
 * Who is taken for whom: each source, on each listener, belongs to one trunk, and the first to claim it has it. Trunks that
 * register may share one, since calls to them come to the Contact that they registered.
 */
export class Claims {
  readonly #owners = new Map<string, { trunk: string; registers: boolean }>()

  /** The trunk that has one of these sources already, and would get the calls of another one. */
  owner(keys: readonly string[], { registers }: { registers: boolean }): string | undefined {
    for (const key of keys) {
      const owner = this.#owners.get(key)
      if (owner !== undefined && !(registers && owner.registers)) return owner.trunk
    }
    return undefined
  }

  add(trunk: string, keys: readonly string[], { registers }: { registers: boolean }): void {
    for (const key of keys) this.#owners.set(key, { trunk, registers })
  }
}

/** What calls from a target look like: its address, and over UDP its port or that SRV records tell it, on the listeners with its transport. */
export function targetClaims(target: Target, listeners: readonly Listener[]): string[] {
  // A peer's requests over TCP come from a port of the moment, so that only the address tells whose they are.
  const port = target.transport === 'UDP' ? ` ${target.port ?? 'by SRV'}` : ''
  return listeners
    .filter(({ transport }) => transport === target.transport)
    .map(({ name }) => `${name} target ${canonicalHost(target.host)}${port}`)
}

/** What calls from an allowed address or block look like: the block as it is; of nested blocks the narrower one has them. */
export function sourceClaims(source: string, listeners: readonly Listener[]): string[] {
  const block = canonicalBlock(source) ?? source
  return listeners.map(({ name }) => `${name} block ${block}`)
}
