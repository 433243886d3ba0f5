import type { Clock } from '#lib/clock.ts'
import { ApiError, isNotFound } from './kube/api-error.ts'
import type { KubeClient } from './kube/client.ts'
import { leases } from './kube/leader-election.ts'
import { nameOf } from './kube/resource.ts'

export interface RivalsOptions {
  readonly api: Pick<KubeClient, 'get'>
  /** `namespace/name` of the Lease that we compete for with the other replicas of our release. */
  readonly own: string
  readonly clock: Clock
}

interface Sighting {
  /** Of the Lease as it was last seen; the HTTP status code where it may not be read. */
  readonly version: string
  /** When it was first and last seen so. */
  readonly since: number
  readonly at: number
}

/** A Lease that did not change for so long, in milliseconds, has no operator: an upgrade or a restart takes less. */
export const patience = 60_000
/** How long what was seen is good for, in milliseconds. */
const memory = 5_000

/**
 * Operators of other releases, which may have been told to run the same namespaces. Each marks the fleets that it runs with
 * its Lease; as long as that is renewed, the fleet is left to it. Clocks are not compared between machines: what counts is
 * whether the Lease changes.
 */
export class Rivals {
  readonly #options: RivalsOptions
  readonly #sightings = new Map<string, Sighting>()

  constructor(options: RivalsOptions) {
    this.#options = options
  }

  /** Whether a fleet with this mark is to be left alone. Rejects when the API server cannot be asked. */
  async isRunBy(mark: string | undefined, signal: AbortSignal): Promise<boolean> {
    const { own, clock } = this.#options
    if (mark === undefined || mark === own) return false
    const known = this.#sightings.get(mark)
    if (known !== undefined && clock.now() - known.at < memory) return isAlive(known)
    const version = await this.#versionOf(mark, signal)
    if (version === undefined) {
      this.#sightings.delete(mark)
      return false
    }
    const at = clock.now()
    const sighting = { version, since: known?.version === version ? known.since : at, at }
    this.#sightings.set(mark, sighting)
    return isAlive(sighting)
  }

  /** Undefined when there is no such Lease. A release that is uninstalled takes the right to read its Lease with it. */
  async #versionOf(mark: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { metadata } = await this.#options.api.get(leases, nameOf(mark), signal)
      return metadata.resourceVersion ?? ''
    } catch (error) {
      if (isNotFound(error)) return undefined
      if (error instanceof ApiError && error.code === 403) return String(error.code)
      throw error
    }
  }
}

function isAlive({ since, at }: Sighting): boolean {
  return at - since < patience
}
