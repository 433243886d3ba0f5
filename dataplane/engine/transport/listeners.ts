import { sameAddress } from './address.ts'
import type { Listener } from './transport.ts'

/** The open listeners by name, and which of them a message leaves from. */
export class Listeners {
  readonly #byName = new Map<string, Listener>()

  add(listener: Listener): void {
    this.#byName.set(listener.name, listener)
  }

  get(name: string): Listener | undefined {
    return this.#byName.get(name)
  }

  remove(name: string): void {
    this.#byName.delete(name)
  }

  all(): IterableIterator<Listener> {
    return this.#byName.values()
  }

  /**
   * The one that is bound to that address and port, or that peers are told to be there; where UDP and TCP share them, the
   * one of the transport, if one is named.
   */
  at(address: string, port: number, transport: string | undefined): Listener | undefined {
    let found: Listener | undefined
    for (const listener of this.#byName.values()) {
      if (!isAt(listener, address, port)) continue
      if (transport === undefined || listener.transport === transport) return listener
      found ??= listener
    }
    return found
  }

  /**
   * The one to send from over that transport to that family: `preferred` if it serves, its twin of the same address, or
   * the first that serves.
   */
  serving(transport: string, family: 4 | 6, preferred: Listener | undefined): Listener | undefined {
    if (preferred?.transport === transport && preferred.family === family) return preferred
    let found: Listener | undefined
    for (const listener of this.#byName.values()) {
      if (listener.transport !== transport || listener.family !== family) continue
      if (preferred !== undefined && listener.address === preferred.address) return listener
      found ??= listener
    }
    return found
  }
}

function isAt({ address, port, advertised }: Listener, host: string, wanted: number): boolean {
  if (port === wanted && sameAddress(address, host)) return true
  if (advertised === undefined || advertised.port !== wanted) return false
  return sameAddress(advertised.host.toLowerCase(), host.toLowerCase())
}
