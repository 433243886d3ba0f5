import { drachtioSecret } from '../operator/compile/engine.ts'
import { fullName, type World } from '../operator/compile/world.ts'

/** What replicas are told of their engine. */
export class EngineEnvironment {
  /** Secrets by fleet, as they were last: a Secret that is gone or broken is no reason to stop what runs. */
  readonly #secrets = new Map<string, string>()

  /**
   * The variables of a replica with these addresses. A drachtio-server is asked on the replica's own loopback address, so
   * that several replicas can have one each. Undefined as long as its Secret was never there: no replica can run then.
   */
  of(world: World, addresses: readonly string[]): Readonly<Record<string, string>> | undefined {
    const { drachtio } = world.voiceService.spec
    if (drachtio === undefined) return {}
    const fleet = fullName(world.voiceService)
    const secret = drachtioSecret(world) ?? this.#secrets.get(fleet)
    if (secret === undefined) return undefined
    this.#secrets.set(fleet, secret)
    const host = addresses.find((address) => address.startsWith('127.')) ?? '127.0.0.1'
    return { SBCFLEET_DRACHTIO_ADDRESS: `${host}:${drachtio.port}`, SBCFLEET_DRACHTIO_SECRET: secret }
  }
}
