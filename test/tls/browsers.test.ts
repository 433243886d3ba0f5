import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { stringify } from 'yaml'
import { parseNameAddr } from '../../dataplane/engine/message/name-addr.ts'
import { readMessage } from '../../dataplane/engine/message/parse.ts'
import { buildResponse } from '../../dataplane/engine/message/response.ts'
import { serialiseText } from '../../dataplane/engine/message/serialise.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { answerWith, sdp, SipPeer } from '../engine/sip-peer.ts'
import { type Fleet, startFleet } from '../sip/fleet.ts'
import { freePorts } from '../sip/free-port.ts'
import { Authority } from './certificates.ts'

const authority = new Authority()
const own = authority.issue({ dns: ['sbc.example'], addresses: ['127.0.0.1'] })
const browserAddress = '127.0.0.5'
const pbxAddress = '127.0.0.6'
/** Where the PBX is told to reach the fleet, as behind a NAT. */
const outside = { address: '203.0.113.9', port: 5099 }

function manifests(ports: { wss: number; udp: number; pbx: number }): Record<string, string> {
  const of = (kind: string, name: string, spec: object) =>
    stringify({ apiVersion: 'sbcfleet.dev/v1alpha1', kind, metadata: { name, namespace: 'voice' }, spec })
  const trunk = (name: string, target: object, rest: object = {}) =>
    of('SipTrunk', name, {
      voiceServiceRef: { name: 'edge' },
      keepalive: { enabled: false },
      targets: [{ name: 'a', ...target }],
      ...rest,
    })
  return {
    'fleet.yaml': of('VoiceService', 'edge', {
      listeners: [
        { name: 'browsers', transport: 'WSS', port: ports.wss, tls: { secretRef: { name: 'own' } } },
        {
          ...{ name: 'udp', transport: 'UDP', port: ports.udp },
          ...{ advertisedAddress: outside.address, advertisedPort: outside.port },
        },
      ],
      routes: [{ name: 'in', match: { trunks: ['browsers'] }, targets: [{ trunkRef: { name: 'pbx' } }] }],
    }),
    'browsers.yaml': trunk('browsers', { host: browserAddress, port: 443, transport: 'WSS' }),
    'pbx.yaml': trunk('pbx', { host: pbxAddress, port: ports.pbx }),
    'own.yaml': stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'own', namespace: 'voice' },
      stringData: { 'tls.crt': own.certificate, 'tls.key': own.key },
    }),
  }
}

/** Sends and takes messages as a browser does: no Content-Length, and a Contact that exists nowhere. */
class Browser {
  readonly #socket: WebSocket
  readonly #pieces: string[] = []
  #read = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data: Buffer) => this.#pieces.push(data.toString('utf8')))
  }

  static async connect(port: number): Promise<Browser> {
    const options = { ca: authority.certificate, localAddress: browserAddress }
    const socket = new WebSocket(`wss://127.0.0.1:${port}/`, 'sip', options)
    await once(socket, 'open')
    return new Browser(socket)
  }

  request(method: string, cseq: number, to: string, body = ''): void {
    const lines = [
      `${method} sip:2000@sbc.example SIP/2.0`,
      `Via: SIP/2.0/WSS a.invalid;branch=z9hG4bK-${method}-${cseq}`,
      'Max-Forwards: 70',
      'From: <sip:alice@sbc.example>;tag=a',
      `To: ${to}`,
      'Call-ID: browser',
      `CSeq: ${cseq} ${method}`,
      'Contact: <sip:alice@a.invalid;transport=ws>',
      ...(body === '' ? [] : ['Content-Type: application/sdp']),
    ]
    this.#socket.send(`${lines.join('\r\n')}\r\n\r\n${body}`)
  }

  answer(request: SipMessage): void {
    this.#socket.send(serialiseText(buildResponse(request, { status: 200 })))
  }

  async next(): Promise<SipMessage> {
    await expect.poll(() => this.#pieces.length).toBeGreaterThan(this.#read)
    const parsed = readMessage(this.#pieces[this.#read++] ?? '')
    if (!parsed.ok) throw new Error(parsed.reason)
    return parsed.message
  }

  close(): void {
    this.#socket.terminate()
  }
}

describe('a browser over secure WebSocket, and a PBX outside a NAT', () => {
  let fleet: Fleet
  let wss: number
  let udp: number
  let pbx: SipPeer

  beforeAll(async () => {
    ;[wss = 0, udp = 0] = await freePorts(2)
    pbx = await SipPeer.udp(pbxAddress, '127.0.0.1')
    fleet = await startFleet(manifests({ wss, udp, pbx: pbx.port }))
  })

  afterAll(async () => {
    await fleet?.stop()
    await pbx?.close()
  })

  it('call each other, and the PBX hangs up over the connection of the browser (RFC 7118 section 5.2)', async () => {
    const browser = await Browser.connect(wss)
    browser.request('INVITE', 1, '<sip:2000@sbc.example>', sdp)
    const invite = await pbx.request('INVITE')
    const { message } = invite
    expect(message.get('Via')).toMatch(/^SIP\/2\.0\/UDP 203\.0\.113\.9:5099;/)
    expect(message.get('Contact')).toContain(`@${outside.address}:${outside.port}>`)
    expect(message.get('From')).toContain(`@${outside.address}>`)
    expect(message.body).toMatch(/^o=.* IN IP4 203\.0\.113\.9\r$/m)
    expect(message.text.split('\r\n\r\n')[0]).not.toMatch(/127\.0\.0\.1|a\.invalid/)
    const headers: [string, string][] = [
      ['Contact', `<sip:pbx@${pbx.hostPort}>`],
      ['Content-Type', 'application/sdp'],
    ]
    answerWith(invite, { status: 200, toTag: 'pbx', headers, body: Buffer.from(sdp) })
    let answer = await browser.next()
    while (answer.status < 200) answer = await browser.next()
    expect(answer.status).toBe(200)
    expect(answer.get('Contact')).toContain(`@127.0.0.1:${wss};transport=ws>`)
    browser.request('ACK', 1, answer.get('To') ?? '')
    await pbx.request('ACK')
    const contact = parseNameAddr(message.get('Contact') ?? '')?.uri ?? ''
    pbx.send(
      [
        `BYE ${contact} SIP/2.0`,
        `Via: SIP/2.0/UDP ${pbx.hostPort};branch=z9hG4bK-bye`,
        'Max-Forwards: 70',
        `From: ${message.get('To')};tag=pbx`,
        `To: ${message.get('From')}`,
        `Call-ID: ${message.callId}`,
        'CSeq: 1 BYE',
        'Content-Length: 0\r\n\r\n',
      ].join('\r\n'),
      udp,
    )
    // The 200 is sent again until its ACK is there.
    let bye = await browser.next()
    while (bye.kind === 'response') bye = await browser.next()
    expect(bye.method).toBe('BYE')
    expect(bye.uri).toBe('sip:alice@a.invalid;transport=ws')
    browser.answer(bye)
    await pbx.response(200, 'BYE')
    browser.close()
  })
})
