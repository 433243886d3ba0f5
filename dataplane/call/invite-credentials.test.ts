import { describe, expect, it } from 'vitest'
import type { RegistrationConfig } from '#api/snapshot.ts'
import { Secret } from '#lib/secret.ts'
import type { HeaderList, IncomingResponse } from '../sip/port.ts'
import { responseMessage } from '../trunks/scripted-port.ts'
import { registration } from '../trunks/trunks-fixture.ts'
import { InviteCredentials } from './invite-credentials.ts'

function challenge(status: 401 | 407, realm: string, nonce = 'n', more = ''): IncomingResponse {
  const name = status === 401 ? 'WWW-Authenticate' : 'Proxy-Authenticate'
  const headers: HeaderList = [[name, `Digest realm="${realm}", nonce="${nonce}"${more}`]]
  const message = responseMessage(status, 'Challenge', 'INVITE', headers)
  return { status, reason: 'Challenge', message, local: false, dialogId: undefined, ack() {} }
}

function answering(...accounts: RegistrationConfig[]) {
  return new InviteCredentials(accounts, '+15550200', () => 'c')
}

const first = registration({ account: 'first', number: '+15550100', realm: 'one', username: 'u1' })
const second = registration({ account: 'second', number: '+15550200', realm: 'two', username: 'u2' })
const open = registration({ account: 'open', number: '+15550300', username: 'u3', password: new Secret('pa66') })

describe('the challenge to an INVITE', () => {
  it('is answered with the credentials of its realm (registrars check 5)', () => {
    const credentials = answering(first, second)
    expect(credentials.meets(challenge(407, 'two'))).toBe(true)
    expect(credentials.headers('sip:200@198.51.100.1')).toEqual([
      ['Proxy-Authorization', expect.stringMatching(/^Digest username="u2", realm="two", nonce="n", uri="sip:200@198/)],
    ])
  })

  it('is answered by an account of any realm where none is of that one, first by that of the calling number', () => {
    const credentials = answering(first, open, { ...open, number: '+15550200', username: 'u4' })
    expect(credentials.meets(challenge(401, 'three'))).toBe(true)
    expect(credentials.headers('sip:x')[0]?.[0]).toBe('Authorization')
    expect(credentials.headers('sip:x')[0]?.[1]).toContain('username="u4"')
  })

  it('is answered once, and again only for a nonce that was too old (RFC 7616 section 3.3)', () => {
    const credentials = answering(open)
    expect(credentials.meets(challenge(407, 'r', 'a'))).toBe(true)
    expect(credentials.meets(challenge(407, 'r', 'b'))).toBe(false)
    expect(credentials.meets(challenge(407, 'r', 'c', ', stale=true'))).toBe(true)
    expect(credentials.headers('sip:x')[0]?.[1]).toContain('nonce="c"')
  })

  it('is answered for a proxy and for the peer, each in its own header (RFC 3261 section 22.3)', () => {
    const credentials = answering(open)
    expect(credentials.meets(challenge(407, 'proxy'))).toBe(true)
    expect(credentials.meets(challenge(401, 'peer'))).toBe(true)
    expect(credentials.headers('sip:x').map(([name]) => name)).toEqual(['Proxy-Authorization', 'Authorization'])
  })

  it('is not answered without an account for it', () => {
    expect(answering().meets(challenge(407, 'r'))).toBe(false)
    expect(answering(first).meets(challenge(407, 'r'))).toBe(false)
    expect(answering(open).meets({ ...challenge(407, 'r'), local: true })).toBe(false)
  })
})
