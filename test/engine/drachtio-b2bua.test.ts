import type Srf from 'drachtio-srf'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Arrival, answerWith, requestText, sdp, SipPeer } from './sip-peer.ts'
import { handle, serve, type Served } from './served.ts'

let served: Served
let alice: SipPeer
let bob: SipPeer

beforeEach(async () => {
  served = await serve()
  alice = await SipPeer.udp()
  bob = await SipPeer.udp()
})

afterEach(async () => {
  await served.stop()
  await alice.close()
  await bob.close()
})

/** Has drachtio-srf bridge every call to Bob; resolves with both dialogs, or with the error that ended the attempt. */
function bridgeToBob(
  carried: { proxyRequestHeaders?: string[]; proxyResponseHeaders?: string[] } = {},
): Promise<{ uas: Srf.Dialog; uac: Srf.Dialog } | { status: number }> {
  return new Promise((resolve) => {
    served.srf.invite((req, res) => {
      served.srf
        .createB2BUA(req, res, `sip:bob@${bob.hostPort}`, { headers: { Contact: '<sip:sbc@localhost>' }, ...carried })
        .then((dialogs) => {
          dialogs.uas.on('destroy', () => dialogs.uac.destroy())
          dialogs.uac.on('destroy', () => dialogs.uas.destroy())
          resolve(dialogs)
        }, resolve)
    })
  })
}

function send(method: string, options: Partial<Parameters<typeof requestText>[1]> & { callId: string }): void {
  const uri = `sip:bob@127.0.0.1:${served.udp.port}`
  alice.send(requestText(alice, { method, uri, ...options }), served.udp.port)
}

function accept(invite: Arrival, toTag = 'bob'): void {
  const headers = [
    ['Contact', `<sip:bob@${bob.hostPort}>`],
    ['Content-Type', 'application/sdp'],
  ] as const
  answerWith(invite, { status: 200, toTag, headers, body: sdp })
}

/** Alice's call to Bob, answered and acknowledged. */
async function establish(callId: string): Promise<{ aliceSees: string; toBob: Arrival; dialogs: Promise<unknown> }> {
  const dialogs = bridgeToBob()
  send('INVITE', { callId, body: sdp })
  const toBob = await bob.request('INVITE')
  accept(toBob)
  await bob.request('ACK')
  const ok = (await alice.response(200)).message
  send('ACK', { callId, toTag: ok.toTag })
  await dialogs
  return { aliceSees: ok.toTag, toBob, dialogs }
}

