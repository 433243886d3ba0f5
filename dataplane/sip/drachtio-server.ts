import { isIPv6 } from 'node:net'
import type { Log } from '#lib/log.ts'
import type { ListenerAddress } from '../engine/engine.types.ts'
import { askAddresses, type ServedAddress } from './drachtio-addresses.ts'
import type { DrachtioAddress } from './drachtio-port.ts'

/**
 * The sockets of a drachtio-server. It binds them when it starts, and nobody can have it bind another one: to open a
 * listener is to find that it is there.
 */
export class DrachtioServer {
  readonly #address: DrachtioAddress
  readonly #log: Log
  readonly #open = new Map<string, ListenerAddress>()

  constructor(address: DrachtioAddress, log: Log) {
    this.#address = address
    this.#log = log
  }

  /** Rejects with what is wrong and what to start the server with. */
  async open(listener: ListenerAddress): Promise<ListenerAddress> {
    const problem = problemOf(listener, await this.#ask())
    if (problem !== undefined) throw new Error(`${this.#name} ${problem}`)
    this.#open.set(listener.name, listener)
    return listener
  }

  /** Takes nothing over: certificates and addresses are what the server was started with. */
  reload(listener: ListenerAddress): void {
    this.#open.set(listener.name, listener)
    this.#log.warn(
      { listener: listener.name },
      'drachtio-server takes other certificates and addresses when it is started anew',
    )
  }

  /** The server goes on listening; what comes in there gets no answer, or 403 where it is an INVITE. */
  close(name: string): Promise<void> {
    this.#open.delete(name)
    return Promise.resolve()
  }

  /** What is the matter now with listeners that are open, by their names. Never rejects. */
  async troubles(): Promise<ReadonlyMap<string, string>> {
    const listeners = [...this.#open.values()]
    try {
      const served = await this.#ask()
      return new Map(
        listeners.flatMap((listener) => {
          const problem = problemOf(listener, served)
          return problem === undefined ? [] : [[listener.name, `${this.#name} ${problem}`] as const]
        }),
      )
    } catch (error) {
      return new Map(listeners.map(({ name }) => [name, error instanceof Error ? error.message : String(error)]))
    }
  }

  get #name(): string {
    return `drachtio-server at ${this.#address.host}:${this.#address.port}`
  }

  async #ask(): Promise<ServedAddress[]> {
    try {
      return await askAddresses(this.#address)
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error)
      throw new Error(`${this.#name} is not there: ${cause}; start it, with the secret that the VoiceService names`, {
        cause: error,
      })
    }
  }
}

/** Why a server that listens on `served` cannot be this listener; undefined when it can. */
function problemOf(listener: ListenerAddress, served: readonly ServedAddress[]): string | undefined {
  const { address, port, advertised, tls } = listener
  const transport = listener.transport.toLowerCase()
  const found = served.find((one) => one.transport === transport && one.address === address && one.port === port)
  const contact = `--contact 'sip:${isIPv6(address) ? `[${address}]` : address}:${port};transport=${transport}'`
  if (found === undefined) {
    const others = served.map((one) => `${one.transport}/${one.address}:${one.port}`).join(', ') || 'nothing'
    return `does not listen there, but on ${others}; start it with ${contact}`
  }
  // Who has no certificate would be let in like those that have one.
  if (tls?.clientAuthorities !== undefined)
    return 'does not tell whose certificate a client has shown; remove clientCaRef'
  if (isIPv6(address)) return 'never sends the ACK of a call over IPv6; remove the listener, or use engine: Embedded'
  if (advertised !== undefined && advertised.port !== port) {
    return `cannot tell peers another port than the one it listens on; remove advertisedPort`
  }
  const told = advertised?.host ?? address
  if (found.external === told) return undefined
  const wayOut = advertised === undefined ? 'without --external-ip' : `with ${contact} --external-ip ${told}`
  return `tells peers ${found.external} and not ${told}; start it ${wayOut}`
}
