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

  it('go on with a new authority when the old one is near its end, and clients of the old one are not cut off', async () => {
    const set = issue()
    const next = issue(set, now + 2500 * day)
    expect(next.authority).not.toEqual(set.authority)
    expect(next.authorities).toBe((next.authority?.certificate ?? '') + (set.authority?.certificate ?? ''))
    expect(await handshake(set, next.authorities, dnsNames[0] ?? '')).toBe('trusted')
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
