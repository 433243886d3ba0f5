import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { createEngine } from '../../dataplane/engine/engine.ts'
import type { Engine, ListenerAddress } from '../../dataplane/engine/engine.types.ts'
import { EnginePort } from '../../dataplane/sip/engine-port.ts'
import { answerWith, requestText, SipPeer } from '../engine/sip-peer.ts'

let engine: Engine
let udp: ListenerAddress
let port: EnginePort
let peer: SipPeer
let errors: { err?: { message: string }; callId?: string }[]

beforeEach(async () => {
  errors = []
  const log = createLog({ level: 'error', name: 'test', write: (line) => errors.push(JSON.parse(line) as object) })
  engine = createEngine({ clock: new ManualClock(), log, admit: () => true })
  udp = await engine.open({ name: 'udp', transport: 'UDP', address: '127.0.0.1', port: 0 })
  port = new EnginePort(engine, ['INVITE', 'OPTIONS'], log)
  peer = await SipPeer.udp()
})

afterEach(async () => {
  port.close()
  await engine.stop()
  await peer.close()
})

function ask(method: string, callId: string = randomUUID()): string {
  peer.send(requestText(peer, { method, uri: `sip:x@127.0.0.1:${udp.port}`, callId }), udp.port)
  return callId
}

it('an error in whoever hears of a request costs that request alone: it gets a 500, and a line of the log names its Call-ID', async () => {
  let asked = 0
  port.onRequest((request) => {
    if (++asked === 1) throw new Error('of the test')
    request.respond(200)
  })
  const callId = ask('OPTIONS')
  await peer.response(500)
  expect(errors).toMatchObject([{ err: { message: 'of the test' }, callId }])
  ask('OPTIONS')
  await peer.response(200)
})

it('an error in whoever hears of an answer is logged, and what comes after it is heard', async () => {
  const send = (onResponse: () => void) =>
    port.send({ method: 'OPTIONS', uri: `sip:x@${peer.hostPort}`, headers: [] }, { onResponse, onFailure: () => {} })
  send(() => {
    throw new Error('of the test')
  })
  answerWith(await peer.request('OPTIONS'), { status: 200 })
  await new Promise<void>((resolve) => {
    send(resolve)
    void peer.request('OPTIONS').then((second) => answerWith(second, { status: 200 }))
  })
  expect(errors).toMatchObject([{ err: { message: 'of the test' } }])
})

it('whoever leaves the engine has what it has not answered refused with 503, and is given nothing more', async () => {
  const heard = new Promise<void>((resolve) => port.onRequest(() => resolve()))
  ask('INVITE')
  await heard
  port.close()
  const { message } = await peer.response(503, 'INVITE')
  expect(message.get('Retry-After')).toBe('5')
  ask('OPTIONS')
  await peer.response(503, 'OPTIONS')
})

it('an error in whoever hears that its request is lost keeps nobody else from hearing that the engine was left', async () => {
  const lost: string[] = []
  const send = (onFailure: (code: string) => void) =>
    port.send(
      { method: 'OPTIONS', uri: `sip:x@${peer.hostPort}`, headers: [] },
      { onResponse: () => {}, onFailure: ({ code }) => onFailure(code) },
    )
  send(() => {
    throw new Error('of the test')
  })
  send((code) => lost.push(code))
  await new Promise<void>((resolve) => {
    port.onDisconnect(resolve)
    port.close()
  })
  expect(lost).toEqual(['Disconnected'])
  expect(errors).toMatchObject([{ err: { message: 'of the test' } }])
})
