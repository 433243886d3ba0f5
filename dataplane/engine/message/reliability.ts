import type { SipMessage } from './sip-message.ts'

/** What a RAck says: which response to which request is acknowledged (RFC 3262 §7.2). */
export interface RAck {
  readonly rseq: number
  /** CSeq number of the request. */
  readonly sequence: number
  readonly method: string
}

const OPTION = '100rel'
const LARGEST = 0xffffffff

/** RFC 3262 §7.1: `1*DIGIT`, from 1 to 2^32 - 1; undefined for anything else. */
export function rseqOf(response: SipMessage): number | undefined {
  const text = response.get('RSeq')
  const value = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : 0
  return value >= 1 && value <= LARGEST ? value : undefined
}

/**
 * RFC 3262 §7.2: `response-num LWS CSeq-num LWS Method`; undefined when there is none that can be read. What follows is left
 * alone: the three words say all there is to know.
 */
export function rackOf(prack: SipMessage): RAck | undefined {
  const [, rseq, sequence, method] = /^(\d{1,10})\s+(\d{1,10})\s+(\S+)/.exec(prack.get('RAck') ?? '') ?? []
  return method === undefined ? undefined : { rseq: Number(rseq), sequence: Number(sequence), method }
}

export function requiresReliability(message: SipMessage): boolean {
  return has(message, 'Require')
}

/** The sender of the INVITE takes reliable provisional responses. */
export function allowsReliability(invite: SipMessage): boolean {
  return has(invite, 'Supported') || has(invite, 'Require')
}

/**
 * RFC 3262 §4: "If a provisional response is received for an initial request, and that response contains a Require header
 * field containing the option tag 100rel, the response is to be sent reliably. If the response is a 100 (Trying) (as opposed
 * to 101 to 199), this option tag MUST be ignored". Gives its RSeq.
 */
export function reliableSequence(response: SipMessage): number | undefined {
  const { status, method } = response
  if (method !== 'INVITE' || status <= 100 || status >= 200 || !response.has('RSeq')) return undefined
  return requiresReliability(response) ? rseqOf(response) : undefined
}

function has(message: SipMessage, header: 'Supported' | 'Require'): boolean {
  return message.has(header) && message.values(header).some((option) => option.toLowerCase() === OPTION)
}
