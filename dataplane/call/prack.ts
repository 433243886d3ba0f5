import { reliableSequence } from '../engine/message/reliability.ts'
import type { Body, IncomingResponse, OutgoingRequest, SipPort } from '../sip/port.ts'
import { ownRequestHeaders } from './relay.ts'

/**
 * The PRACK of a provisional answer (RFC 3262 section 4); undefined when none is due. `fork` names the early dialog where the
 * callee has several.
 */
export function prackOf(
  { message, dialogId }: IncomingResponse,
  options: { fork?: string | undefined; body?: Body | undefined } = {},
): OutgoingRequest | undefined {
  const rseq = reliableSequence(message)
  if (rseq === undefined || dialogId === undefined) return undefined
  const { fork, body } = options
  return {
    method: 'PRACK',
    dialogId,
    fork,
    headers: [['RAck', `${rseq} ${message.cseq} INVITE`], ...ownRequestHeaders()],
    body,
  }
}

/** Acknowledges a provisional answer that nobody else does. Whatever the PRACK is answered, the INVITE tells what became of it. */
export function acknowledgeProvisional(sip: SipPort, response: IncomingResponse, open: () => () => void): void {
  const prack = prackOf(response)
  if (prack === undefined) return
  const close = open()
  sip.send(prack, { onResponse: ({ status }) => status >= 200 && close(), onFailure: close })
}
