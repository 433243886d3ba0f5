import type { SipTrunk } from '#api/sip-trunk.ts'
import type { Resource } from '#api/snapshot.ts'
import type { Claims, Dealings } from './claims.ts'
import type { CompiledTrunk } from './trunks.ts'
import type { World } from './world.ts'

interface Remembered {
  readonly compiled: CompiledTrunk
  readonly dealings: Dealings
}

/**
 * What the trunks of one fleet were compiled to the last time. A trunk that is the same object, in a fleet that is the same
 * but for other trunks, and that gets in nobody's way, is compiled to the same again: of ten thousand mostly one differs.
 */
export class Memory {
  #common: readonly unknown[] = []
  #trunks = new WeakMap<SipTrunk, Remembered>()
  #resources = new WeakMap<object, Resource>()

  /** To be called before each compilation: what all trunks follow from. */
  begin({ voiceService, secrets, nonceRoot }: World): void {
    const common = [voiceService, nonceRoot?.reveal(), ...secrets]
    const isSame = common.length === this.#common.length && common.every((one, index) => one === this.#common[index])
    if (isSame) return
    this.#common = common
    this.#trunks = new WeakMap()
    this.#resources = new WeakMap()
  }

  /** What the trunk was compiled to, by `compile` if it must be now. */
  trunk(trunk: SipTrunk, claims: Claims, compile: () => CompiledTrunk): CompiledTrunk {
    const known = this.#trunks.get(trunk)
    if (known !== undefined && claims.repeat(trunk.metadata.name, known.dealings)) return known.compiled
    const dealings = claims.begin()
    const compiled = compile()
    if (dealings.hasMet) this.#trunks.delete(trunk)
    else this.#trunks.set(trunk, { compiled, dealings })
    return compiled
  }

  /** The resource with this body, made by `make` if it must be now. */
  resource(body: object, make: () => Resource): Resource {
    const known = this.#resources.get(body)
    if (known !== undefined) return known
    const made = make()
    this.#resources.set(body, made)
    return made
  }
}
