import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Calling } from './calling.ts'
import { answerWith, requestText, SipPeer } from './sip-peer.ts'

let calling: Calling

beforeEach(async () => {
  calling = await Calling.begin()
})

afterEach(() => calling.end())

describe('a request of the application in a dialog', () => {
  async function establish(): Promise<{ dialogId: string; callId: string; ourTag: string }> {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 200, toTag: 'bob', headers: [calling.contact()] })
    const { dialogId } = await calling.application.response(200)
    await calling.send('ACK', { dialogId })
    await calling.bob.request('ACK')
    return { dialogId, callId: arrival.message.callId, ourTag: arrival.message.fromTag }
  }

  it('counts CSeq up by one, whatever the application says', async () => {
    const { dialogId } = await establish()
    await calling.send('INFO', { dialogId, headers: ['cseq: 77 INFO'] })
    expect((await calling.bob.request('INFO')).message.cseq).toBe(2)
    await calling.send('INFO', { dialogId })
    expect((await calling.bob.request('INFO')).message.cseq).toBe(3)
  })

  it('INVITE while another is under way is refused (RFC 3261 §14.1)', async () => {
    const { dialogId } = await establish()
    await calling.send('INVITE', { dialogId })
    await calling.bob.request('INVITE')
    const { tokens } = await calling.send('INVITE', { dialogId })
    expect(tokens).toEqual(['NOK', 'Server error: another INVITE is in progress in this dialog'])
  })

  it('INVITE or UPDATE that succeeds takes the Contact of the answer as the new target (RFC 3261 §12.2.1.2)', async () => {
    const { dialogId } = await establish()
    await calling.send('UPDATE', { dialogId })
    answerWith(await calling.bob.request('UPDATE'), { status: 200, headers: [calling.contact('moved')] })
    await calling.application.response(200)
    await calling.send('INFO', { dialogId })
    expect((await calling.bob.request('INFO')).message.uri).toBe(`sip:moved@${calling.bob.hostPort}`)
  })

  it('INVITE that fails leaves the dialog as it was (RFC 3261 §14.1)', async () => {
    const { dialogId } = await establish()
    await calling.send('INVITE', { dialogId })
    answerWith(await calling.bob.request('INVITE'), { status: 488, headers: [calling.contact('moved')] })
    await calling.bob.request('ACK')
    await calling.application.response(488)
    const ack = await calling.send('ACK', { dialogId })
    expect(ack.tokens[0]).toBe('NOK')
    await calling.send('INFO', { dialogId })
    expect((await calling.bob.request('INFO')).message.uri).toBe(`sip:bob@${calling.bob.hostPort}`)
  })

  it('BYE that is challenged may be sent again; otherwise the dialog ends with its time', async () => {
    const { dialogId } = await establish()
    await calling.send('BYE', { dialogId })
    answerWith(await calling.bob.request('BYE'), { status: 407 })
    await calling.application.response(407)
    await calling.send('BYE', { dialogId, headers: ['Proxy-Authorization: Digest x="y"'] })
    answerWith(await calling.bob.request('BYE'), { status: 407 })
    await calling.application.response(407)
    expect(calling.gauges['dialogs']).toBe(1)
    calling.clock.advance(32_100)
    expect(calling.gauges['dialogs']).toBe(0)
  })

  it('BYE without an answer ends the dialog all the same', async () => {
    const { dialogId } = await establish()
    await calling.send('BYE', { dialogId })
    await calling.bob.request('BYE')
    calling.clock.advance(32_100)
    await calling.application.response(408)
    expect(calling.gauges['dialogs']).toBe(0)
  })

  it('UPDATE works while the dialog is early (RFC 3311 §5.1)', async () => {
    await calling.send('INVITE')
    const arrival = await calling.bob.request('INVITE')
    answerWith(arrival, { status: 183, toTag: 'bob', headers: [calling.contact()] })
    const { dialogId } = await calling.application.response(183)
    await calling.send('UPDATE', { dialogId })
    const update = await calling.bob.request('UPDATE')
    expect(update.message.toTag).toBe('bob')
    expect(update.message.cseq).toBe(arrival.message.cseq + 1)
  })

  it('is let through from the peer at any address, though its source is unknown', async () => {
    const { callId, ourTag } = await establish()
    const elsewhere = await SipPeer.udp()
    const bye = {
      method: 'BYE',
      uri: `sip:sbc@127.0.0.1:${calling.engine.udp.port}`,
      callId,
      fromTag: 'bob',
      toTag: ourTag,
    }
    elsewhere.send(requestText(elsewhere, bye), calling.engine.udp.port)
    expect((await calling.application.request('BYE')).dialogId).toBe(`${callId};from-tag=${ourTag}`)
    await elsewhere.close()
  })
})
