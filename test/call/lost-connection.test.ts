import { describe, expect, it, type MockInstance, vi } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { createEngine } from '../../dataplane/engine/engine.ts'
import { HANDED_OVER, type HandOver } from '../../dataplane/engine/message/hand-over.ts'
import { joinDrachtio } from '../../dataplane/sip/drachtio-port.ts'
import type { IncomingRequest, SipPortError } from '../../dataplane/sip/port.ts'
import { answerWith, requestText, SipPeer } from '../engine/sip-peer.ts'

const log = createLog({ level: 'error', name: 'test', write: () => {} })
const secret = 'a secret of the tests'

async function connected() {
  const engine = createEngine({ clock: new ManualClock(), log, secret, admit: () => true })
  const udp = await engine.open({ name: 'udp', transport: 'UDP', address: '127.0.0.1', port: 0 })
  const onLost = vi.fn()
  const within = engine.serveWithin()
  const port = await joinDrachtio({ ...within, secret, onLost }, log)
  return { engine, udp, port, onLost, handOver: within.handOver }
}

it('an error in whoever hears of an answer ends the connection within the process, which is told', async () => {
  const { engine, port, onLost } = await connected()
  // drachtio-srf says it there.
  const said = vi.spyOn(console, 'error').mockImplementation(() => {})
  const peer = await SipPeer.udp()
  const lost = new Promise<void>((resolve) => onLost.mockImplementation(() => resolve()))
  port.send(
    { method: 'OPTIONS', uri: `sip:x@${peer.hostPort}`, headers: [] },
    {
      onResponse: () => {
        throw new Error('of the test')
      },
      onFailure: () => {},
    },
  )
  answerWith(await peer.request('OPTIONS'), { status: 200 })
  await lost
  expect(said).toHaveBeenCalledWith(expect.stringContaining('of the test'))
  said.mockRestore()
  await engine.stop()
  await peer.close()
})

it('a connection that is closed in order is not lost', async () => {
  const { engine, port, onLost } = await connected()
  const gone = new Promise<void>((resolve) => port.onDisconnect(resolve))
  port.close()
  await gone
  await engine.stop()
  expect(onLost).not.toHaveBeenCalled()
})

describe('of a connection that has ended nothing is kept that was to be sent over it:', () => {
  /** Values of the orders that the engine would still find the message of. */
  function kept(handOver: HandOver, orders: MockInstance<HandOver['order']>): string[] {
    const values = orders.mock.results.map(({ value }) => String(value))
    expect(values).not.toEqual([])
    return values.filter((value) => {
      const order = `SIP/2.0 200\r\n${HANDED_OVER}: ${value}\r\n\r\n`
      return handOver.takeOrder(order) !== order
    })
  }

  it.each(['at once', 'later'])('a request that comes %s, and fails', async (when) => {
    const { engine, port, handOver } = await connected()
    const orders = vi.spyOn(handOver, 'order')
    const gone = new Promise<void>((resolve) => port.onDisconnect(resolve))
    port.close()
    if (when === 'later') await gone
    const failure = new Promise<SipPortError>((onFailure) => {
      port.send({ method: 'OPTIONS', uri: 'sip:x@127.0.0.1', headers: [] }, { onResponse: () => {}, onFailure })
    })
    expect(await failure).toMatchObject({ code: 'Disconnected' })
    await gone
    expect(kept(handOver, orders)).toEqual([])
    await engine.stop()
  })

  it.each(['at once', 'later'])('an answer that comes %s', async (when) => {
    const { engine, udp, port, handOver } = await connected()
    const peer = await SipPeer.udp()
    const coming = new Promise<IncomingRequest>((resolve) => port.onRequest(resolve))
    peer.send(requestText(peer, { method: 'OPTIONS', uri: 'sip:x', callId: 'late' }), udp.port)
    const request = await coming
    const orders = vi.spyOn(handOver, 'order')
    const gone = new Promise<void>((resolve) => port.onDisconnect(resolve))
    port.close()
    if (when === 'later') await gone
    request.respond(200)
    await gone
    expect(kept(handOver, orders)).toEqual([])
    await engine.stop()
    await peer.close()
  })
})
