import type { MediaEngineConfig } from '#api/snapshot.ts'
import type { MediaEngine, VoiceService } from '#api/voice-service.ts'
import { canonicalHost } from './address.ts'
import { placed, type Check, type Findings, type Part, type Placed } from './check.ts'
import { hostIsWellFormed } from './listeners.ts'

type EnginePart = Part<MediaEngine, undefined>

const engineChecks: readonly Check<EnginePart>[] = [
  hostIsWellFormed, // what is neither an address nor a name never answers
  engineIsNew, // one engine under two names gets twice its share
]

export function compileMediaEngines({ spec }: VoiceService, findings: Findings): Placed<MediaEngineConfig>[] {
  return findings
    .sift(placed(spec.media.engines, 'spec.media.engines'), undefined, engineChecks)
    .map(({ value, field }) => ({ field, value: { type: 'MediaEngine', ...value } }))
}

function engineIsNew({ value, earlier }: EnginePart) {
  const same = earlier.find(
    (other) => canonicalHost(other.value.host) === canonicalHost(value.host) && other.value.port === value.port,
  )
  return same && { message: `${value.host}:${value.port} is already ${same.field}; remove one of them` }
}
