import type { Ack, ReplicaReport, ResourceError } from '#api/wire.ts'

/** What the control side knows of one connected replica: the input of status. */
export interface ReplicaState {
  readonly replica: string
  /** Made anew at every start of the replica's process. */
  readonly instance: string
  /** Milliseconds since 1970. */
  readonly connectedSince: number
  /** Revision it runs; null when it runs nothing. */
  readonly revision: string | null
  /** Key and version of every resource it runs. */
  readonly versions: ReadonlyMap<string, string>
  /** Resources it refuses at the moment, each with cause and way out. */
  readonly errors: readonly ResourceError[]
  /** Set when it refused the newest delta as a whole. */
  readonly refused: Ack['refused']
  /** A delta was sent that it has not answered yet. */
  readonly pending: boolean
  /** Takes no new calls and will end. */
  readonly draining: boolean
  readonly report: ReplicaReport | undefined
}

/**
 * What a replica runs after its answer: everything it was to run, but for what it refused, which stays at the version
 * that ran before, or does not run at all.
 */
export function versionsAfter(
  before: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
  errors: readonly ResourceError[],
): ReadonlyMap<string, string> {
  if (errors.length === 0) return wanted
  const after = new Map(wanted)
  for (const { key } of errors) {
    const kept = before.get(key)
    if (kept !== undefined && kept !== wanted.get(key)) after.set(key, kept)
    else after.delete(key)
  }
  return after
}
