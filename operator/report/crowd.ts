import type { Clock } from '#lib/clock.ts'
import type { Occurrence } from '../kube/events.ts'
import { keyOf, type KubeObject } from '../kube/resource.ts'

/** Of events that are alike so many are told one by one, and the others of the same time, in milliseconds, together. */
const mostAlone = 10
const togetherMilliseconds = 10_000
/** The others are counted, and so many of them named. */
const mostNamed = 10

interface Gathering {
  readonly names: string[]
  alone: number
}

/**
 * Tells of trunks that turn. A carrier that goes away takes hundreds of them with it: then a few events tell of single trunks, and
 * one of their VoiceService tells of all the others, instead of a flood in which every other event is lost.
 */
export class Crowd {
  readonly #record: (occurrence: Occurrence) => void
  readonly #clock: Clock
  readonly #gatherings = new Map<string, Gathering>()

  constructor({ record, clock }: { record: (occurrence: Occurrence) => void; clock: Clock }) {
    this.#record = record
    this.#clock = clock
  }

  tell(occurrence: Occurrence, voiceService: KubeObject): void {
    const gathering = this.#gatheringOf(occurrence, voiceService)
    if (gathering.alone < mostAlone) {
      gathering.alone++
      this.#record(occurrence)
    } else gathering.names.push(occurrence.regarding.metadata.name)
  }

  #gatheringOf({ type, reason, action }: Occurrence, voiceService: KubeObject): Gathering {
    const key = `${keyOf(voiceService)} ${type} ${reason}`
    const known = this.#gatherings.get(key)
    if (known !== undefined) return known
    const gathering: Gathering = { names: [], alone: 0 }
    this.#gatherings.set(key, gathering)
    this.#clock.after(togetherMilliseconds, () => {
      this.#gatherings.delete(key)
      if (gathering.names.length > 0) {
        this.#record({ type, reason, action, regarding: voiceService, note: noteOf(gathering.names) })
      }
    })
    return gathering
  }
}

function noteOf(names: readonly string[]): string {
  const left = names.length - mostNamed
  const named = names.slice(0, mostNamed).join(', ')
  const within = `within ${togetherMilliseconds / 1000} s`
  return `${names.length} more SipTrunks ${within}: ${named}${left > 0 ? ` and ${left} others` : ''}; the status of each has its cause`
}
