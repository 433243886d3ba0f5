import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { Secret } from '#lib/secret.ts'
import type { TrunkConfig } from '#api/snapshot.ts'
import { registration, target, trunk } from '../../dataplane/trunks/trunks-fixture.ts'
import { freePorts } from '../sip/free-port.ts'
import { startTrunks as startTrunksOn } from './start-trunks.ts'
import { headerOf, openPeer, registrarAnswers } from './udp-peer.ts'

/** What the dice that always show 0 make of the intervals: 10 % less. No more time may pass at once, or the probe times out. */
const upInterval = 54_000
const downInterval = 27_000

const keepalive = {
  enabled: true,
  upIntervalSeconds: 60,
  downIntervalSeconds: 30,
  failureThreshold: 2,
  timeoutSeconds: 4,
  scope: 'Fleet' as const,
  failureCodes: [503, 505],
}

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const startTrunks = (one: TrunkConfig, address?: string) => startTrunksOn(closers, one, address)

describe('a registration on the wire', () => {
  const account = { username: 'carrier-user', password: 'Circle of Life' }
  const configFor = (peer: { address: string; port: number }, password: string) => {
    const { address: host, port } = peer
    return trunk({ registrations: [registration({ host, port, ...account, password: new Secret(password) })] })
  }

  it('answers the strongest challenge, is refreshed with the same nonce, and is removed at the end', async () => {
    const { bindings, answer } = registrarAnswers({ ...account, expiresSeconds: 100 })
    const peer = await openPeer(answer)
    closers.push(peer.close)
    const { trunks, clock, until, port } = await startTrunks(configFor(peer, account.password))
    const state = () => trunks.registrations()[0]
    clock.advance(0)
    await until(() => state()?.state === 'Registered')
    const contact = `<sip:+15550100@127.0.0.1:${port}>`
    expect(bindings).toEqual(new Map([[contact, 'SHA-256']]))
    expect(state()).toMatchObject({ lastCode: 200, expiresAt: clock.wallTime() + 100_000 })

    clock.advance(80_000)
    await until(() => state()?.expiresAt === clock.wallTime() + 100_000)
    expect(peer.received).toHaveLength(3)

    await trunks.stop()
    expect(bindings).toEqual(new Map())
    const requests = peer.received
    expect(requests.map((request) => headerOf(request, 'CSeq')[0])).toEqual([
      '1 REGISTER',
      '2 REGISTER',
      '3 REGISTER',
      '4 REGISTER',
    ])
    expect(new Set(requests.map((request) => headerOf(request, 'Call-ID')[0])).size).toBe(1)
    expect(new Set(requests.map((request) => headerOf(request, 'From')[0])).size).toBe(1)
    expect(headerOf(requests[0] ?? { text: '' }, 'From')[0]).toMatch(/^<sip:\+15550100@127\.0\.0\.1>;tag=\w+$/)
    expect(requests.map(({ uri }) => uri)).toEqual(Array.from({ length: 4 }, () => 'sip:127.0.0.1'))
    expect(requests.every(({ from }) => from.port === port)).toBe(true)
  })

  it('that the registrar finds too short is made as long as it wants (registration check 3)', async () => {
    const peer = await openPeer((request) => {
      const [expires = '0'] = headerOf(request, 'Expires')
      if (Number(expires) < 7200) return { status: '423 Interval Too Brief', headers: ['Min-Expires: 7200'] }
      return { status: '200 OK', headers: [`Contact: ${headerOf(request, 'Contact')[0]};expires=${expires}`] }
    })
    closers.push(peer.close)
    const { trunks, clock, until } = await startTrunks(configFor(peer, account.password))
    clock.advance(0)
    await until(() => trunks.registrations()[0]?.state === 'Registered')
    expect(peer.received.map((request) => headerOf(request, 'Expires')[0])).toEqual(['3600', '7200'])
    expect(trunks.registrations()[0]?.expiresAt).toBe(clock.wallTime() + 7_200_000)
  })

  it('with two registrars is two of them, each with its own Call-ID, and removed one by one (registrars checks 1, 6)', async () => {
    const answers = () => registrarAnswers({ ...account, expiresSeconds: 100 })
    const [first, second] = [answers(), answers()]
    const peers = [await openPeer(first.answer), await openPeer(second.answer)]
    for (const peer of peers) closers.push(peer.close)
    const registrations = peers.map(({ address: host, port }, index) =>
      registration({ host, port, ...account, password: new Secret(account.password), registrar: `r${index}` }),
    )
    const { trunks, clock, until } = await startTrunks(trunk({ registrations }))
    clock.advance(100)
    await until(() => trunks.registrations().every(({ state }) => state === 'Registered'))
    const callIds = peers.map(({ received }) => new Set(received.map((one) => headerOf(one, 'Call-ID')[0])))
    expect(callIds.map(({ size }) => size)).toEqual([1, 1])
    expect(new Set(callIds.flatMap((ids) => [...ids])).size).toBe(2)
    await trunks.stop()
    expect([first.bindings.size, second.bindings.size]).toEqual([0, 0])
  })

  it('with FirstAvailable goes to the second registrar only after the first has said nothing for its time (registrars check 3)', async () => {
    let away = true
    const silent = await openPeer(() => (away ? undefined : { status: '200 OK' }))
    const second = await openPeer(registrarAnswers({ ...account, expiresSeconds: 100 }).answer)
    for (const peer of [silent, second]) closers.push(peer.close)
    const registrations = [silent, second].map(({ address: host, port }, index) =>
      registration({ host, port, ...account, password: new Secret(account.password), registrar: `r${index}` }),
    )
    const one = trunk({ registrations, registrationPolicy: 'FirstAvailable' })
    const { trunks, clock, until } = await startTrunks(one)
    clock.advance(100)
    await expect.poll(() => silent.received.length).toBeGreaterThan(0)
    clock.advance(30_000)
    expect(second.received).toEqual([])
    clock.advance(5_000)
    await until(() =>
      trunks.registrations().some(({ registrar, state }) => registrar === 'r1' && state === 'Registered'),
    )
    // It may have the binding after all, and is asked to forget it at the end.
    away = false
  })

  it('of two that one is taken away from sends the removal of that one alone (registrars check 6)', async () => {
    const answers = () => registrarAnswers({ ...account, expiresSeconds: 100 })
    const [first, second] = [answers(), answers()]
    const peers = [await openPeer(first.answer), await openPeer(second.answer)]
    for (const peer of peers) closers.push(peer.close)
    const [stays, goes] = peers.map(({ address: host, port }, index) =>
      registration({ host, port, ...account, password: new Secret(account.password), registrar: `r${index}` }),
    )
    if (stays === undefined || goes === undefined) throw new Error('two registrations')
    const { trunks, clock, until, apply } = await startTrunks(trunk({ registrations: [stays, goes] }))
    clock.advance(100)
    await until(() => trunks.registrations().every(({ state }) => state === 'Registered'))
    const heard = peers.map(({ received }) => received.length)
    apply(trunk({ registrations: [stays] }))
    await expect.poll(() => second.bindings.size).toBe(0)
    expect(headerOf(peers[1]?.received.at(-1) ?? { text: '' }, 'Expires')).toEqual(['0'])
    expect(peers[0]?.received).toHaveLength(heard[0] ?? 0)
    expect(first.bindings.size).toBe(1)
  })

  it('is removed when its trunk has none any more (registration check 4)', async () => {
    const { bindings, answer } = registrarAnswers({ ...account, expiresSeconds: 100 })
    const peer = await openPeer(answer)
    closers.push(peer.close)
    const { trunks, clock, until, apply } = await startTrunks(configFor(peer, account.password))
    clock.advance(0)
    await until(() => trunks.registrations()[0]?.state === 'Registered')
    apply(trunk({ registrations: [] }))
    await expect.poll(() => bindings.size).toBe(0)
    expect(headerOf(peer.received.at(-1) ?? { text: '' }, 'Expires')).toEqual(['0'])
  })

  it('that is challenged for a realm that the account is not for sends no credentials (registration check 2)', async () => {
    const peer = await openPeer(registrarAnswers({ ...account, expiresSeconds: 100 }).answer)
    closers.push(peer.close)
    const { address: host, port } = peer
    const foreign = registration({ host, port, ...account, password: new Secret(account.password), realm: 'elsewhere' })
    const { trunks, clock, until } = await startTrunks(trunk({ registrations: [foreign] }))
    clock.advance(0)
    await until(() => trunks.registrations()[0]?.failure !== undefined)
    expect(trunks.registrations()[0]).toMatchObject({ state: 'Unregistered', failure: 'AuthFailed', lastCode: 401 })
    expect(trunks.registrations()[0]?.detail).toContain('but the account is for "elsewhere"')
    expect(peer.received.filter((request) => headerOf(request, 'Authorization').length > 0)).toEqual([])
  })

  it('with a wrong password fails for its credentials, after one try of them', async () => {
    const peer = await openPeer(registrarAnswers({ ...account, expiresSeconds: 100 }).answer)
    closers.push(peer.close)
    const { trunks, clock, until } = await startTrunks(configFor(peer, 'circle of life'))
    clock.advance(0)
    await until(() => trunks.registrations()[0]?.failure !== undefined)
    expect(trunks.registrations()[0]).toMatchObject({ state: 'Unregistered', failure: 'AuthFailed', lastCode: 401 })
    expect(peer.received).toHaveLength(2)
  })
})

