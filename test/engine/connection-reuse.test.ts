import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ListenerAddress } from '../../dataplane/engine/engine.types.ts'
import { StreamConnection } from '../../dataplane/engine/transport/stream-connection.ts'
import { Authority } from '../tls/certificates.ts'
import { ApplicationProbe } from './application.ts'
import { start } from './served.ts'
import { requestText, SipPeer } from './sip-peer.ts'

const authority = new Authority()
const own = authority.issue({ dns: ['sbc.example'] })
const carrier = authority.issue({ dns: ['carrier.example'] })

let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let listener: ListenerAddress
const closing: (() => Promise<unknown> | void)[] = []

/** With a TLS listener, which asks for certificates or not. */
async function begin(asks: boolean): Promise<void> {
  engine = await start({
    tlsTo: ({ host }) => ({
      identity: 'carrier',
      serverName: host,
      verify: true,
      authorities: authority.certificate,
      names: [host],
      credentials: own,
      minVersion: 'TLSv1.2',
    }),
  })
  const clientAuthorities = asks ? authority.certificate : undefined
  listener = await engine.engine.open({
    ...{ name: 'tls', transport: 'TLS', address: '127.0.0.1', port: 0 },
    tls: { ...own, others: [], clientAuthorities, minVersion: 'TLSv1.2' },
  })
  application = await ApplicationProbe.serving(engine.port, ['options'])
}

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  for (const close of closing.splice(0)) await close()
})

async function peer(): Promise<SipPeer> {
  const shown = { cert: carrier.certificate, key: carrier.key }
  const opened = await SipPeer.tls(shown, { ca: authority.certificate, servername: 'sbc.example', ...shown })
  closing.push(() => opened.close())
  return opened
}

function optionsTo(bob: SipPeer, host = 'carrier.example'): string {
  return `OPTIONS sip:bob@${host}:${bob.port};transport=tls;maddr=127.0.0.1 SIP/2.0\r\n\r\n`
}

describe('a connection that the peer offers by alias (RFC 5923 §5)', () => {
  it.each([
    ['is used for requests to it when it has shown its certificate', true, 1],
    ['is not when it has shown none', false, 2],
  ])('%s', async (_what, mutual, connections) => {
    await begin(mutual)
    const alice = await peer()
    const via = `SIP/2.0/TLS 127.0.0.1:${alice.port};branch=z9hG4bK-alias;alias`
    alice.send(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'alias', via }), listener.port)
    const { transactionId } = await application.request('OPTIONS')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200)
    await application.command('sip||', optionsTo(alice))
    await alice.request('OPTIONS')
    expect(engine.engine.gauges()['connections']).toBe(connections)
  })

  it('is so under one port, the last that the peer has named', async () => {
    await begin(true)
    const [alice, bob] = [await peer(), await peer()]
    for (const [number, { port }] of [alice, bob, alice].entries()) {
      const via = `SIP/2.0/TLS 127.0.0.1:${port};branch=z9hG4bK-${number};alias`
      alice.send(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: `${number}`, via }), listener.port)
      await application.request('OPTIONS')
    }
    await application.command('sip||', optionsTo(alice))
    await alice.request('OPTIONS')
    expect(engine.engine.gauges()['connections']).toBe(1)
    await application.command('sip||', optionsTo(bob))
    await bob.request('OPTIONS')
    expect(engine.engine.gauges()['connections']).toBe(2)
  })

  it('costs nothing more when several offer themselves for one port in turns', async () => {
    await begin(true)
    const listeners = vi.spyOn(StreamConnection.prototype, 'onClose')
    closing.push(() => listeners.mockRestore())
    const peers = [await peer(), await peer()]
    const { port } = peers[0] ?? listener
    for (let number = 0; number < 20; number++) {
      const alice = peers[number % 2]
      const via = `SIP/2.0/TLS 127.0.0.1:${port};branch=z9hG4bK-${number};alias`
      const order = { method: 'OPTIONS', uri: 'sip:b@c', callId: `${number}`, via }
      alice?.send(requestText(alice, order), listener.port)
      await application.request('OPTIONS')
    }
    expect(listeners).toHaveBeenCalledTimes(2)
  })

  it('is not used for another domain at the same place', async () => {
    await begin(true)
    const alice = await peer()
    const via = `SIP/2.0/TLS 127.0.0.1:${alice.port};branch=z9hG4bK-alias;alias`
    alice.send(requestText(alice, { method: 'OPTIONS', uri: 'sip:b@c', callId: 'alias', via }), listener.port)
    await application.request('OPTIONS')
    await application.command('sip||', optionsTo(alice, 'other.example'))
    await application.response(503)
  })
})
