import { once } from 'node:events'
import { X509Certificate } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { type CertificateSet, flaw, renewalDelay, renewed } from './plan.ts'

const day = 86_400_000
const dnsNames = ['sbcfleet-control.sbcfleet.svc', 'sbcfleet-control.sbcfleet.svc.cluster.local']
const now = Date.now()

function issue(present?: CertificateSet, at = now, names = dnsNames): CertificateSet {
  const set = renewed(present, { dnsNames: names, now: at })
  if (set === undefined) throw new Error('nothing was issued')
  return set
}

async function handshake(set: CertificateSet, ca: string, servername: string): Promise<string> {
  const { certificate: cert, key } = set.server
  const server = createServer({ cert, key }, (socket) => socket.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ca, servername })
  const outcome = await new Promise<string>((resolve) => {
    socket.on('secureConnect', () => resolve('trusted'))
    socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.message))
  })
  socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  return outcome
}

describe('the certificates of the control side', () => {
  it('are taken by a client that has the authority, for each of their names', async () => {
    const set = issue()
    for (const name of dnsNames) expect(await handshake(set, set.authorities, name)).toBe('trusted')
  })

  it('are refused for another name, and by a client that has another authority', async () => {
    const set = issue()
    expect(await handshake(set, set.authorities, 'example.com')).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await handshake(set, issue().authorities, dnsNames[0] ?? '')).not.toBe('trusted')
  })

  it('are what X.509 wants of an authority and of a server', () => {
    const { server, authority } = issue()
    const ca = new X509Certificate(authority?.certificate ?? '')
    const leaf = new X509Certificate(server.certificate)
    expect([ca.ca, leaf.ca]).toEqual([true, false])
    expect(leaf.checkIssued(ca)).toBe(true)
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
    expect(leaf.subjectAltName).toBe(dnsNames.map((name) => `DNS:${name}`).join(', '))
  })

  it('stay while more than a third of their life is left', () => {
    const set = issue()
    expect(renewed(set, { dnsNames, now: now + 59 * day })).toBeUndefined()
    expect(renewalDelay(set, now)).toBeGreaterThan(59 * day)
    expect(renewalDelay(set, now)).toBeLessThan(60 * day)
  })

  it('are renewed by the same authority after that', () => {
    const set = issue()
    const next = issue(set, now + 60 * day)
    expect(next.authority).toEqual(set.authority)
    expect(next.authorities).toBe(set.authorities)
    expect(next.server).not.toEqual(set.server)
    expect(renewalDelay(next, now + 60 * day)).toBeGreaterThan(59 * day)
  })

  it('are renewed when a name is missing', () => {
    const set = issue()
    expect(issue(set, now, [...dnsNames, 'other.svc']).authority).toEqual(set.authority)
  })

  it('are signed by a new authority only after replicas have accepted it for a day', async () => {
    const set = issue()
    const old = set.authority?.certificate ?? ''
    const announced = issue(set, now + 2500 * day)
    const next = announced.next?.certificate ?? ''
    expect(announced.authority).toEqual(set.authority)
    expect(announced.authorities).toBe(old + next)
    expect(new X509Certificate(announced.server.certificate).checkIssued(new X509Certificate(old))).toBe(true)
    expect(renewed(announced, { dnsNames, now: now + 2501 * day - 2_000 })).toBeUndefined()

    const changed = issue(announced, now + 2501 * day)
    expect([changed.authority, changed.next]).toEqual([announced.next, undefined])
    expect(changed.authorities).toBe(next + old)
    expect(new X509Certificate(changed.server.certificate).checkIssued(new X509Certificate(next))).toBe(true)
    expect(renewed(changed, { dnsNames, now: now + 2502 * day })).toBeUndefined()
    expect(issue(changed, now + 3651 * day).authorities).toBe(next)
  })

  it('are taken, while the authority changes, by replicas that have the authorities from before', async () => {
    // Of age to be followed, and yet good for handshakes today.
    const set = issue(undefined, now - 2500 * day)
    const announced = issue(set, now - day)
    const changed = issue(announced, now)
    for (const [server, ca] of [
      [announced, set],
      [changed, announced],
      [changed, changed],
    ] as const) {
      expect(await handshake(server, ca.authorities, dnsNames[0] ?? '')).toBe('trusted')
    }
  })

  it('are signed at once by the authority that waits when the one before is over', () => {
    const announced = issue(issue(), now + 2500 * day)
    const late = issue(announced, now + 3651 * day)
    expect([late.authority, late.next]).toEqual([announced.next, undefined])
  })

  it.each(['certificate', 'key'] as const)('are made anew when the %s of the authority is damaged', (part) => {
    const set = issue()
    const authority = { certificate: '', key: '', ...set.authority, [part]: 'damaged' }
    expect(issue({ ...set, authority }).authorities).not.toBe(set.authorities)
  })
})

describe('certificates that somebody else issued', () => {
  const set = issue()
  const [name = ''] = dnsNames

  it.each<[string, CertificateSet, string, number, RegExp | undefined]>([
    ['can be used', set, name, now, undefined],
    ['have expired', set, name, now + 91 * day, /expired at/],
    ['are for another name', set, 'control.other.svc', now, /not for control\.other\.svc/],
    [
      'have the key of another',
      { ...set, server: { ...set.server, key: issue().server.key } },
      name,
      now,
      /key does not/,
    ],
    ['are damaged', { ...set, server: { ...set.server, certificate: '' } }, name, now, /cannot be read/],
  ])('%s', (_what, given, dnsName, at, expected) => {
    const found = flaw(given, dnsName, at)
    if (expected === undefined) expect(found).toBeUndefined()
    else expect(found).toMatch(expected)
  })
})
