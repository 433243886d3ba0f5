import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import type { ListenerAddress } from '../../dataplane/engine/engine.types.ts'
import type { HeaderList, IncomingRequest, IncomingResponse, SipPortError } from '../../dataplane/sip/port.ts'
import { answerWith, requestText, sdp, SipPeer } from '../engine/sip-peer.ts'
import { type ConnectedPort, connections, type EngineUnderTest, engineUnderTest } from '../engine/under-test.ts'

const log = createLog({ level: 'error', name: 'test', write: () => {} })

let clock: ManualClock
let engine: EngineUnderTest
let udp: ListenerAddress
let port: ConnectedPort
let peer: SipPeer
/** Of requests of the peer. A server that outlives a test must not take them for those of another. */
let callId: string

describe.each(connections())('connected %s,', (how) => {
  beforeEach(async () => {
    clock = new ManualClock()
    engine = engineUnderTest({ clock, log, admit: () => true })
    udp = await engine.open('udp', 'UDP', '127.0.0.1')
    port = await engine.connect(log, how)
    peer = await SipPeer.udp()
    callId = randomUUID()
  })

  afterEach(async () => {
    port.close()
    await engine.stop()
    await peer.close()
  })

  function requests(): Promise<IncomingRequest> {
    return new Promise((resolve) => port.onRequest(resolve))
  }

  /** Sends a request to the peer, and gives what comes of it. */
  function send(method: string, headers: HeaderList = []) {
    const uri = `sip:bob@${peer.hostPort}`
    const contact = ['Contact', `<sip:sbc@127.0.0.1:${udp.port}>`] as const
    const fields: HeaderList = [['From', '<sip:sbc@127.0.0.1>'], ['To', `<${uri}>`], contact, ...headers]
    let sent: (callId: string) => void
    const callId = new Promise<string>((resolve) => (sent = resolve))
    const outcome = new Promise<IncomingResponse | SipPortError>((resolve) => {
      port.send(
        { method, uri, headers: fields },
        {
          onSent: (message) => sent(message.callId),
          onResponse: (response) => response.status >= 200 && resolve(response),
          onFailure: resolve,
        },
      )
    })
    return { callId, outcome }
  }

  describe('requests from the network', () => {
    it('come with source, listener and transaction', async () => {
      const coming = requests()
      peer.send(requestText(peer, { method: 'OPTIONS', uri: 'sip:x', callId }), udp.port)
      const request = await coming
      expect(request).toMatchObject({
        method: 'OPTIONS',
        source: { address: '127.0.0.1', port: peer.port, transport: 'UDP' },
        receivedOn: { address: '127.0.0.1', port: udp.port },
        dialogId: undefined,
      })
      expect(request.message.callId).toBe(callId)
    })

    it.each([425, 469, 499, 555, 603, 607, 608, 699])('are answered with %i', async (status) => {
      port.onRequest((request) => request.respond(status))
      peer.send(requestText(peer, { method: 'OPTIONS', uri: 'sip:x', callId }), udp.port)
      await peer.response(status, 'OPTIONS')
    })

    it('get every header of an answer, each on its own line, and one To tag', async () => {
      port.onRequest((request) => {
        const headers: HeaderList = [
          ['Warning', '399 a "x, y"'],
          ['Warning', '399 b "z"'],
        ]
        request.respond(183, { headers, toTag: 'ours' })
        request.respond(486, { headers, toTag: 'ours' })
        request.respond(200)
      })
      peer.send(requestText(peer, { method: 'INVITE', uri: 'sip:x@y', callId, body: sdp }), udp.port)
      const progress = await peer.response(183)
      const refusal = await peer.response(486)
      expect([progress.message.toTag, refusal.message.toTag]).toEqual(['ours', 'ours'])
      expect(refusal.message.lines('Warning')).toEqual(['399 a "x, y"', '399 b "z"'])
    })

    it('tell the dialog id of an answer, and the ACK has it and the id of the INVITE', async () => {
      const seen: IncomingRequest[] = []
      let opened: string | undefined
      const acknowledged = new Promise<void>((resolve) =>
        port.onRequest((request) => {
          seen.push(request)
          if (request.method === 'ACK') resolve()
          else request.respond(200, { toTag: 'ours', onDialog: (id) => (opened = id) })
        }),
      )
      peer.send(requestText(peer, { method: 'INVITE', uri: 'sip:x@y', callId, body: sdp }), udp.port)
      await peer.response(200, 'INVITE')
      peer.send(requestText(peer, { method: 'ACK', uri: 'sip:x@y', callId, toTag: 'ours' }), udp.port)
      await acknowledged
      expect(opened).toBe(`${callId};from-tag=a-tag`)
      expect(seen.map(({ dialogId }) => dialogId)).toEqual([undefined, opened])
      expect(seen[1]?.transactionId).toBe(seen[0]?.transactionId)
    })

    it('that are cancelled say so: by the CANCEL, or by refusing a 200 that crosses with it (RFC 3261 section 9.2)', async () => {
      const coming = requests()
      const invite = { uri: 'sip:x@y', callId, branch: 'z9hG4bK-one' }
      peer.send(requestText(peer, { method: 'INVITE', ...invite, body: sdp }), udp.port)
      const request = await coming
      peer.send(requestText(peer, { method: 'CANCEL', ...invite }), udp.port)
      const told = new Promise<string>((resolve) => {
        request.onCancel(() => resolve('cancelled'))
        void peer.response(487, 'INVITE').then(() => request.respond(200, { onRefused: () => resolve('refused') }))
      })
      expect(['cancelled', 'refused']).toContain(await told)
    })

    it('a CANCEL of another branch cancels nothing', async () => {
      const coming = requests()
      peer.send(requestText(peer, { method: 'INVITE', uri: 'sip:x@y', callId, body: sdp }), udp.port)
      const request = await coming
      request.onCancel(() => request.respond(603))
      peer.send(requestText(peer, { method: 'CANCEL', uri: 'sip:x@y', callId, branch: 'z9hG4bK-else' }), udp.port)
      await peer.response(481, 'CANCEL')
      request.respond(486)
      await peer.response(486, 'INVITE')
    })
  })

  describe('requests of ours', () => {
    it('carry every header, each on its own line', async () => {
      const { outcome } = send('OPTIONS', [
        ['Reason', 'SIP;cause=200'],
        ['Reason', 'Q.850;cause=16'],
      ])
      const arrival = await peer.request('OPTIONS')
      expect(arrival.message.lines('Reason')).toEqual(['SIP;cause=200', 'Q.850;cause=16'])
      answerWith(arrival, { status: 200 })
      expect(await outcome).toMatchObject({ status: 200, local: false, dialogId: undefined })
    })

    it('tell what they were sent with', async () => {
      const { callId } = send('OPTIONS')
      expect((await peer.request('OPTIONS')).message.callId).toBe(await callId)
    })

    it('that nobody answers get a 408 that is marked as made here (RFC 3261 section 8.1.3.1)', async () => {
      const { outcome } = send('OPTIONS')
      await peer.request('OPTIONS')
      clock.advance(32_100)
      expect(await outcome).toMatchObject({ status: 408, local: true })
    })

    it('in a dialog that is gone fail as such', async () => {
      const failed = new Promise<SipPortError>((resolve) => {
        port.send(
          { method: 'BYE', dialogId: 'none;from-tag=x', headers: [] },
          { onResponse: () => {}, onFailure: resolve },
        )
      })
      expect(await failed).toMatchObject({ code: 'DialogGone' })
    })

    it('with a line end in a header are not sent', async () => {
      const { outcome } = send('OPTIONS', [['Subject', 'x\r\nX-Injected: 1']])
      expect(await outcome).toMatchObject({ code: 'Rejected' })
      send('INFO')
      await peer.request('INFO')
      expect(peer.arrived).toHaveLength(1)
    })
  })

  describe('the connection', () => {
    it('that is lost or given up fails what is outstanding, tells so, and sends nothing more', async () => {
      const lost = new Promise<void>((resolve) => port.onDisconnect(resolve))
      const { outcome } = send('OPTIONS')
      await peer.request('OPTIONS')
      if (how === 'over the network') await engine.stop()
      else port.close()
      expect(await outcome).toMatchObject({ code: 'Disconnected' })
      await lost
      expect(await send('OPTIONS').outcome).toMatchObject({ code: 'Disconnected' })
    })
  })
})

it('a connection with the wrong secret is refused', async () => {
  const server = engineUnderTest({ clock: new ManualClock(), log, admit: () => true })
  await expect(server.connect(log, 'over the network', 'wrong')).rejects.toThrow('refused the secret')
  await server.stop()
})
