import { retryAfterSeconds } from '../engine/message/delta-seconds.ts'
import type { IncomingResponse, OutgoingRequest, SipPort } from '../sip/port.ts'
import type { TimerFields } from '../policy/session-timer.ts'
import { writeTimer } from '../policy/session-timer.ts'
import { allow } from './header-relay.ts'
import type { Leg } from './leg.ts'
import { acknowledgeProvisional } from './prack.ts'
import { lastDescription, ownRequestHeaders } from './relay.ts'

/** What became of a re-INVITE or UPDATE of our own. */
export type OwnOutcome =
  | { readonly kind: 'Answered'; readonly response: IncomingResponse }
  /** 481 or 408: the peer has no such dialog any more (RFC 3261 section 12.2.1.2). */
  | { readonly kind: 'Lost'; readonly status: number }
  /** 422 (RFC 4028 section 7.3). */
  | { readonly kind: 'LongerInterval' }
  /** The peer does not know UPDATE after all. */
  | { readonly kind: 'NotAllowed' }
  /** It was not sent: the call is busy with another offer. */
  | { readonly kind: 'Busy' }
  /** 491. */
  | { readonly kind: 'Glare' }
  | { readonly kind: 'Refused'; readonly status: number; readonly retryAfterMilliseconds: number | undefined }

/** What the sender of an own request is told by, and asked. */
export interface OwnRequestEvents {
  guard(run: () => void): void
  open(): () => void
  /** Whether the 422 can be met by a longer interval. */
  raise(response: IncomingResponse): boolean
}

/**
 * A re-INVITE with the description that was sent last, byte for byte with its `o=`, or an UPDATE without one: it changes
 * nothing but the time of the last refresh.
 */
export function ownRequest(leg: Leg, method: 'INVITE' | 'UPDATE', timer: TimerFields): OutgoingRequest {
  return {
    method,
    dialogId: leg.dialogId,
    headers: [
      ['Contact', leg.contact],
      ...ownRequestHeaders(),
      ['Allow', allow],
      ...(timer.supported ? [['Supported', 'timer'] as const] : []),
      ...writeTimer(timer),
    ],
    body: method === 'INVITE' ? lastDescription(leg) : undefined,
  }
}

/** Sends it. `done` is called once, with a 2xx acknowledged. */
export function sendOwnRequest(
  sip: SipPort,
  request: OutgoingRequest,
  events: OwnRequestEvents,
  done: (outcome: OwnOutcome) => void,
): void {
  const close = events.open()
  sip.send(request, {
    onResponse: (response) => {
      if (response.status < 200) return acknowledgeProvisional(sip, response, () => events.open())
      response.ack()
      events.guard(() => done(outcomeOf(request.method, response, events)))
      close()
    },
    onFailure: ({ code }) => {
      events.guard(() =>
        done(
          code === 'DialogGone'
            ? { kind: 'Lost', status: 481 }
            : code === 'InviteInProgress'
              ? { kind: 'Busy' }
              : { kind: 'Refused', status: 500, retryAfterMilliseconds: undefined },
        ),
      )
      close()
    },
  })
}

function outcomeOf(method: string, response: IncomingResponse, events: OwnRequestEvents): OwnOutcome {
  const { status } = response
  if (status < 300) return { kind: 'Answered', response }
  if (status === 481 || status === 408) return { kind: 'Lost', status }
  if (status === 491) return { kind: 'Glare' }
  if (status === 422 && events.raise(response)) return { kind: 'LongerInterval' }
  if (method === 'UPDATE' && (status === 405 || status === 501)) return { kind: 'NotAllowed' }
  const seconds = retryAfterSeconds(response.message)
  return {
    kind: 'Refused',
    status,
    retryAfterMilliseconds:
      seconds === undefined ? undefined : Math.min(Math.max(1, seconds), longestRetryAfterSeconds) * 1000,
  }
}

/** A Retry-After is heeded up to here: a peer does not put off for ever what keeps its call alive. */
const longestRetryAfterSeconds = 600
