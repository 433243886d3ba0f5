import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { stringify } from 'yaml'
import { type Fleet, startFleet } from '../sip/fleet.ts'
import { freePorts } from '../sip/free-port.ts'
import { Baresip } from './baresip.ts'
import { Authority } from './certificates.ts'

const authority = new Authority()
const calledAddress = '127.0.0.7'

describe.skipIf(!inject('peers').baresip)('baresip as a phone on both sides, over TLS', () => {
  let fleet: Fleet
  let listener: number
  let callerPort: number
  let calledPort: number
  const phones: Baresip[] = []

  beforeAll(async () => {
    // A phone listens for TLS one port above the one it is given.
    ;[listener = 0, callerPort = 0, calledPort = 0] = await freePorts(3)
    const of = (kind: string, name: string, spec: object) =>
      stringify({ apiVersion: 'sbcfleet.dev/v1alpha1', kind, metadata: { name, namespace: 'voice' }, spec })
    const secret = (name: string, stringData: object) =>
      stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'voice' }, stringData })
    const trunk = (name: string, host: string, port: number) =>
      of('SipTrunk', name, {
        voiceServiceRef: { name: 'edge' },
        keepalive: { enabled: false },
        targets: [{ name: 'a', host, port: port + 1, transport: 'TLS' }],
        tls: { caRef: { name: 'authority' }, serverName: `${name}.example` },
      })
    const own = authority.issue({ dns: ['sbc.example'] })
    fleet = await startFleet({
      'fleet.yaml': of('VoiceService', 'edge', {
        listeners: [{ name: 'tls', transport: 'TLS', port: listener, tls: { secretRef: { name: 'own' } } }],
        routes: [{ name: 'through', match: { trunks: ['caller'] }, targets: [{ trunkRef: { name: 'called' } }] }],
      }),
      'caller.yaml': trunk('caller', '127.0.0.1', callerPort),
      'called.yaml': trunk('called', calledAddress, calledPort),
      'own.yaml': secret('own', { 'tls.crt': own.certificate, 'tls.key': own.key }),
      'authority.yaml': secret('authority', { 'ca.crt': authority.certificate }),
    })
  })

  afterAll(async () => {
    for (const phone of phones) await phone.stop()
    await fleet?.stop()
  })

  function phone(user: string, domain: string, address: string, port: number, calls?: string): Baresip {
    const { certificate, key } = authority.issue({ dns: [domain] })
    const made = new Baresip({
      ...{ user, address, port, tls: { certificate: certificate + key, authorities: authority.certificate } },
      ...(calls !== undefined && { calls }),
    })
    phones.push(made)
    return made
  }

  it('a call is set up, and its end reaches the other phone', async () => {
    const called = phone('2000', 'called.example', calledAddress, calledPort)
    await called.wrote(/baresip is ready/)
    const caller = phone('1000', 'caller.example', '127.0.0.1', callerPort, `sip:2000@127.0.0.1:${listener}`)
    await Promise.all([caller.wrote(/Call established/), called.wrote(/Call established/)])
    expect(called.output).toMatch(/^INVITE sip:2000@127\.0\.0\.7:\d+;transport=tls SIP\/2\.0/m)
    await caller.stop()
    await called.wrote(/^BYE sip:2000[^ ]*@127\.0\.0\.7:\d+;transport=tls SIP\/2\.0/m)
    await called.wrote(/session closed/i)
  })
})
