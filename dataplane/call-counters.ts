import type { CallEvents, CallRecord, EndCause } from './call/call-record.ts'
import type { Proof } from './digest/digest-server.ts'
import type { ChallengeResult } from './call/trunk-credentials.ts'
import type { Family, Sample } from './metrics.ts'

/** Counts what becomes of calls, since the start of the replica. */
export class CallCounters implements CallEvents {
  #started = 0
  #answered = 0
  readonly #ended = new Tally()
  readonly #challenges = new Tally()
  readonly #proofs = new Tally()
  readonly #notAdmitted = new Tally()

  started(): void {
    this.#started++
  }

  answered(): void {
    this.#answered++
  }

  ended(_call: CallRecord, cause: EndCause): void {
    this.#ended.count(labelsOf(cause))
  }

  challenged(trunk: string, result: ChallengeResult): void {
    this.#challenges.count({ trunk, result })
  }

  authenticated(trunk: string, result: Proof): void {
    this.#proofs.count({ trunk, result })
  }

  notAdmitted(trunk: string, direction: 'inbound' | 'outbound'): void {
    this.#notAdmitted.count({ trunk, direction })
  }

  families(): Family[] {
    return [
      counter('sbcfleet_calls_started_total', 'Calls that a route was found for.', [{ value: this.#started }]),
      counter('sbcfleet_calls_answered_total', 'Calls that were answered.', [{ value: this.#answered }]),
      counter(
        'sbcfleet_calls_ended_total',
        'Calls that have ended, by cause: Released (by leg A or B), Cancelled, Refused (code: what the caller was told), Lost or Expired (of leg A or B), Media (code: Silent or Lost), Ended (from here).',
        this.#ended.samples(),
      ),
      counter(
        'sbcfleet_challenges_total',
        'Challenges of peers to requests of calls, by trunk and whether credentials answered them.',
        this.#challenges.samples(),
      ),
      counter(
        'sbcfleet_authentications_total',
        'INVITEs of trunks that ask for credentials, by trunk and result: Accepted, Challenged (had none), Stale or Replayed (told to take another nonce), Refused (wrong), Malformed, Limited (too many wrong ones), NoKey.',
        this.#proofs.samples(),
      ),
      counter(
        'sbcfleet_calls_not_admitted_total',
        'Calls that were one more than the fleet or a trunk may have, by trunk and direction: inbound ones got 503, outbound ones went to another trunk where there was one.',
        this.#notAdmitted.samples(),
      ),
    ]
  }
}

/** A count for each set of labels. */
class Tally {
  readonly #samples = new Map<string, { readonly labels: Readonly<Record<string, string>>; value: number }>()

  count(labels: Readonly<Record<string, string>>): void {
    const key = Object.values(labels).join(' ')
    const known = this.#samples.get(key)
    if (known === undefined) this.#samples.set(key, { labels, value: 1 })
    else known.value++
  }

  samples(): Sample[] {
    return [...this.#samples.values()].map(({ labels, value }) => ({ labels, value }))
  }
}

/** The labels are the same for every cause, and empty where they say nothing. */
function labelsOf(cause: EndCause): Readonly<Record<string, string>> {
  const none = { cause: cause.kind, leg: '', code: '' }
  switch (cause.kind) {
    case 'Released':
      return { ...none, leg: cause.by }
    case 'Refused':
      return { ...none, code: String(cause.status) }
    case 'Lost':
    case 'Expired':
      return { ...none, leg: cause.leg }
    case 'Media':
      return { ...none, code: cause.why }
    case 'Cancelled':
    case 'Ended':
      return none
  }
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'counter', help, samples }
}
