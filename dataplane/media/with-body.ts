import type { SipMessage } from '../engine/message/sip-message.ts'

/** The message with another body, and nothing else of it changed. */
export function withBody(message: SipMessage, body: string): SipMessage {
  const { kind, method, uri, status, reason, callId, fromTag, toTag, cseq, branch } = message
  return {
    ...{ kind, method, uri, status, reason, callId, fromTag, toTag, cseq, branch, body },
    text: message.text.slice(0, message.text.length - message.body.length) + body,
    get: (name) => message.get(name),
    has: (name) => message.has(name),
    lines: (name) => message.lines(name),
    values: (name) => message.values(name),
    headers: () => message.headers(),
  }
}
