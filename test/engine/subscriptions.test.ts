import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { ApplicationProbe } from './application.ts'
import { start } from './served.ts'
import { type Arrival, answerWith, requestText, SipPeer } from './sip-peer.ts'

let clock: ManualClock
let engine: Awaited<ReturnType<typeof start>>
let application: ApplicationProbe
let peer: SipPeer

beforeEach(async () => {
  clock = new ManualClock()
  engine = await start({ clock })
  application = await ApplicationProbe.serving(engine.port, ['subscribe', 'notify'])
  peer = await SipPeer.udp()
})

afterEach(async () => {
  application.close()
  await engine.engine.stop()
  await peer.close()
})

function send(method: string, options: Partial<Parameters<typeof requestText>[1]> = {}): void {
  const uri = `sip:sbc@127.0.0.1:${engine.udp.port}`
  peer.send(requestText(peer, { method, uri, callId: 'subscription', ...options }), engine.udp.port)
}

function dialogs(): number {
  return engine.engine.gauges()['dialogs'] ?? 0
}

/** What an application writes: no Via, no CSeq, names in lower case. */
function order(method: string, uri: string, headers: readonly string[]): string {
  return `${[`${method} ${uri} SIP/2.0`, 'from: <sip:sbc@localhost>', ...headers].join('\r\n')}\r\n\r\n`
}

function command(
  method: string,
  dialogId: string,
  headers: readonly string[],
): ReturnType<ApplicationProbe['command']> {
  const uri = dialogId === '' ? `sip:peer@${peer.hostPort}` : 'sip:placeholder'
  return application.command(`sip||${dialogId}`, order(method, uri, ['event: presence', ...headers]))
}

