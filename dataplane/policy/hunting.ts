/** How an attempt at a target ended without an answer to the call. */
export interface AttemptFailure {
  /** Status of the answer; 408 or 503 made up here when nothing came or nothing could be sent. */
  readonly status: number
  /** Nothing came from the network: timeout or transport error. */
  readonly local: boolean
}

/** Where hunting goes on: at the next address of the same target, at the next target, or nowhere. */
export type HuntStep = 'address' | 'target' | 'stop'

/**
 * 404, 500 and 503 say that this target cannot take the call, so another may; 480, 486 and 6xx speak of the callee, who
 * is the same everywhere (feature item 9). A silent or unreachable address says nothing of the target's other addresses:
 * RFC 3263 section 4.3 tries them next, as it does after 503.
 */
export function huntStep({ status, local }: AttemptFailure): HuntStep {
  if (local || status === 503) return 'address'
  return status === 404 || status === 500 ? 'target' : 'stop'
}
