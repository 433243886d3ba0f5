import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { NgClient, type NgReply } from './ng-client.ts'
import { NgServer } from './testing/ng-server.ts'

const ends: (() => unknown)[] = []

afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function begin(host = '127.0.0.1') {
  const clock = new ManualClock()
  const server = await NgServer.start()
  const client = new NgClient({ host, port: server.port, clock, cookiePrefix: 'test_' })
  ends.push(
    () => client.close(),
    () => server.close(),
  )
  const ask = (command = 'ping', fields = {}) =>
    new Promise<NgReply>((resolve) => client.request(command, fields, resolve))
  return { clock, server, client, ask }
}

describe('the client of an engine', () => {
  it.each(['127.0.0.1', 'localhost'])('asks by a cookie and hears the answer to it, at %s', async (host) => {
    const { clock, server, client, ask } = await begin(host)
    const first = ask('offer', { sdp: 'v=0', 'call-id': 'x' })
    const second = ask('ping')
    const offer = await server.next('offer')
    const ping = await server.next('ping')
    expect(offer.fields).toEqual({ command: 'offer', sdp: 'v=0', 'call-id': 'x' })
    expect(offer.cookie).toMatch(/^test_/)
    expect(offer.cookie).not.toBe(ping.cookie)
    ping.answer({ result: 'pong' })
    offer.answer({ result: 'ok', sdp: 'v=0\r\n' })
    expect(await second).toEqual({ ok: true, fields: { result: 'pong' } })
    expect(await first).toEqual({ ok: true, fields: { result: 'ok', sdp: 'v=0\r\n' } })
    expect([client.pending, clock.pending]).toEqual([0, 0])
  })

  it('repeats a request with the same cookie, and takes the first answer of several', async () => {
    const { clock, server, ask } = await begin()
    const asked = ask()
    const first = await server.next('ping')
    clock.advance(100)
    const again = await server.next('ping')
    expect(again.cookie).toBe(first.cookie)
    again.answer({ result: 'pong' })
    again.answer({ result: 'error' })
    expect(await asked).toEqual({ ok: true, fields: { result: 'pong' } })
    clock.advance(10_000)
    expect(clock.pending).toBe(0)
  })

  it('gives up after 1.5 s without an answer', async () => {
    const { clock, server, client, ask } = await begin()
    const asked = ask()
    await server.next('ping')
    for (const step of [100, 200, 400]) {
      clock.advance(step)
      await server.next('ping')
    }
    clock.advance(799)
    expect(client.pending).toBe(1)
    clock.advance(1)
    expect(await asked).toEqual({ ok: false, cause: 'Silent', reason: 'no answer in 1.5 s' })
    expect(server.requests).toHaveLength(4)
  })

  it('says what the engine says against it', async () => {
    const { server, ask } = await begin()
    const asked = ask('answer')
    ;(await server.next('answer')).answer({ result: 'error', 'error-reason': 'Unknown call-id' })
    expect(await asked).toEqual({ ok: false, cause: 'Error', reason: 'Unknown call-id' })
  })

  it('passes over what is no answer', async () => {
    const { server, ask } = await begin()
    const asked = ask()
    const ping = await server.next('ping')
    for (const junk of ['', 'x', 'd', 'i1e', '4:pong', 'd6:result']) ping.answer(Buffer.from(junk))
    ping.answer({ result: 'pong' })
    expect(await asked).toMatchObject({ ok: true })
  })

  it('knows at once that nobody listens, and asks whoever listens there later', async () => {
    const { server, client, ask } = await begin()
    await server.close()
    ends.splice(-1)
    expect(await ask()).toMatchObject({ ok: false, cause: 'Refused' })
    const later = await NgServer.start(server.port)
    ends.push(() => later.close())
    const asked = ask()
    ;(await later.next('ping')).answer({ result: 'pong' })
    expect(await asked).toMatchObject({ ok: true })
    expect(client.pending).toBe(0)
  })

  it('says that a name does not resolve', async () => {
    const client = new NgClient({ host: 'none.invalid', port: 1, clock: new ManualClock(), cookiePrefix: 'test_' })
    const reply = await new Promise<NgReply>((resolve) => client.request('ping', {}, resolve))
    expect(reply).toMatchObject({ ok: false, cause: 'Refused' })
    client.close()
  })

  it('answers everybody who waits when it is closed, and whoever asks later', async () => {
    const { client, ask } = await begin()
    const asked = ask()
    client.close()
    for (const reply of [await asked, await ask()]) expect(reply).toMatchObject({ ok: false, cause: 'Closed' })
  })
})