describe('a SUBSCRIBE of a peer', () => {
  /** The application takes it, and the peer gets its 2xx. */
  async function accept(options: { expires?: string } = {}): Promise<{ dialogId: string; toTag: string }> {
    send('SUBSCRIBE', { headers: ['Event: presence', 'Expires: 900'] })
    const { transactionId } = await application.request('SUBSCRIBE')
    const expires = options.expires === undefined ? '' : `Expires: ${options.expires}\r\n`
    const { tokens } = await application.respond(transactionId, `SIP/2.0 202 Accepted\r\n${expires}\r\n`)
    const { message } = await peer.response(202)
    expect(message.get('Contact')).toContain(`127.0.0.1:${engine.udp.port}`)
    return { dialogId: tokens[8] ?? '', toTag: message.toTag }
  }

  async function notify(dialogId: string, state: string): Promise<Arrival> {
    await command('NOTIFY', dialogId, [`subscription-state: ${state}`])
    return peer.request('NOTIFY')
  }

  it('makes a dialog with its 2xx, in which NOTIFYs go to its Contact (RFC 6665 §4.2.1.2)', async () => {
    const { dialogId, toTag } = await accept()
    expect(dialogId).toBe('subscription;from-tag=a-tag')
    const { message } = await notify(dialogId, 'active;expires=900')
    expect(message).toMatchObject({ callId: 'subscription', fromTag: toTag, toTag: 'a-tag', cseq: 1 })
    expect(message.uri).toBe(`sip:alice@${peer.hostPort};transport=udp`)
  })

  it('makes no dialog where it is refused', async () => {
    send('SUBSCRIBE', { headers: ['Event: presence'] })
    const { transactionId } = await application.request('SUBSCRIBE')
    await application.respond(transactionId, 'SIP/2.0 489 Bad Event\r\n\r\n')
    await peer.response(489)
    expect(dialogs()).toBe(0)
  })

  it('without Contact gets 400, since no NOTIFY could go anywhere (RFC 3261 §8.1.1.8)', async () => {
    send('SUBSCRIBE', { contact: false })
    expect((await peer.response(400)).message.reason).toBe('Missing Contact')
  })

  it('that no application takes gets 405, whatever it lacks (RFC 3261 §8.2.1)', async () => {
    await application.command('remove_route|subscribe')
    send('SUBSCRIBE', { contact: false })
    await peer.response(405)
  })

  it('in the dialog refreshes its target and its time (RFC 6665 §4.1.2.2)', async () => {
    const { dialogId, toTag } = await accept()
    clock.advance(800_000)
    send('SUBSCRIBE', { toTag, cseq: 2, contact: `<sip:moved@${peer.hostPort}>`, headers: ['Event: presence'] })
    const again = await application.request('SUBSCRIBE')
    expect(again.dialogId).toBe(dialogId)
    await application.respond(again.transactionId, 'SIP/2.0 200 OK\r\nExpires: 900\r\n\r\n')
    await peer.response(200)
    clock.advance(800_000)
    expect((await notify(dialogId, 'active')).message.uri).toBe(`sip:moved@${peer.hostPort}`)
  })

  it('ends when the NOTIFY that says so is answered (RFC 6665 §4.4.1)', async () => {
    const { dialogId } = await accept()
    answerWith(await notify(dialogId, 'terminated;reason=timeout'), { status: 200 })
    await application.response(200)
    expect(dialogs()).toBe(0)
    expect((await command('NOTIFY', dialogId, [])).tokens).toEqual([
      'NOK',
      'Server error: unable to find dialog for dialog id provided',
    ])
  })

  it('goes on when that NOTIFY is challenged, which is sent again', async () => {
    const { dialogId } = await accept()
    answerWith(await notify(dialogId, 'terminated'), { status: 401 })
    await application.response(401)
    expect(dialogs()).toBe(1)
  })

  it('ends with a NOTIFY that gets 481 or no answer (RFC 6665 §4.2.2)', async () => {
    const first = await accept()
    answerWith(await notify(first.dialogId, 'active'), { status: 481 })
    await application.response(481)
    expect(dialogs()).toBe(0)
    send('SUBSCRIBE', { callId: 'other', headers: ['Event: presence'] })
    const { transactionId } = await application.request('SUBSCRIBE')
    await application.respond(transactionId, 'SIP/2.0 202 Accepted\r\n\r\n')
    await notify('other;from-tag=a-tag', 'active')
    clock.advance(33_000)
    await application.response(408)
    expect(dialogs()).toBe(0)
  })

  it('ends with a NOTIFY that is refused, but goes on where it may be tried again (RFC 6665 §4.2.2)', async () => {
    const { dialogId } = await accept()
    answerWith(await notify(dialogId, 'active'), { status: 500, headers: [['Retry-After', '5']] })
    await application.response(500)
    expect(dialogs()).toBe(1)
    answerWith(await notify(dialogId, 'active'), { status: 489 })
    await application.response(489)
    expect(dialogs()).toBe(0)
  })

  it('ends by its time when nobody refreshes it and the application forgets it', async () => {
    await accept({ expires: '60' })
    clock.advance(90_000)
    expect(dialogs()).toBe(1)
    clock.advance(3000)
    expect(dialogs()).toBe(0)
  })

  it('lives as long as one of the events in its dialog is subscribed to', async () => {
    const { dialogId, toTag } = await accept()
    send('SUBSCRIBE', { toTag, cseq: 2, headers: ['Event: presence;id=2'] })
    const second = await application.request('SUBSCRIBE')
    await application.respond(second.transactionId, 'SIP/2.0 200 OK\r\nExpires: 900\r\n\r\n')
    answerWith(await notify(dialogId, 'terminated'), { status: 200 })
    await application.response(200)
    expect(dialogs()).toBe(1)
    clock.advance(933_000)
    expect(dialogs()).toBe(0)
  })
})

