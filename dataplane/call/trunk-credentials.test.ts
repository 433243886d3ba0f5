import { describe, expect, it } from 'vitest'
import type { RegistrationConfig } from '#api/snapshot.ts'
import { Secret } from '#lib/secret.ts'
import type { HeaderList, IncomingResponse } from '../sip/port.ts'
import { responseMessage } from '../trunks/scripted-port.ts'
import { registration } from '../trunks/trunks-fixture.ts'
import { TrunkCredentials } from './trunk-credentials.ts'

function challenge(status: 401 | 407, realm: string, nonce = 'n', more = ''): IncomingResponse {
  const name = status === 401 ? 'WWW-Authenticate' : 'Proxy-Authenticate'
  const headers: HeaderList = [[name, `Digest realm="${realm}", nonce="${nonce}"${more}`]]
  const message = responseMessage(status, 'Challenge', 'INVITE', headers)
  return { status, reason: 'Challenge', message, local: false, dialogId: undefined, ack() {} }
}

/** Credentials of a call of +15550200, and why challenges were not answered. */
function answering(...accounts: RegistrationConfig[]) {
  const told: (string | undefined)[] = []
  let serial = 0
  const trunk = new TrunkCredentials(
    accounts,
    '+15550200',
    () => `c${++serial}`,
    (_result, why) => told.push(why),
  )
  return { trunk, told, invite: trunk.forRequest('INVITE'), tokens: () => serial }
}

const first = registration({ account: 'first', number: '+15550100', realm: 'one', username: 'u1' })
const second = registration({ account: 'second', number: '+15550200', realm: 'two', username: 'u2' })
const open = registration({ account: 'open', number: '+15550300', username: 'u3', password: new Secret('pa66') })