describe('a keepalive on the wire', () => {
  /** Whatever has been sent is there: a datagram has gone over loopback and come back meanwhile. */
  const settled = async () => {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    socket.send('x', socket.address().port, '127.0.0.1')
    await once(socket, 'message')
    socket.close()
  }

  it.each(['127.0.0.1', '::1'])('follows a target on %s up, down and up again', async (address) => {
    let status: string | undefined = '405 Method Not Allowed'
    const peer = await openPeer(() => (status === undefined ? undefined : { status }), address)
    closers.push(peer.close)
    const { port } = peer
    const one = trunk({ targets: [target({ host: address, port })], keepalive })
    const { trunks, clock, until, port: ownPort } = await startTrunks(one, address)
    const state = () => trunks.targets()[0]
    clock.advance(0)
    await until(() => state()?.state === 'Up')
    const [first] = peer.received
    const host = address.includes(':') ? `[${address}]` : address
    expect(first).toMatchObject({ method: 'OPTIONS', uri: `sip:${host}:${port};transport=udp` })
    expect(first?.from.port).toBe(ownPort)
    const header = (name: string) => (first === undefined ? [] : headerOf(first, name))
    expect(header('From')[0]).toMatch(/;tag=\S+$/)
    expect(header('To')).toEqual([`<sip:${host}:${port}>`])
    expect(header('Contact')).toEqual([`<sip:ping@${host}:${ownPort}>`])
    expect(header('Accept')).toEqual(['application/sdp'])
    expect(Number(header('Max-Forwards')[0])).toBeGreaterThan(0)
    expect(header('Route')).toEqual([])

    status = '503 Service Unavailable'
    clock.advance(upInterval)
    await until(() => state()?.lastCode === 503)
    expect(trunks.usable('carrier', 'a')).toBe(true)
    status = undefined
    clock.advance(upInterval)
    clock.advance(4000)
    expect(state()).toMatchObject({ state: 'Down' })
    expect(trunks.usable('carrier', 'a')).toBe(false)
    status = '200 OK'
    clock.advance(downInterval - 4000)
    await until(() => state()?.state === 'Up')
  })

  it('item 9, checks 2 and 3: five 503 make it Down, probed every 30 s; the first 200 makes it Up, probed every 60 s', async () => {
    let status = '200 OK'
    const peer = await openPeer(() => ({ status }))
    closers.push(peer.close)
    const targets = [target({ host: peer.address, port: peer.port })]
    const { trunks, clock, until } = await startTrunks(
      trunk({ targets, keepalive: { ...keepalive, failureThreshold: 5 } }),
    )
    const state = () => trunks.targets()[0]
    const failed = async (times: number, interval: number) => {
      clock.advance(interval)
      await expect.poll(() => state()?.failures).toBe(times)
    }
    clock.advance(0)
    await until(() => state()?.state === 'Up')
    status = '503 Service Unavailable'
    for (let times = 1; times <= 4; times++) await failed(times, upInterval)
    expect([state()?.state, trunks.usable('carrier', 'a')]).toEqual(['Up', true])
    await failed(5, upInterval)
    expect([state()?.state, trunks.usable('carrier', 'a')]).toEqual(['Down', false])
    clock.advance(downInterval)
    await expect.poll(() => peer.received.length).toBe(7)
    await settled()
    status = '200 OK'
    clock.advance(downInterval)
    await until(() => state()?.state === 'Up')
    expect(trunks.usable('carrier', 'a')).toBe(true)
    // A probe that came after 30 s would be one more in the end.
    for (let probes = 9; probes <= 10; probes++) {
      clock.advance(downInterval)
      await settled()
      clock.advance(upInterval - downInterval)
      await expect.poll(() => peer.received.length).toBe(probes)
      await settled()
    }
  })

  it('that nobody answers ends with its own time, and is not sent on until Timer F (RFC 3261 section 17.1.2.2)', async () => {
    const peer = await openPeer(() => undefined)
    closers.push(peer.close)
    const one = trunk({ targets: [target({ host: peer.address, port: peer.port })], keepalive })
    const { trunks, clock, engine } = await startTrunks(one)
    clock.advance(0)
    await expect.poll(() => peer.received.length).toBeGreaterThan(0)
    expect(engine.gauges()).toMatchObject({ clientTransactions: 1 })
    clock.advance(4000)
    expect(trunks.targets()[0]?.detail).toContain('no answer from')
    await expect.poll(() => engine.gauges()).toMatchObject({ clientTransactions: 0 })
  })

  it('over TCP to a port where nobody listens fails before its time is over', async () => {
    const [port = 0] = await freePorts(1)
    const one = trunk({
      targets: [target({ port, host: '127.0.0.1', transport: 'TCP', listener: 'tcp' })],
      keepalive: { ...keepalive, failureThreshold: 1 },
    })
    const { trunks, clock, until } = await startTrunks(one)
    clock.advance(0)
    await until(() => trunks.targets()[0]?.state === 'Down')
    expect(trunks.targets()[0]?.detail).toBe(
      `127.0.0.1:${port} over TCP cannot be reached: connect ECONNREFUSED 127.0.0.1:${port}`,
    )
  })
})
