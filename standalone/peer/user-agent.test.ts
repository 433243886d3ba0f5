import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { parseMessage } from '../../dataplane/engine/message/parse.ts'
import { PeerSocket } from './peer-socket.ts'
import { Registrar } from './registrar.ts'
import { Trace } from './trace.ts'
import { UserAgent } from './user-agent.ts'

const nobody = { host: '127.0.0.1', port: 0 }

describe('two peers', () => {
  let trace: Trace
  let alice: UserAgent
  let bob: UserAgent

  beforeEach(async () => {
    trace = new Trace(systemClock)
    const accounts = new Map([['+15550100', { username: 'edge', password: 'open sesame' }]])
    alice = create('alice', undefined)
    bob = create('bob', new Registrar('bob.invalid', accounts))
    await Promise.all([alice.open(), bob.open()])
  })
  afterEach(() => {
    alice.close()
    bob.close()
  })

  const create = (name: string, registrar: Registrar | undefined) =>
    new UserAgent({
      name,
      endpoint: nobody,
      // It stands still: nothing is sent twice.
      clock: new ManualClock(),
      onTrace: (entry) => trace.add(entry),
      domain: `${name}.invalid`,
      mediaAddress: '192.0.2.10',
      registrar,
    })
  const lines = (peer: string) =>
    trace.entries
      .filter((entry) => entry.peer === peer)
      .map(({ direction, message }) => `${direction} ${message.status || message.method} ${message.cseq}`)

  it('set up a call, refresh its session and end it', async () => {
    const call = await alice.call({ called: '100', calling: '200' }, bob.endpoint, 1800)
    await alice.hangUp(await alice.refresh(call, 1800))
    expect(lines('bob').join(', ')).toBe(
      'received INVITE 1, sent 180 1, sent 200 1, received ACK 1, ' +
        'received INVITE 2, sent 200 2, received ACK 2, received BYE 3, sent 200 3',
    )
    const refresh = trace.entries.findLast(({ message }) => message.status === 200 && message.cseq === 2)?.message
    expect(refresh?.get('Session-Expires')).toBe('1800;refresher=uac')
    expect(refresh?.get('Require')).toBe('timer')
    expect(refresh?.body).toContain('c=IN IP4 192.0.2.10\r\n')
  })

  it('refuse what belongs to no call with 481 (RFC 3261 section 12.2.2)', async () => {
    const call = await alice.call({ called: '100', calling: '200' }, bob.endpoint, 1800)
    await alice.hangUp(call)
    await expect(alice.refresh({ ...call, cseq: 2 }, 1800)).rejects.toThrow('answered 481')
    expect(lines('alice').slice(-2)).toEqual(['received 481 3', 'sent ACK 3'])
  })

  it('cannot talk to a Contact that is a name', async () => {
    const call = await alice.call({ called: '100', calling: '200' }, bob.endpoint, 1800)
    await expect(alice.hangUp({ ...call, remoteTarget: 'sip:bob@bob.invalid' })).rejects.toThrow('IP address')
  })

  describe('of which one is a registrar', () => {
    const register = async (authorization?: string, expires = '3600') => {
      const socket = new PeerSocket({
        name: 'edge',
        endpoint: nobody,
        clock: new ManualClock(),
        onTrace: () => {},
        onRequest: () => {},
      })
      await socket.bind()
      const response = await socket.request({
        method: 'REGISTER',
        uri: 'sip:bob.invalid',
        destination: bob.endpoint,
        headers: [
          ['From', '<sip:+15550100@bob.invalid>;tag=1'],
          ['To', '<sip:+15550100@bob.invalid>'],
          ['Call-ID', 'registration'],
          ['CSeq', '1 REGISTER'],
          ['Contact', '<sip:+15550100@192.0.2.1>'],
          ['Expires', expires],
          ...(authorization === undefined ? [] : [['Authorization', authorization] as const]),
        ],
      })
      socket.close()
      return response
    }

    it('ask for a password, strongest algorithm first', async () => {
      const response = await register()
      expect(response.status).toBe(401)
      expect(response.lines('WWW-Authenticate').map((line) => /algorithm=([^,]+)/.exec(line)?.[1])).toEqual([
        'SHA-256',
        'MD5',
      ])
    })

    it('refuse a wrong password, and say what is wrong with it', async () => {
      const nonce = /nonce="([^"]+)"/.exec((await register()).get('WWW-Authenticate') ?? '')?.[1]
      const wrong = `Digest username="edge", realm="bob.invalid", nonce="${nonce}", uri="sip:bob.invalid", algorithm=MD5, qop=auth, nc=00000001, cnonce="x", response="${'0'.repeat(32)}"`
      const response = await register(wrong)
      expect(response.status).toBe(403)
      expect(response.reason).toContain('does not fit the password')
    })
  })
})

describe('a peer that is not answered', () => {
  it('sends an INVITE again after T1, 2 T1, 4 T1 and gives up after 64 T1 (RFC 3261 section 17.1.1.2)', async () => {
    const clock = new ManualClock()
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    const sendings: number[] = []
    const socket = new PeerSocket({
      name: 'alice',
      endpoint: nobody,
      clock,
      onTrace: ({ at }) => sendings.push(at),
      onRequest: () => {},
    })
    await socket.bind()
    const request = socket.request({
      method: 'INVITE',
      uri: 'sip:bob@127.0.0.1',
      destination: { host: '127.0.0.1', port: silent.address().port },
      headers: [
        ['From', '<sip:alice@alice.invalid>;tag=1'],
        ['To', '<sip:bob@bob.invalid>'],
        ['Call-ID', 'x'],
        ['CSeq', '1 INVITE'],
      ],
    })
    clock.advance(32_000)
    await expect(request).rejects.toThrow('alice got no answer to INVITE within 32 s')
    expect(sendings).toEqual([0, 500, 1500, 3500, 7500, 15_500, 31_500])
    expect(clock.pending).toBe(0)
    socket.close()
    silent.close()
  })

  it('says so when its port is taken', async () => {
    const first = createSocket('udp4').bind(0, '127.0.0.1')
    await once(first, 'listening')
    const socket = new PeerSocket({
      name: 'alice',
      endpoint: { host: '127.0.0.1', port: first.address().port },
      clock: systemClock,
      onTrace: () => {},
      onRequest: () => {},
    })
    await expect(socket.bind()).rejects.toMatchObject({ code: 'EADDRINUSE' })
    socket.close()
    first.close()
  })
})

describe('Trace', () => {
  it('says what was waited for in vain', async () => {
    const clock = new ManualClock()
    const waiting = new Trace(clock).until('the BYE at carrier', 5_000, () => false)
    clock.advance(5_000)
    await expect(waiting).rejects.toThrow('the BYE at carrier did not come within 5 s')
  })

  it('leaves no timer when it is closed, or when what was waited for came', async () => {
    const clock = new ManualClock()
    const trace = new Trace(clock)
    const came = trace.until('anything', 5_000, () => true)
    void trace.until('nothing', 5_000, ({ peer }) => peer === 'nobody')
    const result = parseMessage(
      'SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=2\r\n' +
        'Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n',
    )
    if (!result.ok) throw new Error(result.reason)
    trace.add({ at: 0, peer: 'alice', direction: 'received', message: result.message })
    expect((await came).peer).toBe('alice')
    expect(clock.pending).toBe(1)
    trace.close()
    expect(clock.pending).toBe(0)
  })
})
