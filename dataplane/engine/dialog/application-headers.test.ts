import { describe, expect, it } from 'vitest'
import { readMessage } from '../message/parse.ts'
import type { Listener } from '../transport/transport.ts'
import { contactsOf } from './application-headers.ts'

const listener = { hostPort: '192.0.2.1:5060' } as Listener

describe('a Contact of an application', () => {
  it.each([
    ['sip:a@example.com', ['<sip:a@example.com>']],
    ['sip:a@example.com;expires=60', ['<sip:a@example.com>;expires=60']],
    ['<sip:a@example.com;transport=tcp>', ['<sip:a@example.com;transport=tcp>']],
    [
      '"A, B" <sip:a@example.com>;q=0.5, sip:b@example.com',
      ['"A, B" <sip:a@example.com>;q=0.5', '<sip:b@example.com>'],
    ],
    ['sip:a@localhost', ['<sip:a@192.0.2.1:5060>']],
    ['*', ['*']],
    ['what is this', ['what is this']],
  ])('%s goes out as %j (RFC 3261 §20.10)', (given, sent) => {
    const parsed = readMessage(`REGISTER sip:example.com SIP/2.0\r\nContact: ${given}\r\n\r\n`)
    if (!parsed.ok) throw new Error(parsed.reason)
    expect(contactsOf(parsed.message, listener)).toEqual(sent)
  })

  it('is none where there is none', () => {
    const parsed = readMessage('REGISTER sip:example.com SIP/2.0\r\n\r\n')
    if (!parsed.ok) throw new Error(parsed.reason)
    expect(contactsOf(parsed.message, listener)).toEqual([])
  })
})
