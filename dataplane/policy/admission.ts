import type { Admission, TrunkAdmission } from '#api/admission.ts'
import { type Rate, TokenBucket } from '#lib/token-bucket.ts'

/** Seconds after which who has called when there were all the calls that there may be should try again (Retry-After). */
export const admissionRetryAfter = '5'

/** Calls at this replica now. */
export interface CallCounts {
  readonly all: () => number
  readonly from: (trunk: string) => number
  readonly to: (trunk: string) => number
}

/** Keeps count of the calls that begin, so that there are never more than there may be (feature item 29.3). */
export class AdmissionControl {
  readonly #calls: CallCounts
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(calls: CallCounts) {
    this.#calls = calls
  }

  /** Why a call from a trunk may not begin; undefined when it may, and then it is counted. `now` in milliseconds. */
  refusalFrom(
    trunk: string,
    limits: TrunkAdmission | undefined,
    fleet: Admission | undefined,
    now: number,
  ): string | undefined {
    return (
      tooMany('the fleet', this.#calls.all(), fleet?.maxCalls) ??
      this.#tooManyWith(trunk, limits) ??
      tooMany(`calls from trunk ${trunk}`, this.#calls.from(trunk), limits?.maxCallsInbound) ??
      this.#tooFast(`calls from trunk ${trunk}`, limits?.callsPerSecond, limits?.burst, now) ??
      this.#tooFast('the fleet', fleet?.callsPerSecond, fleet?.burst, now)
    )
  }

  /** Why a call may not be sent to a trunk; undefined when it may, and then it is counted. `now` in milliseconds. */
  refusalTo(trunk: string, limits: TrunkAdmission | undefined, now: number): string | undefined {
    return (
      this.#tooManyWith(trunk, limits) ??
      tooMany(`calls to trunk ${trunk}`, this.#calls.to(trunk), limits?.maxCallsOutbound) ??
      this.#tooFast(`calls to trunk ${trunk}`, limits?.callsPerSecondOutbound, limits?.burstOutbound, now)
    )
  }

  #tooManyWith(trunk: string, limits: TrunkAdmission | undefined): string | undefined {
    return tooMany(`calls with trunk ${trunk}`, this.#calls.from(trunk) + this.#calls.to(trunk), limits?.maxCalls)
  }

  #tooFast(what: string, perSecond: number | undefined, burst = perSecond, now: number): string | undefined {
    if (perSecond === undefined || burst === undefined) return undefined
    const rate: Rate = { perSecond, burst }
    const bucket = this.#buckets.get(what) ?? new TokenBucket(rate, now)
    this.#buckets.set(what, bucket)
    return bucket.take(rate, now) ? undefined : `${what}: at most ${perSecond} may begin a second at this replica`
  }
}

function tooMany(what: string, count: number, most: number | undefined): string | undefined {
  if (most === undefined || count < most) return undefined
  return `${what}: there are ${count} at this replica, and may be ${most}`
}
