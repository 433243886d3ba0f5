import { parseMessage } from '../../dataplane/engine/message/parse.ts'
import { CANARY } from './mutate.ts'

/** What is wrong with a message that was sent; undefined when nothing is. */
export function problemOf(text: string): string | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return 'sent without an end of its header fields'
  const head = text.slice(0, end)
  // Whoever reads a lone CR or LF as the end of a line sees a header field that nobody wrote.
  if (/\r(?!\n)|(?<!\r)\n|\0/.test(head)) return 'sent with a CR, LF or NUL inside a line'
  for (const line of head.split('\r\n')) if (line.startsWith(CANARY)) return `sent with ${CANARY}`
  const parsed = parseMessage(text)
  // An answer to a request that lacks a header field lacks it as well.
  if (parsed.ok || /^SIP\/2\.0 (400|416|505|513|501|481) /.test(text)) return undefined
  return `sent malformed: ${parsed.reason}`
}
