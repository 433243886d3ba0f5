import type { VoiceService } from '#api/voice-service.ts'
import { builtInBehaviour, ResolvedSipBehaviour, type SipBehaviour } from '#api/sip-behaviour.ts'

/**
 * Resolves the chain of inheritance, most specific level first: route, SipTrunk, VoiceService, and in the end what is
 * built in. Objects are merged field by field; a list or a plain value, `false` included, is taken whole.
 */
export function resolveBehaviour(...levels: readonly (SipBehaviour | undefined)[]): ResolvedSipBehaviour {
  const chain = levels.filter((level) => level !== undefined).reverse()
  const resolved = ResolvedSipBehaviour.parse(chain.reduce<object>(override, builtInBehaviour))
  const { sessionTimer } = resolved
  // Each level keeps to it by a rule; from two levels they may meet the wrong way round.
  const expiresSeconds = Math.max(sessionTimer.expiresSeconds, sessionTimer.minSeSeconds)
  return { ...resolved, sessionTimer: { ...sessionTimer, expiresSeconds } }
}

/**
 * What the engine has the last word in. drachtio-server runs session timers by itself, and tells nobody: a fleet that ran
 * its own beside them would refresh twice, and meet the server's re-INVITE with its own.
 */
export function engineBehaviour({ spec }: VoiceService): SipBehaviour | undefined {
  return spec.engine === 'Drachtio' ? { sessionTimer: { mode: 'Disabled' } } : undefined
}

function override(base: object, over: object): object {
  const merged: Record<string, unknown> = { ...base }
  for (const [field, value] of Object.entries(over)) {
    if (value === undefined) continue
    const below = merged[field]
    merged[field] = isObject(below) && isObject(value) ? override(below, value) : value
  }
  return merged
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
