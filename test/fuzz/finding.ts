import type { Side } from './fuzzed-replica.ts'

/** A message that was sent, one character per byte. */
export interface FuzzedMessage {
  readonly text: string
  readonly side: Side
  /** Put in front of the parser, or over a real socket. */
  readonly way: 'intake' | 'UDP' | 'TCP'
}

/** Something that must not happen, with the messages that led to it, the last one last. */
export interface Finding {
  readonly kind: 'exception' | 'slow' | 'output' | 'leak' | 'silence'
  readonly detail: string
  readonly seed: number
  /** Number of the message in the run. */
  readonly number: number
  readonly messages: readonly FuzzedMessage[]
}
