import { afterEach, describe, expect, it } from 'vitest'
import { Secret } from '#lib/secret.ts'
import type { RegistrationConfig } from '#api/snapshot.ts'
import { registration, trunk } from '../../dataplane/trunks/trunks-fixture.ts'
import { startTrunks } from './start-trunks.ts'
import { headerOf, openPeer, type Received, registrarAnswers } from './udp-peer.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

type Answer = ReturnType<Parameters<typeof openPeer>[0]>

/** A registrar that answers as the test says, and trunks that register one account with it. */
async function begin(answer: (request: Received) => Answer, account: Partial<RegistrationConfig> = {}) {
  const peer = await openPeer(answer)
  closers.push(peer.close)
  const config = (changes: Partial<RegistrationConfig> = {}) =>
    trunk({ registrations: [registration({ host: peer.address, port: peer.port, ...account, ...changes })] })
  const run = await startTrunks(closers, config())
  run.clock.advance(0)
  const state = () => run.trunks.registrations()[0]
  return { ...run, peer, state, config }
}

const contactOf = (request: Received) => headerOf(request, 'Contact')[0] ?? ''
const ok = (...headers: string[]): Answer => ({ status: '200 OK', headers })

describe('a registrar on the wire', () => {
  it('that answers after its request was given up has said nothing', async () => {
    let silent = true
    const { peer, clock, state, until } = await begin((request) =>
      silent ? undefined : ok(`Contact: ${contactOf(request)}`),
    )
    await expect.poll(() => peer.received.length).toBeGreaterThan(0)
    clock.advance(35_000)
    await until(() => state()?.failure === 'NoAnswer')
    // The first request is still sent again by its transaction, and gets its answer now.
    silent = false
    const given = peer.received.length
    await expect.poll(() => peer.received.length).toBeGreaterThan(given)
    expect(state()).toMatchObject({ state: 'Unregistered', failure: 'NoAnswer' })
    // The next one, after the wait, makes the binding.
    clock.advance(10_000)
    await until(() => state()?.state === 'Registered')
  })

  it('that answers twice makes one binding, refreshed once', async () => {
    const { peer, clock, state, until } = await begin((request) => ({
      status: '200 OK',
      headers: [`Contact: ${contactOf(request)};expires=100`],
      copies: 2,
    }))
    await until(() => state()?.state === 'Registered')
    clock.advance(80_000)
    await expect.poll(() => new Set(peer.received.map((one) => headerOf(one, 'CSeq')[0])).size).toBe(2)
    clock.advance(70_000)
    expect(new Set(peer.received.map((one) => headerOf(one, 'CSeq')[0])).size).toBe(2)
  })

  it('that grants less than was asked is refreshed by what it grants', async () => {
    const { peer, clock, state, until } = await begin((request) => ok(`Contact: ${contactOf(request)};expires=60`))
    await until(() => state()?.state === 'Registered')
    expect(headerOf(peer.received[0] ?? { text: '' }, 'Expires')).toEqual(['3600'])
    expect(state()?.expiresAt).toBe(clock.wallTime() + 60_000)
    clock.advance(48_000)
    await until(() => state()?.expiresAt === clock.wallTime() + 60_000)
    expect(peer.received).toHaveLength(2)
  })

  it('that grants no time at all has not registered, and is asked again after a wait', async () => {
    let granted = 0
    const { peer, clock, state, until } = await begin((request) =>
      ok(`Contact: ${contactOf(request)};expires=${granted}`),
    )
    await until(() => state()?.failure !== undefined)
    expect(state()?.state).toBe('Unregistered')
    expect(peer.received).toHaveLength(1)
    granted = 600
    clock.advance(5_000)
    await until(() => state()?.state === 'Registered')
  })

  it('that lists the Contacts of others, with times of their own, is taken by ours alone', async () => {
    const { clock, state, until } = await begin((request) =>
      ok(
        'Contact: <sip:+15550100@203.0.113.9>;expires=5, <sip:other@203.0.113.8>;expires=7',
        `Contact: ${contactOf(request)};expires=600`,
      ),
    )
    await until(() => state()?.state === 'Registered')
    expect(state()?.expiresAt).toBe(clock.wallTime() + 600_000)
  })

  it('that redirects is refused, and says what to do; nothing goes to where it points (RFC 3261 section 8.1.3.4)', async () => {
    const elsewhere = await openPeer(() => ok())
    closers.push(elsewhere.close)
    const { state, until } = await begin(() => ({
      status: '302 Moved Temporarily',
      headers: [`Contact: <sip:${elsewhere.address}:${elsewhere.port}>`],
    }))
    await until(() => state()?.failure === 'Rejected')
    expect(state()?.detail).toBe('302 Moved Temporarily: redirections are not followed; name that registrar')
    expect(elsewhere.received).toEqual([])
  })

  it('whose challenge is answered with the new password when the Secret changes meanwhile', async () => {
    const registrar = registrarAnswers({ username: 'user', password: 'new', expiresSeconds: 100 })
    const { apply, config, peer, state, until } = await begin(registrar.answer, {
      username: 'user',
      password: new Secret('old'),
    })
    await expect.poll(() => peer.received.length).toBeGreaterThan(0)
    apply(config({ password: new Secret('new') }))
    await until(() => state()?.state === 'Registered')
    expect(registrar.bindings.size).toBe(1)
    // One binding by one dialog: Call-ID kept, CSeq rising.
    expect(new Set(peer.received.map((one) => headerOf(one, 'Call-ID')[0])).size).toBe(1)
    const sequence = peer.received.map((one) => Number.parseInt(headerOf(one, 'CSeq')[0] ?? ''))
    expect(sequence).toEqual(sequence.toSorted((one, other) => one - other))
  })
})

describe('an account that stands for many numbers, on the wire (RFC 6140)', () => {
  const bulk = { bulk: true, contactUser: '' }

  it('registers a Contact without user, with bnc, and asks for gin (section 5.2)', async () => {
    const { peer, port, clock, state, until, trunks } = await begin((request) => {
      const wants = (name: string) => headerOf(request, name).join(', ').split(/, */).includes('gin')
      if (!wants('Require') || !wants('Proxy-Require') || !wants('Supported'))
        return { status: '421 Extension Required' }
      const [expires = ''] = headerOf(request, 'Expires')
      return ok(...(expires === '0' ? [] : [`Contact: ${contactOf(request)};expires=600`]))
    }, bulk)
    await until(() => state()?.state === 'Registered')
    const [first] = peer.received
    const contact = `<sip:127.0.0.1:${port};bnc>`
    expect(first === undefined ? [] : headerOf(first, 'Contact')).toEqual([contact])
    expect(state()?.expiresAt).toBe(clock.wallTime() + 600_000)
    await trunks.stop()
    const last = peer.received.at(-1)
    expect(last === undefined ? [] : [...headerOf(last, 'Contact'), ...headerOf(last, 'Expires')]).toEqual([
      contact,
      '0',
    ])
  })

  it('says so when the registrar does not know gin (RFC 3261 section 21.4.15)', async () => {
    const { state, until } = await begin(() => ({ status: '420 Bad Extension', headers: ['Unsupported: gin'] }), bulk)
    await until(() => state()?.failure !== undefined)
    expect(state()).toMatchObject({ state: 'Unregistered', failure: 'Rejected', lastCode: 420 })
    expect(state()?.detail).toBe(
      '420 Bad Extension: the registrar does not know gin (RFC 6140); register its numbers one by one, without bulk',
    )
  })
})
