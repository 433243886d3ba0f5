import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'

export type Hunting = ResolvedSipBehaviour['hunting']

/** How an attempt at a target ended without an answer to the call. */
export interface AttemptFailure {
  /** Status of the answer; 408 or 503 made up here when nothing came or nothing could be sent. */
  readonly status: number
  /** Nothing came from the network: timeout or transport error. */
  readonly local: boolean
  /** It was not tried: its trunk may have no more calls. */
  readonly full?: boolean
}

/** Where hunting goes on: at the next address of the same target, at the next target, or nowhere. */
export type HuntStep = 'address' | 'target' | 'stop'

/**
 * Feature item 9: hunting goes on after the codes of `huntOn`, and after silence, but not after those of `stopOn`. A silent
 * or unreachable address says nothing of the target's other addresses: RFC 3263 section 4.3 tries them next, as it does
 * after 503.
 */
export function huntStep({ status, local, full = false }: AttemptFailure, { huntOn, stopOn }: Hunting): HuntStep {
  if (full) return 'target'
  if (local) return huntOn.timeout ? 'address' : 'stop'
  if (!huntOn.codes.includes(status) || stopOn.some(({ from, to }) => from <= status && status <= to)) return 'stop'
  return status === 503 ? 'address' : 'target'
}