describe('a SUBSCRIBE of the application', () => {
  async function subscribe(): Promise<Arrival> {
    await command('SUBSCRIBE', '', ['expires: 900'])
    return peer.request('SUBSCRIBE')
  }

  function notify(
    { message }: Arrival,
    state: string,
    options: { fromTag?: string; cseq?: number; event?: string; headers?: readonly string[] } = {},
  ): void {
    const { fromTag = 'notifier', cseq = 1, event = 'presence', headers = [] } = options
    send('NOTIFY', {
      ...{ callId: message.callId, toTag: message.fromTag, fromTag, cseq },
      headers: [`Event: ${event}`, `Subscription-State: ${state}`, ...headers],
    })
  }

  const accepted = { status: 200, toTag: 'notifier', headers: [['Expires', '600']] } as const

  async function answerNotify(): Promise<string> {
    const { transactionId, dialogId } = await application.request('NOTIFY')
    await application.respond(transactionId, 'SIP/2.0 200 OK\r\n\r\n')
    await peer.response(200, 'NOTIFY')
    return dialogId
  }

  it('makes a dialog with its 2xx, and the route set is that of the first NOTIFY (RFC 6665 §4.4.1)', async () => {
    const arrival = await subscribe()
    answerWith(arrival, { ...accepted, headers: [...accepted.headers, ['Contact', `<sip:peer@${peer.hostPort}>`]] })
    const { dialogId } = await application.response(200)
    expect(dialogId).toBe(`${arrival.message.callId};from-tag=${arrival.message.fromTag}`)
    notify(arrival, 'active', { headers: [`Record-Route: <sip:${peer.hostPort};lr>`] })
    expect(await answerNotify()).toBe(dialogId)
    await command('SUBSCRIBE', dialogId, ['expires: 0'])
    const { message } = await peer.request('SUBSCRIBE')
    expect(message).toMatchObject({ toTag: 'notifier', cseq: 2 })
    expect(message.get('Route')).toBe(`<sip:${peer.hostPort};lr>`)
  })

  it('has a dialog by a NOTIFY that is faster than the 2xx (RFC 6665 §4.1.2.4)', async () => {
    const arrival = await subscribe()
    notify(arrival, 'active;expires=600')
    const dialogId = await answerNotify()
    answerWith(arrival, accepted)
    expect((await application.response(200)).dialogId).toBe(dialogId)
    expect(dialogs()).toBe(1)
  })

  it('gets NOTIFYs of its own event alone, and of one notifier (RFC 6665 §4.4.1)', async () => {
    const arrival = await subscribe()
    notify(arrival, 'active', { event: 'dialog' })
    await peer.response(481, 'NOTIFY')
    notify(arrival, 'active', { cseq: 2 })
    await answerNotify()
    notify(arrival, 'active', { fromTag: 'another' })
    await peer.response(481, 'NOTIFY')
  })

  it('ends with the NOTIFY that says so, once it is answered', async () => {
    const arrival = await subscribe()
    answerWith(arrival, accepted)
    await application.response(200)
    notify(arrival, 'Terminated;reason=noresource')
    await answerNotify()
    expect(dialogs()).toBe(0)
    notify(arrival, 'active', { cseq: 2 })
    await peer.response(481, 'NOTIFY')
  })

  it('ends with a refresh that gets 404, 489 and their like, but not 500 (RFC 6665 §4.1.2.2)', async () => {
    const arrival = await subscribe()
    answerWith(arrival, accepted)
    const { dialogId } = await application.response(200)
    for (const [status, left] of [
      [500, 1],
      [489, 0],
    ] as const) {
      await command('SUBSCRIBE', dialogId, ['expires: 900'])
      answerWith(await peer.request('SUBSCRIBE'), { status })
      await application.response(status)
      expect(dialogs()).toBe(left)
    }
  })

  it('that is refused makes no dialog, and a NOTIFY for it gets 481', async () => {
    const arrival = await subscribe()
    answerWith(arrival, { status: 404, toTag: 'notifier' })
    expect((await application.response(404)).dialogId).toBe('')
    notify(arrival, 'active')
    await peer.response(481, 'NOTIFY')
    expect(dialogs()).toBe(0)
  })

  it('ends by its time, be it granted by the 2xx or told by a NOTIFY', async () => {
    const arrival = await subscribe()
    answerWith(arrival, accepted)
    await application.response(200)
    clock.advance(500_000)
    notify(arrival, 'active;expires=300')
    await answerNotify()
    clock.advance(331_000)
    expect(dialogs()).toBe(1)
    clock.advance(2000)
    expect(dialogs()).toBe(0)
  })
})
