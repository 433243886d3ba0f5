import type { SipMessage } from '../engine/message/sip-message.ts'

/** A header field to be sent. */
type Field = readonly [name: string, value: string]

/**
 * The session timer runs end to end, between the two peers: what they say of it is carried over and nothing added. Since
 * a request of the caller becomes a request to the callee, `refresher=uac` and `uas` mean the same party on both legs.
 */
export function sessionTimerHeaders(message: SipMessage): Field[] {
  const fields: Field[] = []
  const inRequest = message.kind === 'request'
  if (inRequest ? message.method !== 'INVITE' && message.method !== 'UPDATE' : !speaksOfTimer(message)) return fields
  const expires = message.get('Session-Expires')
  if (expires !== undefined) fields.push(['Session-Expires', expires])
  const minimum = message.get('Min-SE')
  if (minimum !== undefined) fields.push(['Min-SE', minimum])
  // RFC 4028 section 9: a UAS with refresher=uac "MUST place a Require header field in the response with the value
  // 'timer'".
  if (message.values('Require').includes('timer')) fields.push(['Require', 'timer'])
  return fields
}

/** RFC 4028 table 1: Session-Expires stands in 2xx, Min-SE in 422. */
function speaksOfTimer({ status }: SipMessage): boolean {
  return (status >= 200 && status < 300) || status === 422
}
