import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { listener, target, trunk } from '../policy/testing/configuration.ts'
import type { FakeOutgoing } from '../sip/fake-sip-port.ts'
import type { HeaderList } from '../sip/port.ts'
import { createScenario, farSdp, type Scenario } from './testing/scenario.ts'

const contacts = (...values: string[]): { headers: HeaderList } => ({
  headers: values.map((value) => ['Contact', value] as const),
})
const redirect = (fields: Partial<typeof builtInBehaviour.redirect>) => ({
  sip: { redirect: { ...builtInBehaviour.redirect, ...fields } },
})
const uris = ({ sip }: Scenario) => sip.all('INVITE').map(({ request }) => request.uri)
const identity = (one: FakeOutgoing) => ['From', 'To', 'Call-ID', 'CSeq'].map((name) => one.header(name))

/** Redirections lead to every trunk; another one is reached from a listener of its own. */
function withBackup(): Scenario {
  const b = target({ name: 'b', host: '192.0.2.77', listener: 'outside' })
  return createScenario({
    ...redirect({ scope: 'Fleet' }),
    besides: {
      trunk: trunk({ name: 'backup', listeners: ['outside'], targets: [b] }),
      listener: listener({ name: 'outside', address: '203.0.113.9' }),
    },
  })
}

describe('a redirection (RFC 3261 section 8.1.3.4)', () => {
  it('of two contacts: the second is tried when the first fails, and the caller sees only the end (feature item 1, check 2)', () => {
    const scenario = createScenario()
    const { sip, invite } = scenario
    const a = invite()
    sip.last('INVITE').respond(302, contacts('<sip:3002@198.51.100.3>;q=0.5', '<sip:3001@198.51.100.2>;q=1'))
    sip.last('INVITE').respond(503)
    const third = sip.last('INVITE')
    expect(uris(scenario)).toEqual(['sip:2000@198.51.100.1', 'sip:3001@198.51.100.2', 'sip:3002@198.51.100.3'])
    const from = '"Alice" <sip:1000@203.0.113.1>;tag=local'
    expect(identity(third)).toEqual([from, '<sip:2000@198.51.100.1>', 'fake-call-id', '2 INVITE'])
    third.respond(200, { body: farSdp('5000') })
    expect(a.statuses).toEqual([200])
  })

  it('says in the INVITE to the contact who was called before (feature item 7, check 5; item 20, check 4)', () => {
    const { sip, invite } = createScenario()
    invite()
    sip.last('INVITE').respond(302, contacts('<sip:3001@198.51.100.2>'))
    expect(sip.last('INVITE').header('Diversion')).toBe('<sip:2000@203.0.113.1>;reason=unconditional;counter=1')
  })

  it.each([410, 486, 480])('whose contact says %i goes on with the next contact', (status) => {
    const { sip, invite } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(302, contacts('<sip:3001@198.51.100.2>', '<sip:3002@198.51.100.3>'))
    sip.last('INVITE').respond(status)
    sip.last('INVITE').respond(status)
    expect([sip.all('INVITE').length, a.statuses]).toEqual([3, [status]])
  })

  it('whose last contact says 503 leads back to the targets that were decided, with the number that was called', () => {
    const scenario = createScenario()
    scenario.invite()
    scenario.sip.last('INVITE').respond(302, contacts('<sip:3001@198.51.100.3>'))
    scenario.sip.last('INVITE').respond(503)
    expect(uris(scenario).at(-1)).toBe('sip:2000@198.51.100.2')
    expect(scenario.sip.last('INVITE').header('Call-ID')).toBeUndefined()
    expect(scenario.sip.last('INVITE').header('Diversion')).toBeUndefined()
  })

  it('whose contact says 6xx is over: that speaks for everywhere (section 21.6)', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(302, contacts('<sip:3001@198.51.100.2>', '<sip:3002@198.51.100.3>'))
    sip.last('INVITE').respond(603)
    expect([sip.all('INVITE').length, a.statuses]).toEqual([2, [603]])
  })

  it('whose contact is silent goes on in a call of its own, since the first may still answer', () => {
    const { sip, invite, clock } = createScenario()
    invite()
    sip.last('INVITE').respond(302, contacts('<sip:3001@198.51.100.2>', '<sip:3002@198.51.100.3>'))
    const silent = sip.last('INVITE')
    clock.advance(4_000)
    expect(silent.cancelWanted).toBe(true)
    expect(sip.last('INVITE').header('Call-ID')).toBeUndefined()
    expect(sip.last('INVITE').request.uri).toBe('sip:3002@198.51.100.3')
  })

  it('whose contact wants a longer session interval is met in the same call', () => {
    const { sip, invite } = createScenario()
    invite({
      headers: [
        ['Supported', 'timer'],
        ['Session-Expires', '1800'],
      ],
    })
    sip.last('INVITE').respond(302, contacts('<sip:3001@198.51.100.2>'))
    sip.last('INVITE').respond(422, { headers: [['Min-SE', '3600']] })
    const again = sip.last('INVITE')
    expect([again.request.uri, again.header('Min-SE')]).toEqual(['sip:3001@198.51.100.2', '3600'])
    expect(again.header('To')).toBe('<sip:2000@198.51.100.1>')
  })

  it('is not followed to who is no target of the trunk: the caller gets 480', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(302, contacts('<sip:premium@192.0.2.66>'))
    expect([sip.all('INVITE').length, a.statuses]).toEqual([1, [480]])
  })

  it('to another trunk is a call of its own there: neither peer learns of the other, nor of our other address', () => {
    const { sip, invite } = withBackup()
    invite()
    sip
      .last('INVITE')
      .respond(302, contacts('<sip:3001@192.0.2.77>', '<sip:3002@198.51.100.2>', '<sip:3003@198.51.100.3>'))
    const backup = sip.last('INVITE')
    const plain = '"Alice" <sip:1000@203.0.113.9>'
    expect(identity(backup)).toEqual([plain, '<sip:2000@192.0.2.77>', undefined, undefined])
    expect(backup.header('Diversion')).toBe('<sip:2000@203.0.113.9>;reason=unconditional;counter=1')
    backup.respond(486)
    const back = sip.last('INVITE')
    expect(identity(back)).toEqual(['"Alice" <sip:1000@203.0.113.1>', '<sip:2000@198.51.100.2>', undefined, undefined])
    back.respond(486)
    expect([sip.last('INVITE').header('Call-ID'), sip.last('INVITE').header('CSeq')]).toEqual([
      'fake-call-id',
      '2 INVITE',
    ])
  })

  it('that goes in a circle comes to an end', () => {
    const { sip, invite } = createScenario()
    const a = invite()
    for (let hop = 0; a.statuses.length === 0; hop++) {
      sip.last('INVITE').respond(302, contacts('<sip:2000@198.51.100.1>', `<sip:${3000 + (hop % 2)}@198.51.100.2>`))
    }
    expect([sip.all('INVITE').length, a.statuses]).toEqual([3, [480]])
  })

  it('leads redirect.maxHops times to another, and 32 places are tried at most', () => {
    const { sip, invite } = createScenario(redirect({ maxHops: 3 }))
    const a = invite()
    for (let hop = 0; a.statuses.length === 0; hop++) {
      sip.last('INVITE').respond(302, contacts(`<sip:${3000 + hop}@198.51.100.2>`))
    }
    expect(sip.all('INVITE')).toHaveLength(4)
    const wide = createScenario(redirect({ maxHops: 16, maxContacts: 16 }))
    const b = wide.invite()
    for (let hop = 0; b.statuses.length === 0; hop++) {
      const many = Array.from({ length: 16 }, (_, one) => `<sip:${1000 * hop + one}@198.51.100.2>`)
      wide.sip.last('INVITE').respond(302, contacts(...many))
    }
    expect(wide.sip.all('INVITE')).toHaveLength(33)
  })

  it('during which the caller gives up: the contact is cancelled, and its 200 is taken back', () => {
    const { sip, invite, calls } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(302, contacts('<sip:3001@198.51.100.2>', '<sip:3002@198.51.100.3>'))
    const contact = sip.last('INVITE')
    contact.respond(180)
    a.cancel()
    expect(contact.cancelWanted).toBe(true)
    contact.respond(200, { body: farSdp('5000') })
    expect([contact.acks.length, sip.all('INVITE').length]).toEqual([1, 2])
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })

  it('goes to the caller where redirect.mode is PassThrough, with our address in its contacts (feature item 7, check 4)', () => {
    const { sip, invite } = createScenario(redirect({ mode: 'PassThrough' }))
    const a = invite()
    sip.last('INVITE').respond(302, contacts('<sip:3002@gateway.example>;q=0.1', '<sip:3001@198.51.100.77:5062>'))
    expect(a.statuses).toEqual([302])
    expect(a.lastAnswer.headers?.filter(([name]) => name === 'Contact')).toEqual([
      ['Contact', '<sip:3001@203.0.113.1:5060>'],
      ['Contact', '<sip:3002@203.0.113.1:5060>'],
    ])
  })

  it.each(['PassThrough', 'Consume'] as const)('without a contact is 480 with %s', (mode) => {
    const { sip, invite } = createScenario(redirect({ mode }))
    const a = invite()
    sip.last('INVITE').respond(302)
    expect(a.statuses).toEqual([480])
  })

  it('is 480 where redirect.mode is Reject', () => {
    const { sip, invite } = createScenario(redirect({ mode: 'Reject' }))
    const a = invite()
    sip.last('INVITE').respond(302, contacts('<sip:3001@198.51.100.2>'))
    expect([sip.all('INVITE').length, a.statuses]).toEqual([1, [480]])
  })
})