describe('the challenge to an INVITE', () => {
  it('is answered with the credentials of its realm (registrars check 5)', () => {
    const { invite: credentials } = answering(first, second)
    expect(credentials.meets(challenge(407, 'two'))).toBe(true)
    expect(credentials.headers('sip:200@198.51.100.1')).toEqual([
      ['Proxy-Authorization', expect.stringMatching(/^Digest username="u2", realm="two", nonce="n", uri="sip:200@198/)],
    ])
  })

  it('is answered by an account of any realm where none is of that one, first by that of the calling number', () => {
    const { invite: credentials } = answering(first, open, { ...open, number: '+15550200', username: 'u4' })
    expect(credentials.meets(challenge(401, 'three'))).toBe(true)
    expect(credentials.headers('sip:x')[0]?.[0]).toBe('Authorization')
    expect(credentials.headers('sip:x')[0]?.[1]).toContain('username="u4"')
  })

  it('is answered once, and again only for a nonce that was too old (RFC 7616 section 3.3)', () => {
    const { invite: credentials } = answering(open)
    expect(credentials.meets(challenge(407, 'r', 'a'))).toBe(true)
    expect(credentials.meets(challenge(407, 'r', 'b'))).toBe(false)
    expect(credentials.meets(challenge(407, 'r', 'c', ', stale=true'))).toBe(true)
    expect(credentials.headers('sip:x')[0]?.[1]).toContain('nonce="c"')
  })

  it('is answered for a proxy and for the peer, each in its own header (RFC 3261 section 22.3)', () => {
    const { invite: credentials } = answering(open)
    expect(credentials.meets(challenge(407, 'proxy'))).toBe(true)
    expect(credentials.meets(challenge(401, 'peer'))).toBe(true)
    expect(credentials.headers('sip:x').map(([name]) => name)).toEqual(['Proxy-Authorization', 'Authorization'])
  })

  it('is answered for each realm of several proxies, at once or in turn (RFC 3261 section 22.3)', () => {
    const { invite } = answering(first, second)
    expect(invite.meets(challenge(407, 'one'))).toBe(true)
    expect(invite.meets(challenge(407, 'two'))).toBe(true)
    expect(invite.headers('sip:x').map(([, value]) => /realm="(\w+)"/.exec(value)?.[1])).toEqual(['one', 'two'])
    const { invite: other } = answering(first, second)
    const both = challenge(407, 'one', 'n', '\r\nProxy-Authenticate: Digest realm="two", nonce="m"')
    expect(other.meets(both)).toBe(true)
    expect(other.headers('sip:x')).toHaveLength(2)
  })

  it('of ever new realms comes to an end', () => {
    const { invite, told } = answering(open)
    const answered = Array.from({ length: 10 }, (_, index) => invite.meets(challenge(407, `realm-${index}`)))
    expect(answered.filter(Boolean)).toHaveLength(6)
    expect(told.at(-1)).toBe('it was challenged too often')
  })

  it('that wants more answers at once than there may be leaves nothing behind', () => {
    const { trunk, invite, tokens } = answering(open)
    const more = Array.from({ length: 50 }, (_, index) => `\r\nProxy-Authenticate: Digest realm="r${index}", nonce="n"`)
    expect([invite.meets(challenge(407, 'r', 'n', more.join(''))), tokens()]).toEqual([false, 0])
    expect(trunk.forRequestInside('BYE').meets(challenge(407, 'r1'))).toBe(false)
  })

  it('goes on counting a nonce that comes again in the call (RFC 7616 section 3.4)', () => {
    const { trunk, invite } = answering(open)
    const counted = challenge(407, 'r', 'same', ', qop="auth"')
    invite.meets(counted)
    const bye = trunk.forRequest('BYE')
    expect(bye.meets(counted)).toBe(true)
    const [[, first] = [], [, second] = []] = [invite.headers('sip:x')[0], bye.headers('sip:x')[0]]
    expect(first).toMatch(/cnonce="c1", qop=auth, nc=00000001$/)
    expect(second).toMatch(/cnonce="c1", qop=auth, nc=00000002$/)
    const next = trunk.forRequest('BYE')
    next.meets(challenge(407, 'r', 'another', ', qop="auth"'))
    expect(next.headers('sip:x')[0]?.[1]).toMatch(/cnonce="c2", qop=auth, nc=00000001$/)
  })

  it.each([
    ['without an account', [], challenge(407, 'r'), 'the trunk has no credentials for realm "r"'],
    ['for another realm', [first], challenge(407, 'r'), 'the trunk has no credentials for realm "r"'],
    [
      'that wants auth-int alone',
      [open],
      challenge(407, 'r', 'n', ', qop="auth-int"'),
      'it wants qop auth-int, which protects bodies too; have the peer offer qop auth',
    ],
    [
      'of an unknown algorithm',
      [open],
      challenge(407, 'r', 'n', ', algorithm=AKAv1-MD5'),
      'it has no Digest challenge of an algorithm and a qop that are known here',
    ],
  ] as const)('%s is not answered, and says why', (_what, accounts, challenged, why) => {
    const { invite, told } = answering(...accounts)
    expect(invite.meets(challenged)).toBe(false)
    expect(told).toEqual([why])
  })

  it('that refuses the credentials is not answered again, and says so', () => {
    const { invite, told } = answering(open)
    invite.meets(challenge(407, 'r', 'a'))
    expect(invite.meets(challenge(407, 'r', 'b'))).toBe(false)
    expect(told).toEqual([undefined, 'the credentials for realm "r" were refused'])
  })

  it('made up here, since nothing came, is none', () => {
    const { invite, told } = answering(open)
    expect([invite.meets({ ...challenge(407, 'r'), local: true }), told]).toEqual([false, []])
  })
})

describe('the challenge to a request inside a call', () => {
  // Its Request-URI is the Contact of the peer, so that whoever is called says what the answer is good for.
  it('of a realm that nobody has named and that has not challenged the INVITE is not answered, and says why', () => {
    const { trunk, told } = answering(open)
    const inside = trunk.forRequestInside('INVITE')
    expect([inside.meets(challenge(407, 'r')), inside.headers('sip:x')]).toEqual([false, []])
    expect(told).toEqual([
      'realm "r" has not challenged the INVITE of the call, and no credentials of the trunk name it as theirs',
    ])
  })

  it('is answered where its realm has challenged the INVITE, in whichever header, and no other realm is', () => {
    const { trunk, invite } = answering(open)
    invite.meets(challenge(407, 'r'))
    expect(trunk.forRequestInside('BYE').meets(challenge(401, 'r', 'm'))).toBe(true)
    expect(trunk.forRequestInside('BYE').meets(challenge(401, 'other', 'm'))).toBe(false)
    expect(trunk.forRequestInside('BYE').meets(challenge(401, 'other', 'm'))).toBe(false)
  })

  it('is answered where the credentials name its realm', () => {
    const { trunk } = answering(open, first)
    expect(trunk.forRequestInside('INVITE').meets(challenge(407, 'one'))).toBe(true)
  })

  it('has its realms told apart: those that may not be answered do not keep the others from it', () => {
    const { trunk } = answering(open, first)
    const inside = trunk.forRequestInside('INVITE')
    expect(inside.meets(challenge(407, 'r', 'n', '\r\nProxy-Authenticate: Digest realm="one", nonce="m"'))).toBe(true)
    expect(inside.headers('sip:x').map(([, value]) => /realm="(\w+)"/.exec(value)?.[1])).toEqual(['one'])
  })
})
