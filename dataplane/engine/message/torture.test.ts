import { describe, expect, it } from 'vitest'
import { invalidMessages } from '../testdata/torture-invalid.ts'
import { response, type TortureMessage } from '../testdata/torture-message.ts'
import { ipv6Messages } from '../testdata/torture-ipv6.ts'
import { semanticMessages } from '../testdata/torture-semantics.ts'
import { binaryBody, tortuous, twoRequests, validMessages } from '../testdata/torture-valid.ts'
import { parseMessage } from './parse.ts'

describe.each([
  ['RFC 4475 §3.1.1, valid', validMessages],
  ['RFC 4475 §3.1.2, invalid', invalidMessages],
  ['RFC 4475 §3.2 to §3.4, semantics', semanticMessages],
  ['RFC 5118, IPv6', ipv6Messages],
])('%s', (_collection, messages) => {
  it.each(messages)('§$section $title: $parser, since $why', (torture) => {
    expect(verdictOf(torture)).toBe(torture.parser)
  })
})

function verdictOf({ text }: TortureMessage): TortureMessage['parser'] {
  const result = parseMessage(text)
  if (result.ok) return 'accepted'
  return result.message === undefined ? 'silent' : result.status
}

describe('messages of RFC 4475 read as they are meant', () => {
  it('§3.1.1.1: what is folded, spaced and abbreviated reads as anything else', () => {
    const result = parseMessage(tortuous)
    if (!result.ok) throw new Error(result.reason)
    const { message } = result
    expect(message).toMatchObject({
      fromTag: '98asjd8',
      toTag: '1918181833n',
      cseq: 9,
      branch: '390skdjuw',
      sentBy: '192.0.2.2',
    })
    expect(message.values('Via')).toHaveLength(3)
    expect(message.get('Subject')).toBe('')
    expect(message.get('newfangledheader')).toBe('newfangled value continued newfangled value')
    expect(message.text).not.toMatch(/\r\n[ \t]/)
  })

  it('§3.1.1.8: octets after the body are no part of the message', () => {
    const { first, rest } = twoRequests
    const result = parseMessage(first + rest)
    expect(result).toMatchObject({ ok: true, message: { method: 'REGISTER', text: first, body: '' } })
  })

  it('§3.1.1.11: a body is anything', () => {
    const torture = validMessages.find(({ section }) => section === '3.1.1.11')
    const result = parseMessage(torture?.text ?? '')
    expect(result).toMatchObject({ ok: true, message: { body: binaryBody } })
    expect(binaryBody).toMatch(/\0[^]*[^\r]\n/)
  })

  it('a response is not refused for its Contact', () => {
    expect(parseMessage(response('200 OK', 'Contact: <sip:a@h'))).toMatchObject({ ok: true })
  })
})
