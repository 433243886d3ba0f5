import { type AttemptFailure, type Hunting, huntStep } from '../policy/hunting.ts'

/** How far the search for somebody to take the call is. `attempt` is the index of the target that is tried now. */
export type Hunt =
  /** The INVITE is out and nothing came back. */
  | { readonly at: 'trying'; readonly attempt: number }
  /** The target has said something. */
  | { readonly at: 'heard'; readonly attempt: number }
  | { readonly at: 'answered'; readonly attempt: number }
  | { readonly at: 'over' }

export type HuntEvent =
  /** 100, which concerns nobody else. */
  | { readonly type: 'trying'; readonly attempt: number }
  | { readonly type: 'provisional'; readonly attempt: number }
  | { readonly type: 'answer'; readonly attempt: number }
  | { readonly type: 'failure'; readonly attempt: number; readonly failure: AttemptFailure }
  /** A redirection that is followed: the places that it leads to stand behind that of the attempt. */
  | { readonly type: 'redirected'; readonly attempt: number }
  /** `timers.noResponseMilliseconds` have passed. */
  | { readonly type: 'silence'; readonly attempt: number }
  /** The call has rung long enough, and the caller is told so. */
  | { readonly type: 'expired'; readonly status: number }
  /** CANCEL or BYE of the caller. */
  | { readonly type: 'callerGone' }

export type HuntEffect =
  | { readonly do: 'try'; readonly attempt: number }
  /** Pass the provisional answer on to the caller. */
  | { readonly do: 'progress' }
  /** Pass the 2xx on to the caller. */
  | { readonly do: 'connect' }
  /** Refuse the caller, with what the last target said; `full` when its trunk may have no more calls. */
  | { readonly do: 'refuse'; readonly status: number; readonly full?: boolean }
  | { readonly do: 'cancel'; readonly attempt: number }
  /** A 2xx that nobody waits for: ACK, then BYE. */
  | { readonly do: 'release'; readonly attempt: number }

/** Attempts are told apart by target, since hunting may skip the other addresses of one. */
export type Place = {
  readonly trunk: string
  readonly target: { readonly name: string }
  readonly sip: { readonly hunting: Hunting }
  /** A redirection has led there. */
  readonly redirected?: boolean
}

/** The next state of the search, and what is to be done. */
export function step(hunt: Hunt, event: HuntEvent, places: readonly Place[]): [Hunt, ...HuntEffect[]] {
  if ('attempt' in event && (hunt.at === 'over' || hunt.at === 'answered' || hunt.attempt !== event.attempt)) {
    // RFC 3261 section 13.2.2.4 asks for ACK and BYE of a 2xx that comes after all.
    return event.type === 'answer' ? [hunt, { do: 'release', attempt: event.attempt }] : [hunt]
  }
  if (hunt.at === 'over' || hunt.at === 'answered') return [hunt]
  const { attempt } = hunt
  switch (event.type) {
    case 'trying':
      return [{ at: 'heard', attempt }]
    case 'provisional':
      return [{ at: 'heard', attempt }, { do: 'progress' }]
    case 'answer':
      return [{ at: 'answered', attempt }, { do: 'connect' }]
    case 'silence':
      if (hunt.at === 'heard') return [hunt]
      return [...next(attempt, { status: 408, local: true }, places), { do: 'cancel', attempt }]
    case 'failure':
      return next(attempt, event.failure, places)
    case 'redirected':
      return goTo(attempt + 1)
    case 'expired':
      return [{ at: 'over' }, { do: 'refuse', status: event.status }, { do: 'cancel', attempt }]
    case 'callerGone':
      return [{ at: 'over' }, { do: 'cancel', attempt }]
  }
}

function next(attempt: number, failure: AttemptFailure, places: readonly Place[]): [Hunt, ...HuntEffect[]] {
  const tried = places[attempt]
  // RFC 3261 section 8.1.3.4: "When a failure for a particular contact address is received, the client SHOULD try the next
  // contact address." A 6xx speaks for all of them (section 21.6).
  if (places[attempt + 1]?.redirected === true && failure.status < 600) return goTo(attempt + 1)
  const how = tried === undefined ? 'stop' : huntStep(failure, tried.sip.hunting)
  let index = attempt + 1
  if (how === 'target') while (isSameTarget(places[index], tried)) index++
  if (how === 'stop' || index >= places.length) {
    const { status, full } = failure
    return [{ at: 'over' }, { do: 'refuse', status, ...(full !== undefined && { full }) }]
  }
  return goTo(index)
}

function goTo(attempt: number): [Hunt, ...HuntEffect[]] {
  return [
    { at: 'trying', attempt },
    { do: 'try', attempt },
  ]
}

function isSameTarget(a: Place | undefined, b: Place | undefined): boolean {
  return a !== undefined && b !== undefined && a.trunk === b.trunk && a.target.name === b.target.name
}
