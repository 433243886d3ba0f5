import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Called } from './called.ts'
import { sdp } from './sip-peer.ts'

let called: Called

beforeEach(async () => {
  called = await Called.begin(['invite', 'options', 'ack', 'bye', 'update', 'info'])
})

afterEach(() => called.end())

describe('an INVITE with the Call-ID, From tag and CSeq of another', () => {
  it('by another way, merged, gets 482 (RFC 3261 §8.2.2.2)', async () => {
    await called.invite({ branch: 'z9hG4bK-way-1' })
    called.send('INVITE', { branch: 'z9hG4bK-way-2', body: sdp })
    await called.alice.response(482)
    expect(await called.application.untaken()).toEqual([])
  })

  it('of the next branch of a proxy that forks one after another is no merged request (RFC 3261 §8.2.2.2, §16.6)', async () => {
    const branches = ['z9hG4bK-fork-1', 'z9hG4bK-fork-2', 'z9hG4bK-fork-3'] as const
    const first = await called.invite({ branch: branches[0] })
    await called.application.respond(first.transactionId, 'SIP/2.0 486 Busy Here\r\nTo: <sip:bob@h>;tag=first\r\n\r\n')
    await called.alice.response(486)
    called.send('ACK', { branch: branches[0], toTag: 'first' })
    const second = await called.invite({ branch: branches[1], uri: 'sip:carol@127.0.0.1' })
    expect(second.message.uri).toBe('sip:carol@127.0.0.1')
    called.send('CANCEL', { branch: branches[1], uri: 'sip:carol@127.0.0.1', contact: false })
    const { message } = await called.alice.response(487, 'INVITE')
    await called.application.request('CANCEL')
    called.send('ACK', { branch: branches[1], uri: 'sip:carol@127.0.0.1', toTag: message.toTag })
    // What is left of the first two ends while the third goes on, which stays marked.
    const third = await called.invite({ branch: branches[2], uri: 'sip:dave@127.0.0.1' })
    called.clock.advance(40_000)
    called.send('INVITE', { branch: 'z9hG4bK-copy', uri: 'sip:dave@127.0.0.1', body: sdp })
    await called.alice.response(482)
    await called.application.respond(third.transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    expect((await called.alice.response(200)).message.branch).toBe(branches[2])
  })

  it('that has another way as well is merged with the one that was accepted (RFC 3261 §8.2.2.2)', async () => {
    const { transactionId } = await called.invite({ branch: 'z9hG4bK-way-1' })
    await called.application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await called.alice.response(200)
    called.send('INVITE', { branch: 'z9hG4bK-way-2', body: sdp })
    await called.alice.response(482)
  })
})
