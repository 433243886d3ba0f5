import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Calling } from './calling.ts'
import { answerWith } from './sip-peer.ts'

let calling: Calling

beforeEach(async () => {
  calling = await Calling.begin()
})

afterEach(() => calling.end())

describe('the way of a request', () => {
  it('is the fifth token when there is one, and no Route is written', async () => {
    await calling.application.command(
      `sip|||sip:${calling.bob.hostPort}`,
      calling.order('OPTIONS').replace(calling.bob.hostPort, 'far.example'),
    )
    const { message } = await calling.bob.request('OPTIONS')
    expect(message.uri).toBe('sip:bob@far.example')
    expect(message.has('Route')).toBe(false)
  })

  it('is the first Route of the application (RFC 3261 §8.1.2)', async () => {
    const text = calling.order('OPTIONS', [`route: <sip:${calling.bob.hostPort};lr>, <sip:next.example;lr>`])
    await calling.application.command('sip||', text.replace(`bob@${calling.bob.hostPort}`, 'bob@far.example'))
    const { message } = await calling.bob.request('OPTIONS')
    expect(message.uri).toBe('sip:bob@far.example')
    expect(message.values('Route')).toEqual([`<sip:${calling.bob.hostPort};lr>`, '<sip:next.example;lr>'])
  })

  it('begins at the listener whose address and port the Contact names', async () => {
    const second = await calling.engine.engine.open({ name: 'second', transport: 'UDP', address: '127.0.0.1', port: 0 })
    const text = calling.order('OPTIONS').replace(`:${calling.engine.udp.port}>`, `:${second.port}>`)
    const { tokens } = await calling.application.command('sip||', text)
    expect(tokens[5]).toBe(String(second.port))
    const { message } = await calling.bob.request('OPTIONS')
    expect(message.get('Via')).toContain(`127.0.0.1:${second.port};`)
  })

  it('is the maddr of a URI that has one (RFC 3261 §19.1.1, RFC 3263 §4)', async () => {
    const order = calling
      .order('OPTIONS')
      .replace(`sip:bob@${calling.bob.hostPort}`, `sip:bob@host.invalid:${calling.bob.port};maddr=127.0.0.1`)
    await calling.application.command('sip||', order)
    expect((await calling.bob.request('OPTIONS')).message.uri).toBe(
      `sip:bob@host.invalid:${calling.bob.port};maddr=127.0.0.1`,
    )
  })

  it('over a transport without a listener is refused', async () => {
    const tls = await calling.application.command('sip|||sip:127.0.0.1;transport=tls', calling.order('OPTIONS'))
    expect(tls.tokens).toEqual(['NOK', 'requested protocol/transport not available'])
    const v6 = await calling.application.command('sip|||sip:[::1]:5060', calling.order('OPTIONS'))
    expect(v6.tokens).toEqual(['NOK', 'requested protocol/transport not available'])
  })

  it('to a host that has no address fails as a transport error does (RFC 3261 §8.1.3.1)', async () => {
    const { tokens } = await calling.application.command('sip|||sip:no-such-host.invalid', calling.order('OPTIONS'))
    expect(tokens[0]).toBe('OK')
    const { message, transactionId } = await calling.application.response(503)
    expect(message.get('X-Engine-Local')).toBe('transport')
    expect(transactionId).toBe(tokens[7])
  })

  it('in a dialog follows the route set of the 200, and a strict router gets the Request-URI (RFC 3261 §12.2.1.1)', async () => {
    for (const [router, lr] of [
      ['loose', ';lr'],
      ['strict', ''],
    ] as const) {
      await calling.send('INVITE')
      const arrival = await calling.bob.request('INVITE')
      const routes = ['Record-Route', `<sip:last.example;lr>, <sip:${router}@${calling.bob.hostPort}${lr}>`] as const
      const headers = [routes, ['Contact', '<sip:bob@target.example>'] as const]
      answerWith(arrival, { status: 200, toTag: 'bob', headers })
      const { dialogId } = await calling.application.response(200)
      await calling.send('ACK', { dialogId })
      const { message } = await calling.bob.request('ACK')
      const first = `<sip:${router}@${calling.bob.hostPort}${lr}>`
      expect([message.uri, message.values('Route')]).toEqual(
        lr === ''
          ? [`sip:strict@${calling.bob.hostPort}`, ['<sip:last.example;lr>', '<sip:bob@target.example>']]
          : ['sip:bob@target.example', [first, '<sip:last.example;lr>']],
      )
    }
  })

  it('out of the engine is refused when the order cannot be a message', async () => {
    const refusals = [
      ['sip||', 'INVITE sip:placeholder SIP/2.0\r\n\r\n', 'invalid request-uri: sip:placeholder'],
      ['sip||', calling.order('MESSAGE').concat('hello'), 'missing content-type'],
      ['sip||unknown;from-tag=1', calling.order('INFO'), 'Server error: unable to find dialog for dialog id provided'],
      ['proxy|x||', calling.order('INVITE'), 'Invalid proxy request: not enough information provided'],
    ] as const
    for (const [leader, text, reason] of refusals) {
      expect((await calling.application.command(leader, text)).tokens).toEqual(['NOK', reason])
    }
    const injected = await calling.application.command('sip||', calling.order('OPTIONS', ['x-evil: a\rVia: b']))
    expect(injected.tokens[0]).toBe('NOK')
  })
})
