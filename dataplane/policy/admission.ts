import type { Admission } from '#api/sip-trunk.ts'
import { TokenBucket } from '#lib/token-bucket.ts'

/** Keeps count of the calls that trunks begin, so that none begins more than it may (feature item 29.3). */
export class AdmissionControl {
  readonly #buckets = new Map<string, TokenBucket>()

  /**
   * Why a trunk that has so many calls may not begin another one; undefined when it may, and then the call is counted. `now`
   * in milliseconds.
   */
  refusal(trunk: string, limits: Admission | undefined, calls: number, now: number): string | undefined {
    if (limits === undefined) return undefined
    const { maxCallsInbound, callsPerSecond } = limits
    if (maxCallsInbound !== undefined && calls >= maxCallsInbound) {
      return `trunk ${trunk} has ${calls} calls at this replica, and may have ${maxCallsInbound}`
    }
    if (callsPerSecond === undefined) return undefined
    const rate = { perSecond: callsPerSecond, burst: limits.burst ?? callsPerSecond }
    const bucket = this.#buckets.get(trunk) ?? new TokenBucket(rate, now)
    this.#buckets.set(trunk, bucket)
    return bucket.take(rate, now)
      ? undefined
      : `trunk ${trunk} may begin ${callsPerSecond} calls a second at this replica`
  }
}
