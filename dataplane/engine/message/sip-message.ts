/**
 * One SIP message: its text, scanned once, values read when asked for. The text has one character per byte (latin1)
 * inside the engine, and decoded UTF-8 outside of it; the grammar is the same.
 */
export interface SipMessage {
  readonly kind: 'request' | 'response'
  /** Method of the request line; in a response, that of CSeq. */
  readonly method: string
  /** Request-URI as it stands; empty in a response. */
  readonly uri: string
  /** Status code; 0 in a request. */
  readonly status: number
  readonly reason: string
  /** The text it was parsed from. */
  readonly text: string
  readonly body: string

  /** First field value of that name, unfolded and trimmed. Names are compared without case; compact forms are known. */
  get(name: string): string | undefined
  has(name: string): boolean
  /** Field values of that name in order, one per header line. */
  lines(name: string): string[]
  /** Field values of that name in order, comma lists taken apart outside quotes and angle brackets. */
  values(name: string): string[]
  /** All header lines in order, names in their long form as commonly written. */
  headers(): IterableIterator<[name: string, value: string]>

  readonly callId: string
  readonly fromTag: string
  /** Empty when there is none. */
  readonly toTag: string
  readonly cseq: number
  readonly branch: string
}
