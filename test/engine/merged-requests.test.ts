import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApplicationProbe, type Delivered } from './application.ts'
import { requestText, sdp, SipPeer } from './sip-peer.ts'
import { start } from './served.ts'

type Options = Partial<Parameters<typeof requestText>[1]>

let clock: ManualClock
let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let alice: SipPeer

beforeEach(async () => {
  clock = new ManualClock()
  engine = await start({ clock })
  application = await ApplicationProbe.serving(engine.port, ['invite', 'options', 'ack', 'bye', 'update', 'info'])
  alice = await SipPeer.udp()
})

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  await alice.close()
})

function send(method: string, options: Options = {}): void {
  const uri = `sip:bob@127.0.0.1:${engine.udp.port}`
  alice.send(requestText(alice, { method, uri, callId: 'call', ...options }), engine.udp.port)
}

/** Sends an INVITE and waits until the application has it. */
async function invite(options: Options = {}): Promise<Delivered> {
  send('INVITE', { body: sdp, ...options })
  return application.request('INVITE')
}

describe('an INVITE with the Call-ID, From tag and CSeq of another', () => {
  it('by another way, merged, gets 482 (RFC 3261 §8.2.2.2)', async () => {
    await invite({ branch: 'z9hG4bK-way-1' })
    send('INVITE', { branch: 'z9hG4bK-way-2', body: sdp })
    await alice.response(482)
    expect(await application.untaken()).toEqual([])
  })

  it('of the next branch of a proxy that forks one after another is no merged request (RFC 3261 §8.2.2.2, §16.6)', async () => {
    const branches = ['z9hG4bK-fork-1', 'z9hG4bK-fork-2', 'z9hG4bK-fork-3'] as const
    const first = await invite({ branch: branches[0] })
    await application.respond(first.transactionId, 'SIP/2.0 486 Busy Here\r\nTo: <sip:bob@h>;tag=first\r\n\r\n')
    await alice.response(486)
    send('ACK', { branch: branches[0], toTag: 'first' })
    const second = await invite({ branch: branches[1], uri: 'sip:carol@127.0.0.1' })
    expect(second.message.uri).toBe('sip:carol@127.0.0.1')
    send('CANCEL', { branch: branches[1], uri: 'sip:carol@127.0.0.1', contact: false })
    const { message } = await alice.response(487, 'INVITE')
    await application.request('CANCEL')
    send('ACK', { branch: branches[1], uri: 'sip:carol@127.0.0.1', toTag: message.toTag })
    // What is left of the first two ends while the third goes on, which stays marked.
    const third = await invite({ branch: branches[2], uri: 'sip:dave@127.0.0.1' })
    clock.advance(40_000)
    send('INVITE', { branch: 'z9hG4bK-copy', uri: 'sip:dave@127.0.0.1', body: sdp })
    await alice.response(482)
    await application.respond(third.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await alice.response(200)).message.branch).toBe(branches[2])
  })

  it('that has another way as well is merged with the one that was accepted (RFC 3261 §8.2.2.2)', async () => {
    const { transactionId } = await invite({ branch: 'z9hG4bK-way-1' })
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await alice.response(200)
    send('INVITE', { branch: 'z9hG4bK-way-2', body: sdp })
    await alice.response(482)
  })
})
