import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ListenerAddress } from '../../dataplane/engine/engine.types.ts'
import { ApplicationProbe } from './application.ts'
import { start } from './served.ts'
import { answerWith, requestText, sdp, SipPeer } from './sip-peer.ts'

let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let peer: SipPeer
let listener: ListenerAddress

beforeEach(async () => {
  engine = await start()
  listener = await engine.engine.open({
    name: 'behind NAT',
    transport: 'UDP',
    address: '127.0.0.1',
    port: 0,
    advertised: { host: 'sbc.example', port: 5070 },
  })
  application = await ApplicationProbe.serving(engine.port, ['invite', 'options'])
  peer = await SipPeer.udp()
})

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  await peer.close()
})

describe('a listener that peers reach at another address than it is bound to', () => {
  it('is the one that an application means by a Contact with that address, in any case', async () => {
    for (const host of ['sbc.example', 'SBC.example']) {
      const text = `OPTIONS sip:bob@${peer.hostPort} SIP/2.0\r\nContact: <sip:me@${host}:5070>\r\n\r\n`
      const { tokens } = await application.command('sip||', text)
      expect(tokens[5]).toBe(String(listener.port))
      const arrival = await peer.request('OPTIONS')
      expect(arrival.message.get('Via')).toMatch(/^SIP\/2\.0\/UDP sbc\.example:5070;/)
      answerWith(arrival, { status: 200, toTag: 'bob' })
      await application.response(200)
    }
  })

  it('tells it in the Contact of an answer, and tells the application where the request came in', async () => {
    peer.send(requestText(peer, { method: 'INVITE', uri: 'sip:b@c', callId: 'nat', body: sdp }), listener.port)
    const { transactionId, tokens } = await application.request('INVITE')
    expect(tokens.slice(10)).toEqual(['127.0.0.1', String(listener.port)])
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await peer.response(200)).message.get('Contact')).toBe('<sip:sbc.example:5070>')
  })

  it('tells another one after a reload, without being bound anew', async () => {
    engine.engine.reload({ ...listener, advertised: { host: '2001:db8::1', port: 5080 } })
    const text = `OPTIONS sip:bob@${peer.hostPort} SIP/2.0\r\nContact: <sip:me@[2001:db8:0::1]:5080>\r\n\r\n`
    await application.command('sip||', text)
    const arrival = await peer.request('OPTIONS')
    expect(arrival.message.get('Via')).toMatch(/^SIP\/2\.0\/UDP \[2001:db8::1\]:5080;/)
    answerWith(arrival, { status: 200, toTag: 'bob' })
    await application.response(200)
    engine.engine.reload({ ...listener, advertised: undefined })
    await application.command('sip||', text.replace('[2001:db8:0::1]:5080', `127.0.0.1:${listener.port}`))
    const { message } = await peer.request('OPTIONS')
    expect(message.get('Via')).toContain(`SIP/2.0/UDP 127.0.0.1:${listener.port};`)
  })
})
