import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { readMessage } from '../engine/message/parse.ts'
import type { SipMessage } from '../engine/message/sip-message.ts'
import { contactsOf, redirectedTo } from './redirection.ts'
import type { Attempt } from './targets.ts'
import { health, listener, runningConfig, target, trunk } from './testing/configuration.ts'

function redirection(contacts: readonly string[], status = 302): SipMessage {
  const lines = contacts.map((contact) => `Contact: ${contact}\r\n`).join('')
  const parsed = readMessage(`SIP/2.0 ${status} Moved\r\n${lines}\r\n`)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.message
}

describe('the contacts of a redirection (RFC 3261 section 8.1.3.4)', () => {
  it('come with the best q first, equals as they were listed', () => {
    const contacts = ['<sip:c@h>;q=0.5, <sip:a@h>', '<sip:b@h>;q=1.0', '<sip:d@h>;q=nothing', '<mailto:x@h>']
    expect(contactsOf(redirection(contacts)).map(({ user }) => user)).toEqual(['a', 'b', 'c', 'd'])
  })

  it.each([303, 380, 399])('of a %i are none', (status) => {
    expect(contactsOf(redirection(['<sip:a@h>'], status))).toEqual([])
  })
})

const tls = listener({ name: 'tls', transport: 'TLS', port: 5061 })
const config = runningConfig({
  listeners: [listener({ name: 'udp' }), tls],
  trunks: [
    trunk({
      name: 'carrier',
      targets: [
        target({ name: 'a', host: '198.51.100.1' }),
        target({ name: 'b', host: 'b.example', port: 5070 }),
        target({ name: 's', host: 's.example', port: 5061, transport: 'TLS', listener: 'tls' }),
        target({ name: 'down', host: '198.51.100.9' }),
      ],
    }),
    trunk({ name: 'other', targets: [target({ name: 'o', host: '203.0.113.7' })] }),
  ],
  routes: [],
})
const addresses = { 'carrier/b': ['198.51.100.2', '198.51.100.3'], 'carrier/s': ['198.51.100.4'] }
const world = health(config, { addresses, down: ['carrier/down'] })

function lead(contacts: readonly string[], redirect: Partial<typeof builtInBehaviour.redirect> = {}, status = 302) {
  const sip = { ...builtInBehaviour, redirect: { ...builtInBehaviour.redirect, ...redirect } }
  const from: Attempt = {
    ...{ route: 'out', trunk: 'carrier', target: target({ name: 'a', host: '198.51.100.1' }) },
    ...{ address: '198.51.100.1', port: 5060, listener: listener({ name: 'udp' }), sip },
  }
  const called = { scheme: 'sip', user: '2000', host: 'x' } as const
  const { places, because } = redirectedTo(redirection(contacts, status), from, called, {
    config,
    health: world,
    random: () => 0,
  })
  return {
    places: places.map((one) => `${one.called.user} ${one.attempt.target.name} ${one.attempt.address}`),
    because,
  }
}

describe('a redirection is followed', () => {
  it.each([
    ['<sip:1@198.51.100.1>', ['1 a 198.51.100.1']],
    ['<sip:1@198.51.100.1:5060;transport=udp>', ['1 a 198.51.100.1']],
    ['<sip:1@B.example>', ['1 b 198.51.100.2', '1 b 198.51.100.3']],
    ['<sip:1@198.51.100.3:5070>', ['1 b 198.51.100.3', '1 b 198.51.100.2']],
    ['<sips:1@s.example>', ['1 s 198.51.100.4']],
    ['<sips:1@s.example;transport=tcp>', ['1 s 198.51.100.4']],
    ['<sip:1@s.example;transport=tls>', ['1 s 198.51.100.4']],
  ])('to %s, which is a target of the trunk', (contact, places) => {
    expect(lead([contact])).toEqual({ places, because: [] })
  })

  it.each([
    '<sip:1@192.0.2.66>',
    '<sip:1@203.0.113.7>',
    '<sip:1@198.51.100.1:5099>',
    '<sip:1@198.51.100.1;transport=tcp>',
    '<sip:1@198.51.100.1;maddr=192.0.2.66>',
    '<sips:1@198.51.100.1>',
    '<tel:+15550100>',
  ])('not to %s, which is none: it could send calls anywhere', (contact) => {
    const { places, because } = lead([contact])
    expect(places).toEqual([])
    expect(because).toEqual([expect.stringMatching(/is no target of trunk carrier$/)])
  })

  it('to a target of another trunk where redirect.scope is Fleet', () => {
    expect(lead(['<sip:1@203.0.113.7>'], { scope: 'Fleet' }).places).toEqual(['1 o 203.0.113.7'])
    expect(lead(['<sip:1@192.0.2.66>'], { scope: 'Fleet' }).because).toEqual(['192.0.2.66 is no target of any trunk'])
  })

  it('to no target that is down', () => {
    expect(lead(['<sip:1@198.51.100.9>'])).toEqual({
      places: [],
      because: ['target carrier/down skipped: keepalive found it down'],
    })
  })

  it('to redirect.maxContacts of them at most', () => {
    const contacts = ['<sip:1@198.51.100.1>;q=0.1', '<sip:2@198.51.100.1>', '<sip:3@198.51.100.1>']
    expect(lead(contacts, { maxContacts: 2 }).places).toEqual(['2 a 198.51.100.1', '3 a 198.51.100.1'])
  })

  it('by 305 to another place with the number that was called before (RFC 3261 section 21.3.4)', () => {
    expect(lead(['<sip:198.51.100.1>'], {}, 305).places).toEqual(['2000 a 198.51.100.1'])
  })
})
