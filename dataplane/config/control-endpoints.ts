import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'

/** One control side: a URL, and which of its host's addresses is meant; absent where the host is an address itself. */
export interface Endpoint {
  readonly url: string
  readonly address?: string
}

export interface ControlEndpointsOptions {
  readonly urls: readonly string[]
  /** All addresses of a host name. */
  readonly lookup: (host: string) => Promise<readonly LookupAddress[]>
  readonly onChange: (endpoints: readonly Endpoint[]) => void
  readonly clock: Clock
  readonly log: Log
  /** A number in [0, 1), for jitter. */
  readonly random: () => number
}

/** Time between two look-ups, in milliseconds, give or take a fifth: a new control side is found within it. */
const lookupMilliseconds = 5_000

/**
 * Every control side there is. Behind a host name there may be many, each with an address of its own, as with a headless
 * Service; they come and go, so the name is looked up again and again. A look-up that fails changes nothing.
 */
export class ControlEndpoints {
  readonly #options: ControlEndpointsOptions
  readonly #named: readonly string[]
  readonly #found = new Map<string, readonly string[]>()
  #timer: Timer | undefined
  #stopped = false
  #lastTrouble = ''

  constructor(options: ControlEndpointsOptions) {
    this.#options = options
    this.#named = options.urls.filter((url) => isIP(hostOf(url)) === 0)
  }

  start(): void {
    if (this.#named.length < this.#options.urls.length) this.#tell()
    if (this.#named.length > 0) void this.#refresh()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  async #refresh(): Promise<void> {
    const { clock, random } = this.#options
    await Promise.all(this.#named.map((url) => this.#lookUp(url)))
    if (this.#stopped) return
    this.#tell()
    this.#timer = clock.after(lookupMilliseconds * (0.8 + 0.4 * random()), () => void this.#refresh())
  }

  async #lookUp(url: string): Promise<void> {
    try {
      const found = await this.#options.lookup(hostOf(url))
      if (found.length > 0) this.#found.set(url, found.map(({ address }) => address).toSorted())
      this.#lastTrouble = ''
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (reason !== this.#lastTrouble) this.#options.log.warn({ url, reason }, 'no control side is found by this name')
      this.#lastTrouble = reason
    }
  }

  #tell(): void {
    this.#options.onChange(
      this.#options.urls.flatMap((url): Endpoint[] =>
        this.#named.includes(url) ? (this.#found.get(url) ?? []).map((address) => ({ url, address })) : [{ url }],
      ),
    )
  }
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '')
}
