import type { CallEvents, CallRecord, EndCause } from './call/call-record.ts'
import type { Family, Sample } from './metrics.ts'

/** Counts what becomes of calls, since the start of the replica. */
export class CallCounters implements CallEvents {
  #started = 0
  #answered = 0
  readonly #ended = new Map<string, { labels: Readonly<Record<string, string>>; value: number }>()

  started(): void {
    this.#started++
  }

  answered(): void {
    this.#answered++
  }

  ended(_call: CallRecord, cause: EndCause): void {
    const labels = labelsOf(cause)
    const key = Object.values(labels).join(' ')
    const known = this.#ended.get(key)
    if (known === undefined) this.#ended.set(key, { labels, value: 1 })
    else known.value++
  }

  families(): Family[] {
    const ended: Sample[] = [...this.#ended.values()].map(({ labels, value }) => ({ labels, value }))
    return [
      counter('sbcfleet_calls_started_total', 'Calls that a route was found for.', [{ value: this.#started }]),
      counter('sbcfleet_calls_answered_total', 'Calls that were answered.', [{ value: this.#answered }]),
      counter(
        'sbcfleet_calls_ended_total',
        'Calls that have ended, by cause: Released (by leg A or B), Cancelled, Refused (code: what the caller was told), Lost or Expired (of leg A or B), Ended (from here).',
        ended,
      ),
    ]
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
    case 'Cancelled':
    case 'Ended':
      return none
  }
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'counter', help, samples }
}
