import type { Target } from '#api/sip-trunk.ts'
import type { Listener } from '#api/voice-service.ts'
import { canonicalBlock, canonicalHost } from './address.ts'

/** What one trunk has asked and added. */
export interface Dealings {
  readonly asked: { readonly keys: readonly string[]; readonly registers: boolean }[]
  readonly added: { readonly keys: readonly string[]; readonly registers: boolean }[]
  /** Whether anything was another one's already. */
  hasMet: boolean
}

/**
 * Who is taken for whom: each source, on each listener, belongs to one trunk, and the first to claim it has it. Trunks that
 * register may share one, since calls to them come to the Contact that they registered.
 */
export class Claims {
  readonly #owners = new Map<string, { trunk: string; registers: boolean }>()
  #dealings: Dealings = { asked: [], added: [], hasMet: false }

  /** The trunk that has one of these sources already, and would get the calls of another one. */
  owner(keys: readonly string[], { registers }: { registers: boolean }): string | undefined {
    this.#dealings.asked.push({ keys, registers })
    const owner = this.#find(keys, registers)
    if (owner !== undefined) this.#dealings.hasMet = true
    return owner
  }

  add(trunk: string, keys: readonly string[], { registers }: { registers: boolean }): void {
    this.#dealings.added.push({ keys, registers })
    this.#put(trunk, keys, registers)
  }

  /** What is asked and added from here on is one trunk's. */
  begin(): Dealings {
    this.#dealings = { asked: [], added: [], hasMet: false }
    return this.#dealings
  }

  /** Does again what a trunk did that met no other one; false, and nothing is done, when it would now. */
  repeat(trunk: string, { asked, added }: Dealings): boolean {
    if (asked.some(({ keys, registers }) => this.#find(keys, registers) !== undefined)) return false
    for (const { keys, registers } of added) this.#put(trunk, keys, registers)
    return true
  }

  #put(trunk: string, keys: readonly string[], registers: boolean): void {
    for (const key of keys) this.#owners.set(key, { trunk, registers })
  }

  #find(keys: readonly string[], registers: boolean): string | undefined {
    for (const key of keys) {
      const owner = this.#owners.get(key)
      if (owner !== undefined && !(registers && owner.registers)) return owner.trunk
    }
    return undefined
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
