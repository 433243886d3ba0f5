import { randomInt } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { DnsClient } from '../../dataplane/dns/dns-client.ts'
import { Locator } from '../../dataplane/dns/locate.ts'
import { nextHopLookup } from '../../dataplane/dns/next-hop-lookup.ts'
import { Calling } from '../engine/calling.ts'
import { answerWith, SipPeer } from '../engine/sip-peer.ts'
import { freePorts } from '../sip/free-port.ts'
import { startKnot } from './knot.ts'

describe.skipIf(!inject('peers').knotd)('a next hop that is a name', () => {
  let knot: Awaited<ReturnType<typeof startKnot>>
  let calling: Calling

  beforeEach(async () => {
    knot = await startKnot(['here 60 A 127.0.0.1'])
    const dns = new DnsClient({ clock: new ManualClock(), servers: [knot.server], randomId: () => randomInt(65_536) })
    calling = await Calling.begin({ lookUp: nextHopLookup(new Locator(dns).locate, () => 0) })
  })

  afterEach(async () => {
    await calling.end()
    await knot.close()
  })

  const zone = (...records: string[]) => knot.change(['here 60 A 127.0.0.1', ...records])

  /** A call that Bob answers with that Contact, and Record-Route where there is one. */
  async function call(contact: string, recordRoute?: string): Promise<string> {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    const routes = recordRoute === undefined ? [] : [['Record-Route', recordRoute] as const]
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [['Contact', contact], ...routes] })
    return (await calling.application.response(200)).dialogId
  }

  it('in the Contact of a peer is found by SRV when it has no port, for ACK and BYE alike (RFC 3263 §4.2)', async () => {
    await zone(`_sip._udp.sip 60 SRV 10 0 ${calling.bob.port} here`, '_sip._udp.sip 60 SRV 20 0 9 here')
    const dialogId = await call('<sip:bob@sip.carrier.test>')
    await calling.send('ACK', { dialogId })
    expect((await calling.bob.request('ACK')).message.uri).toBe('sip:bob@sip.carrier.test')
    await calling.send('BYE', { dialogId })
    answerWith(await calling.bob.request('BYE'), { status: 200 })
    await calling.application.response(200)
  })

  it('in Route is found by its addresses when it has a port (RFC 3263 §4.2)', async () => {
    await zone(`_sip._udp.here 60 SRV 0 0 9 here`)
    const dialogId = await call('<sip:bob@far.example>', `<sip:here.carrier.test:${calling.bob.port};lr>`)
    await calling.send('ACK', { dialogId })
    expect((await calling.bob.request('ACK')).message.uri).toBe('sip:bob@far.example')
  })

  it('and cannot be connected to is passed over for the next server at once (RFC 3263 §4.3)', async () => {
    const second = await SipPeer.tcp()
    const [closed = 0] = await freePorts(1)
    await zone(`_sip._tcp.sip 60 SRV 10 0 ${closed} here`, `_sip._tcp.sip 60 SRV 20 0 ${second.port} here`)
    const order = calling.order('OPTIONS')
    await calling.application.command('sip|||sip:sip.carrier.test;transport=tcp', order)
    answerWith(await second.request('OPTIONS'), { status: 200 })
    await calling.application.response(200)
    await second.close()
  })

  it('that is silent is the last to be tried for half a minute (RFC 3263 §4.3)', async () => {
    const silent = await SipPeer.udp()
    await zone(`_sip._udp.sip 60 SRV 10 0 ${silent.port} here`, `_sip._udp.sip 60 SRV 20 0 ${calling.bob.port} here`)
    const send = () => calling.application.command('sip|||sip:sip.carrier.test', calling.order('OPTIONS'))
    await send()
    await silent.request('OPTIONS')
    calling.clock.advance(32_010)
    await calling.application.response(408)
    await send()
    answerWith(await calling.bob.request('OPTIONS'), { status: 200 })
    await calling.application.response(200)
    await silent.close()
  })

  it('that no DNS server knows fails as a transport error does (RFC 3261 §8.1.3.1)', async () => {
    const { tokens } = await calling.application.command('sip|||sip:nobody.carrier.test', calling.order('OPTIONS'))
    expect(tokens[0]).toBe('OK')
    expect((await calling.application.response(503)).message.get('X-Engine-Local')).toBe('transport')
  })

  it('that is no name the DNS can have fails the same way, and asks nobody', async () => {
    const uri = `sip:${'x'.repeat(70)}.carrier.test`
    await calling.application.command(`sip|||${uri}`, calling.order('OPTIONS'))
    expect((await calling.application.response(503)).message.get('X-Engine-Local')).toBe('transport')
  })
})
