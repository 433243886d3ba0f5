import { randomInt } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Secret } from '#lib/secret.ts'
import { DnsClient } from '../../dataplane/dns/dns-client.ts'
import { Locator } from '../../dataplane/dns/locate.ts'
import { registration, settle, trunk } from '../../dataplane/trunks/trunks-fixture.ts'
import { openFleet } from '../trunks/call-fleet.ts'
import { headerOf, openPeer, registrarAnswers } from '../trunks/udp-peer.ts'
import { startKnot } from './knot.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A gateway on loopback that says so to calls and is alive for OPTIONS; undefined means silence. */
async function gateway(invite: string | undefined = '200 OK', options: string | undefined = '200 OK') {
  const state: { invite: string | undefined; options: string | undefined } = { invite, options }
  const asked = Promise.withResolvers<void>()
  const peer = await openPeer(({ method }) => {
    if (method === 'OPTIONS') asked.resolve()
    if (method === 'ACK') return undefined
    const status = method === 'INVITE' ? state.invite : method === 'OPTIONS' ? state.options : '200 OK'
    return status === undefined ? undefined : { status, headers: [`Contact: <sip:b@127.0.0.1:${peer.port}>`] }
  })
  closers.push(peer.close)
  const of = (method: string) => peer.received.filter((one) => one.method === method)
  const invites = () => new Set(of('INVITE').map((one) => headerOf(one, 'Call-ID')[0])).size
  return { ...peer, state, invites, of, probed: asked.promise }
}

const srv = (priority: number, weight: number, port: number, ttl = 60) =>
  `_sip._udp.sip ${ttl} SRV ${priority} ${weight} ${port} here`
const here = 'here 600 A 127.0.0.1'
/** One failure is enough, and time is the test's. */
const keepalive = { ...trunk().keepalive, failureThreshold: 1 }
const quickHunting = { ...builtInBehaviour.timers, noResponseMilliseconds: 2_000 }

