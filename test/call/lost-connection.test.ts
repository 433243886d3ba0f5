import { expect, it, vi } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { createEngine } from '../../dataplane/engine/engine.ts'
import { joinDrachtio } from '../../dataplane/sip/drachtio-port.ts'
import { answerWith, SipPeer } from '../engine/sip-peer.ts'

const log = createLog({ level: 'error', name: 'test', write: () => {} })
const secret = 'a secret of the tests'

async function connected() {
  const engine = createEngine({ clock: new ManualClock(), log, secret, admit: () => true })
  await engine.open({ name: 'udp', transport: 'UDP', address: '127.0.0.1', port: 0 })
  const onLost = vi.fn()
  const port = await joinDrachtio({ ...engine.serveWithin(), secret, onLost }, log)
  return { engine, port, onLost }
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
