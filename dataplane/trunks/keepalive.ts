import type { TrunkConfig } from '#api/snapshot.ts'
import type { TargetFailure, TargetReport } from '#api/wire.ts'

/** OPTIONS keepalive as pure functions: what a result makes of a target, and when it is probed again. */

export type KeepalivePolicy = TrunkConfig['keepalive']

/** What is known of one target. */
export interface TargetHealth {
  readonly state: TargetReport['state']
  /** Failed probes in a row. */
  readonly failures: number
  /** Status of the last probe; undefined when nothing came. */
  readonly lastCode: number | undefined
  readonly failure: TargetFailure | undefined
  /** Last failure, for people; undefined after a success. */
  readonly detail: string | undefined
}

/**
 * What became of a probe. `NotSent`: something on our own side kept it from leaving, which says nothing of the target,
 * so that a replica without egress of its own does not call a peer down.
 */
export type ProbeResult =
  | { readonly kind: 'Answer'; readonly status: number; readonly reason: string }
  | { readonly kind: 'NoAnswer' | 'Unreachable' | 'TlsFailed'; readonly detail: string }
  | { readonly kind: 'NotSent'; readonly detail: string }

/** A new target is usable until it is found down. */
export const unknownHealth: TargetHealth = {
  state: 'Unknown',
  failures: 0,
  lastCode: undefined,
  failure: undefined,
  detail: undefined,
}

/**
 * What a result makes of a target. As configured at first, 503 and 505 say that nobody is there to take calls; every other
 * answer, 404 and 405 included, shows a live SIP peer (RFC 3261 section 11: the answer to OPTIONS is what it would be to
 * an INVITE, so 486 means busy, not down).
 */
export function step(health: TargetHealth, result: ProbeResult, policy: KeepalivePolicy): TargetHealth {
  if (result.kind === 'NotSent') return { ...health, detail: result.detail }
  const lastCode = result.kind === 'Answer' ? result.status : undefined
  if (result.kind === 'Answer' && !policy.failureCodes.includes(result.status)) {
    return { state: 'Up', failures: 0, lastCode, failure: undefined, detail: undefined }
  }
  // Counted no further than the threshold: one that is lowered takes effect with the next failure.
  const failures = Math.min(health.failures + 1, policy.failureThreshold)
  return {
    state: failures >= policy.failureThreshold ? 'Down' : health.state,
    failures,
    lastCode,
    failure: result.kind === 'Answer' ? 'Rejected' : result.kind,
    detail: result.kind === 'Answer' ? `${result.status} ${result.reason}`.trimEnd() : result.detail,
  }
}

/**
 * Milliseconds from the start of one probe to the start of the next. A target that was never seen up is probed as one
 * that is down, so that it is found soon. `random` in [0, 1) gives ±10 %, which keeps replicas and targets out of step.
 */
export function probeInterval(health: TargetHealth, policy: KeepalivePolicy, random: number): number {
  const seconds = health.state === 'Up' ? policy.upIntervalSeconds : policy.downIntervalSeconds
  return seconds * 1000 * (0.9 + 0.2 * random)
}