describe.skipIf(!inject('peers').knotd)('a trunk whose servers are in SRV records', () => {
  let knot: Awaited<ReturnType<typeof startKnot>>
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    knot = await startKnot([])
    closers.push(() => knot.close())
  })

  /** A replica whose trunk `carrier` is `sip.carrier.test`, with what the zone has in the end. */
  async function fleet(records: readonly string[], options: Partial<Parameters<typeof openFleet>[0]> = {}) {
    await knot.change(records)
    const dns = new DnsClient({ clock, servers: [knot.server], randomId: () => randomInt(65_536) })
    const { locate } = new Locator(dns)
    let last: Promise<unknown> = Promise.resolve()
    const opened = await openFleet({
      trunks: { carrier: [{ address: 'sip.carrier.test' }] },
      sip: { timers: quickHunting },
      locate: (...asked) => (last = locate(...asked)) as ReturnType<typeof locate>,
      clock,
      ...options,
    })
    closers.push(() => opened.close())
    const endpoints = () => opened.loops.endpoints('carrier', 't0', () => 0).map(({ port }) => port)
    /** Settles when nothing is looked up. */
    const idle = () => last.then(settle, settle)
    return {
      ...opened,
      endpoints,
      idle,
      located: () => opened.until(() => opened.loops.trunksAt('127.0.0.1').length > 1),
    }
  }

  it('gets calls at the server of the lowest priority value, for its domain, and is known by all of them', async () => {
    const [first, second] = [await gateway(), await gateway()]
    const one = await fleet([srv(20, 0, second.port), srv(10, 0, first.port), here])
    await one.located()
    expect((await one.call()).status).toBe(200)
    expect([first.invites(), second.invites()]).toEqual([1, 0])
    expect(first.of('INVITE')[0]?.uri).toBe('sip:200@sip.carrier.test')
    const known = one.loops.trunksAt('127.0.0.1').filter(({ trunk }) => trunk === 'carrier')
    expect(new Set(known.map(({ port }) => port))).toEqual(new Set([first.port, second.port]))
  })

  it('gets calls in shares of the weights (RFC 2782)', async () => {
    const [three, one] = [await gateway('486 Busy Here'), await gateway('486 Busy Here')]
    const { located, call } = await fleet([srv(0, 75, three.port), srv(0, 25, one.port), here], { random: Math.random })
    await located()
    for (let count = 0; count < 80; count++) await call()
    expect(three.invites() + one.invites()).toBe(80)
    // 60 of 80; six standard deviations are 23.
    expect(Math.abs(three.invites() - 60)).toBeLessThan(24)
  })

  it.each([
    { fault: '503', invite: '503 Service Unavailable' },
    { fault: 'silence', invite: undefined },
  ])(
    'has a call that meets $fault go to the next server, and the caller hears nothing of it (RFC 3263 §4.3)',
    async ({ invite }) => {
      const [first, second, third] = [await gateway(invite), await gateway(invite), await gateway()]
      first.state.invite = invite
      second.state.invite = invite
      const one = await fleet([srv(10, 0, first.port), srv(20, 0, second.port), srv(30, 0, third.port), here])
      await one.located()
      expect((await one.call()).status).toBe(200)
      expect([first, second, third].map(({ invites }) => invites())).toEqual([1, 1, 1])
      // What is silent is asked again until it answers, and the replica ends with its last transaction.
      for (const { state } of [first, second]) state.invite = '503 Service Unavailable'
    },
  )

  it('has a call that is answered 486 end there', async () => {
    const [busy, second] = [await gateway('486 Busy Here'), await gateway()]
    const one = await fleet([srv(10, 0, busy.port), srv(20, 0, second.port), here])
    await one.located()
    expect((await one.call()).status).toBe(486)
    expect(second.invites()).toBe(0)
  })

  it('gets the next calls elsewhere for 30 s where a call failed, and twice that when it fails again', async () => {
    const [first, second] = [await gateway('503 Service Unavailable'), await gateway()]
    const one = await fleet([srv(10, 0, first.port), srv(20, 0, second.port), here])
    await one.located()
    const tried = async () => {
      const before = first.invites()
      expect((await one.call()).status).toBe(200)
      return first.invites() - before
    }
    expect([await tried(), await tried()]).toEqual([1, 0])
    clock.advance(29_999)
    expect(await tried()).toBe(0)
    clock.advance(1)
    expect([await tried(), await tried()]).toEqual([1, 0])
    clock.advance(59_999)
    expect(await tried()).toBe(0)
    first.state.invite = '200 OK'
    clock.advance(1)
    expect([await tried(), await tried()]).toEqual([1, 1])
  })

  it('has each of its servers probed, and gets calls where OPTIONS is answered (keepalive: one session per host)', async () => {
    const [dead, alive] = [await gateway(), await gateway()]
    dead.state.options = undefined
    const one = await fleet([srv(10, 0, dead.port), srv(20, 0, alive.port), here], { keepalive })
    await one.located()
    const state = () => one.loops.targets().find(({ trunk }) => trunk === 'carrier')
    const answered = one.until(() => state()?.state === 'Up')
    clock.advance(1000)
    await Promise.all([answered, dead.probed])
    clock.advance(4000)
    expect(state()).toMatchObject({
      state: 'Up',
      downEndpoints: [`127.0.0.1:${dead.port}`],
      endpoints: [`127.0.0.1:${alive.port}`, `127.0.0.1:${dead.port}`].sort(),
    })
    expect((await one.call()).status).toBe(200)
    expect([dead.invites(), alive.invites()]).toEqual([0, 1])
    expect(dead.of('OPTIONS')[0]?.uri).toBe('sip:sip.carrier.test;transport=udp')
  })

  it('follows a change of the records when their TTL is over, and not before', async () => {
    const [before, after] = [await gateway(), await gateway()]
    const one = await fleet([srv(0, 0, before.port, 20), here])
    await one.located()
    await knot.change([srv(0, 0, after.port, 20), here])
    clock.advance(19_999)
    expect((await one.call()).status).toBe(200)
    clock.advance(1)
    await one.until(() => one.endpoints().includes(after.port))
    expect((await one.call()).status).toBe(200)
    expect([before.invites(), after.invites()]).toEqual([1, 1])
    expect(one.loops.trunksAt('127.0.0.1').some(({ port }) => port === before.port)).toBe(false)
  })

  it('is down with NameNotResolved while the DNS knows nothing of it, and up when it does', async () => {
    const peer = await gateway()
    const one = await fleet([], { keepalive })
    const state = () => one.loops.targets().find(({ trunk }) => trunk === 'carrier')
    await one.until(() => state()?.state === 'Down')
    expect(state()).toMatchObject({
      failure: 'NameNotResolved',
      detail: 'sip.carrier.test has no IPv4 address: NXDOMAIN',
    })
    expect((await one.call()).status).toBe(503)
    await knot.change([srv(0, 0, peer.port), here])
    const until = one.until(() => one.endpoints().includes(peer.port))
    // The zone gives 60 s to what is not there; the tries come after 5, 10, 20, 40 s.
    for (const seconds of [5, 10, 20, 40]) {
      clock.advance(seconds * 1000)
      await one.idle()
    }
    await until
    const up = one.until(() => state()?.state === 'Up')
    clock.advance(1000)
    await up
    expect((await one.call()).status).toBe(200)
  })

  it('is registered at the next server when the first is overloaded, for its domain', async () => {
    const account = { username: 'carrier-user', password: 'Circle of Life' }
    const { bindings, answer } = registrarAnswers({ ...account, expiresSeconds: 600 })
    const busy = await openPeer(() => ({ status: '503 Service Unavailable' }))
    const registrar = await openPeer(answer)
    closers.push(busy.close, registrar.close)
    const count = () => [busy, registrar].map(({ received }) => received.length)
    const config = registration({ host: 'sip.carrier.test', ...account, password: new Secret(account.password) })
    const { port: _port, ...withoutPort } = config
    const one = await fleet([srv(10, 0, busy.port), srv(20, 0, registrar.port), here], { registrations: [withoutPort] })
    await one.located()
    const standing = () => one.loops.registrations()[0]
    const registered = one.until(() => standing()?.state === 'Registered')
    clock.advance(1000)
    await registered
    expect(bindings.size).toBe(1)
    expect(count()).toEqual([1, 2])
    expect(registrar.received[0]?.uri).toBe('sip:sip.carrier.test')
    // The better server is tried again, since its 30 s are over.
    clock.advance(480_000)
    await one.until(() => standing()?.expiresAt === clock.wallTime() + 600_000)
    expect(count()).toEqual([2, 3])
  })
})