describe('an unmodified drachtio-srf bridges a call with createB2BUA', () => {
  it('from INVITE over 180 and 200 to a BYE of the caller, and every dialog is freed', async () => {
    const bridged = bridgeToBob()
    send('INVITE', { callId: 'basic', body: sdp })
    await alice.response(100)
    const toBob = await bob.request('INVITE')
    expect(toBob.message.body).toBe(sdp)
    expect(toBob.message.get('Contact')).toBe(`<sip:sbc@127.0.0.1:${served.udp.port}>`)
    answerWith(toBob, { status: 180, toTag: 'bob' })
    const ringing = (await alice.response(180)).message
    expect(ringing.get('Contact')).toBe(`<sip:127.0.0.1:${served.udp.port}>`)
    accept(toBob)
    await bob.request('ACK')
    const ok = (await alice.response(200)).message
    expect(ok.toTag).toBe(ringing.toTag)
    send('ACK', { callId: 'basic', toTag: ok.toTag })
    await bridged
    send('BYE', { callId: 'basic', toTag: ok.toTag, cseq: 2 })
    await alice.response(200, 'BYE')
    const bye = await bob.request('BYE')
    expect(bye.message.uri).toBe(`sip:bob@${bob.hostPort}`)
    expect(bye.message.cseq).toBeGreaterThan(toBob.message.cseq)
    answerWith(bye, { status: 200 })
    await expect.poll(() => served.engine.gauges()['dialogs']).toBe(0)
  })

  it('and a BYE of the called party reaches the caller', async () => {
    const { toBob } = await establish('bye-from-b')
    const { callId, fromTag, uri } = toBob.message
    const bye = { method: 'BYE', uri, callId, fromTag: 'bob', toTag: fromTag, cseq: 1 }
    bob.send(requestText(bob, bye), served.udp.port)
    await bob.response(200, 'BYE')
    const toAlice = await alice.request('BYE')
    expect(toAlice.message.callId).toBe('bye-from-b')
    answerWith(toAlice, { status: 200 })
    await expect.poll(() => served.engine.gauges()['dialogs']).toBe(0)
  })

  it('and reliable provisional responses of both legs are acknowledged (RFC 3262 §3, §4)', async () => {
    const carried = { proxyRequestHeaders: ['supported'], proxyResponseHeaders: ['require'] }
    const bridged = bridgeToBob(carried)
    send('INVITE', { callId: 'reliable', body: sdp, headers: ['Supported: 100rel'] })
    const toBob = await bob.request('INVITE')
    const contact = ['Contact', `<sip:bob@${bob.hostPort}>`] as const
    const reliable = [contact, ['Require', '100rel'], ['RSeq', '5'], ['Content-Type', 'application/sdp']] as const
    answerWith(toBob, { status: 183, toTag: 'bob', headers: reliable, body: sdp })
    const prack = await bob.request('PRACK')
    expect(prack.message.get('RAck')).toBe(`5 ${toBob.message.cseq} INVITE`)
    answerWith(prack, { status: 200 })
    const progress = (await alice.response(183)).message
    accept(toBob)
    await bob.request('ACK')
    const rack = `RAck: ${progress.get('RSeq')} 1 INVITE`
    send('PRACK', { callId: 'reliable', toTag: progress.toTag, cseq: 2, headers: [rack] })
    await alice.response(200, 'PRACK')
    const ok = (await alice.response(200, 'INVITE')).message
    send('ACK', { callId: 'reliable', toTag: ok.toTag })
    await bridged
    send('BYE', { callId: 'reliable', toTag: ok.toTag, cseq: 3 })
    answerWith(await bob.request('BYE'), { status: 200 })
    await expect.poll(() => served.engine.gauges()['dialogs']).toBe(0)
  })

  it('and a CANCEL ends both legs (RFC 3261 §9)', async () => {
    const bridged = bridgeToBob()
    const branch = 'z9hG4bK-cancelled'
    send('INVITE', { callId: 'cancelled', branch, body: sdp })
    const toBob = await bob.request('INVITE')
    answerWith(toBob, { status: 180, toTag: 'bob' })
    await alice.response(180)
    send('CANCEL', { callId: 'cancelled', branch, contact: false })
    await alice.response(200, 'CANCEL')
    await alice.response(487, 'INVITE')
    const cancel = await bob.request('CANCEL')
    expect(cancel.message.branch).toBe(toBob.message.branch)
    expect(cancel.message.cseq).toBe(toBob.message.cseq)
    expect(cancel.message.values('Via')).toHaveLength(1)
    answerWith(cancel, { status: 200, toTag: 'bob' })
    answerWith(toBob, { status: 487, toTag: 'bob' })
    const ack = await bob.request('ACK')
    expect(ack.message.branch).toBe(toBob.message.branch)
    expect(ack.message.toTag).toBe('bob')
    await bridged
    expect(served.engine.gauges()['dialogs']).toBe(0)
  })

  it('and a CANCEL before any provisional response of the called party waits for one (RFC 3261 §9.1)', async () => {
    const bridged = bridgeToBob()
    const branch = 'z9hG4bK-early-cancel'
    send('INVITE', { callId: 'early-cancel', branch, body: sdp })
    const toBob = await bob.request('INVITE')
    send('CANCEL', { callId: 'early-cancel', branch, contact: false })
    await alice.response(487, 'INVITE')
    // The application has been told, and has told the engine: an OPTIONS after it has made the same way.
    handle(served.srf, 'options', (_request, response) => response.send(200))
    await expect
      .poll(async () => {
        send('OPTIONS', { callId: 'after-cancel' })
        return (await alice.next((message) => message.method === 'OPTIONS')).message.status
      })
      .toBe(200)
    expect(bob.arrived.filter(({ message }) => message.method === 'CANCEL')).toHaveLength(0)
    answerWith(toBob, { status: 100 })
    await bob.request('CANCEL')
    answerWith(toBob, { status: 487, toTag: 'bob' })
    await bob.request('ACK')
    await bridged
  })

  it('and 486 is passed on, each side acknowledged by the engine (RFC 3261 §17.1.1.3)', async () => {
    const bridged = bridgeToBob()
    const branch = 'z9hG4bK-busy'
    send('INVITE', { callId: 'busy', branch, body: sdp })
    const toBob = await bob.request('INVITE')
    answerWith(toBob, { status: 486, toTag: 'bob' })
    const ack = await bob.request('ACK')
    expect(ack.message.branch).toBe(toBob.message.branch)
    expect(await bridged).toMatchObject({ status: 486 })
    const busy = (await alice.response(486)).message
    send('ACK', { callId: 'busy', branch, toTag: busy.toTag, contact: false })
    expect(served.engine.gauges()['dialogs']).toBe(0)
  })

  it('and a re-INVITE of the caller is answered in the dialog and refreshes its target (RFC 3261 §12.2.2)', async () => {
    const { aliceSees, dialogs } = await establish('again')
    const moved = await SipPeer.udp()
    const contact = `<sip:alice@${moved.hostPort}>`
    send('INVITE', { callId: 'again', toTag: aliceSees, cseq: 2, contact, body: sdp })
    await alice.response(100)
    const ok = (await alice.response(200)).message
    expect(ok.cseq).toBe(2)
    send('ACK', { callId: 'again', toTag: aliceSees, cseq: 2 })
    const { uas } = (await dialogs) as { uas: Srf.Dialog }
    uas.destroy()
    const bye = await moved.request('BYE')
    expect(bye.message.uri).toBe(`sip:alice@${moved.hostPort}`)
    answerWith(bye, { status: 200 })
    await moved.close()
  })

  it('and Dialog.modify sends a re-INVITE that Bob answers', async () => {
    const { toBob, dialogs } = await establish('modify')
    const { uac } = (await dialogs) as { uac: Srf.Dialog }
    const modified = uac.modify(sdp)
    const again = await bob.request('INVITE')
    expect(again.message.callId).toBe(toBob.message.callId)
    expect(again.message.toTag).toBe('bob')
    expect(again.message.cseq).toBe(toBob.message.cseq + 1)
    expect(again.message.uri).toBe(`sip:bob@${bob.hostPort}`)
    accept(again)
    const ack = await bob.request('ACK')
    expect(ack.message.cseq).toBe(again.message.cseq)
    await modified
  })
})
