/** How probes, REGISTERs and calls at targets ended, counted since the start. */
export class TrunkCounters {
  readonly probes = { Answered: 0, Rejected: 0, NoAnswer: 0, Unreachable: 0, TlsFailed: 0, NotSent: 0 }
  readonly registers = { Accepted: 0, Refused: 0, Silent: 0, NotSent: 0 }
  /** Times that a call of this replica took a target out, by itself. */
  distrusted = 0
}
