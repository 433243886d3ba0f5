import type { SipMessage } from '../message/sip-message.ts'
import type { Headers } from '../transaction/outgoing-request.ts'

/** How one target has refused a request; without a response, it is one of our own for a target that said nothing. */
export interface Failure {
  readonly status: number
  readonly response: SipMessage | undefined
}

/**
 * RFC 3261 §16.7, step 6: "it MUST choose from the "best" response … If there are no 6xx class responses, the proxy SHOULD choose from the
 * lowest response class … The proxy MAY select any response within that chosen class. The proxy SHOULD give preference to responses
 * that provide information affecting resubmission of this request, such as 401, 407, 415, 420, and 484 if the 4xx class is chosen."
 */
export function bestFailure(failures: readonly Failure[]): Failure | undefined {
  return failures.toSorted((one, other) => rankOf(one) - rankOf(other))[0]
}

const telling: ReadonlySet<number> = new Set([401, 407, 415, 420, 484])

function rankOf({ status, response }: Failure): number {
  const kind = Math.floor(status / 100)
  return (kind === 6 ? 0 : kind) * 4 + (telling.has(status) ? 0 : 2) + (response === undefined ? 1 : 0)
}

/**
 * §16.7, step 7: "If the selected response is a 401 … or 407 …, the proxy MUST collect any WWW-Authenticate and
 * Proxy-Authenticate header field values from all other 401 … and 407 … responses received so far in this response context and
 * add them to this response without modification".
 */
export function otherChallenges(best: Failure, failures: readonly Failure[]): Headers {
  if (!isChallenge(best)) return []
  return failures
    .filter((failure) => failure !== best && isChallenge(failure))
    .flatMap(({ response }) =>
      ['WWW-Authenticate', 'Proxy-Authenticate'].flatMap((name) =>
        (response?.lines(name) ?? []).map((value) => [name, value] as const),
      ),
    )
}

function isChallenge({ status }: Failure): boolean {
  return status === 401 || status === 407
}
