import { isRegisteredStatus } from './message/reason-phrases.ts'

const methods = [
  'INVITE',
  'ACK',
  'BYE',
  'CANCEL',
  'OPTIONS',
  'REGISTER',
  'INFO',
  'UPDATE',
  'PRACK',
  'REFER',
  'NOTIFY',
  'MESSAGE',
  'SUBSCRIBE',
  'PUBLISH',
] as const

/** Methods the engine knows; anything else is answered 501 (RFC 3261 §8.2.1). */
export const knownMethods: ReadonlySet<string> = new Set(methods)

/**
 * Counters since the start, by a name and what it is counted for, with spaces between them: `retransmitted`,
 * `received_requests INVITE`, `sent_responses INVITE 486`. What comes from the network is counted under names of ours
 * only, so their number is bounded.
 */
export class Counters {
  readonly values: Record<string, number> = {}

  count(name: string): void {
    this.values[name] = (this.values[name] ?? 0) + 1
  }

  countRequest(direction: 'received' | 'sent', method: string): void {
    this.count(`${direction}_requests ${nameOf(method)}`)
  }

  countResponse(direction: 'received' | 'sent', method: string, status: number): void {
    const code = isRegisteredStatus(status) ? status : `${Math.floor(status / 100)}xx`
    this.count(`${direction}_responses ${nameOf(method)} ${code}`)
  }
}

function nameOf(method: string): string {
  return knownMethods.has(method) ? method : 'other'
}
