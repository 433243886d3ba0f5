import { describe, expect, it } from 'vitest'
import type { TargetReport } from '#api/wire.ts'
import type { ScriptedPort } from './scripted-port.ts'
import { configOf, listener, runTrunks, settle, target, trunk, addressesOf } from './trunks-fixture.ts'

const keepalive = {
  enabled: true,
  upIntervalSeconds: 60,
  downIntervalSeconds: 30,
  failureThreshold: 5,
  timeoutSeconds: 4,
  scope: 'Fleet' as const,
  failureCodes: [503, 505],
}
const carrier = trunk({ targets: [target()] })

function stateOf({ trunks }: { trunks: { targets(): TargetReport[] } }): TargetReport | undefined {
  return trunks.targets()[0]
}

function answering(status: number) {
  return (request: ScriptedPort['last']) => request.answer(status)
}

describe('a probe', () => {
  it('leaves within a second, from the listener its Contact names, to the resolved address (RFC 3261 section 11.1)', () => {
    const { sip, clock } = runTrunks(configOf([carrier]))
    clock.advance(1000)
    expect(sip.sent).toHaveLength(1)
    expect(sip.last).toMatchObject({
      method: 'OPTIONS',
      uri: 'sip:198.51.100.1:5060;transport=udp',
      nextHop: 'sip:198.51.100.1:5060;transport=udp',
    })
    expect(Object.fromEntries(sip.last.headers)).toEqual({
      From: '<sip:ping@192.0.2.1:5060>',
      To: '<sip:198.51.100.1:5060>',
      Contact: '<sip:ping@192.0.2.1:5060>',
      Accept: 'application/sdp',
    })
  })

  it('over TCP and IPv6 says so', () => {
    const tcp = listener({ name: 'tcp6', transport: 'TCP', ipFamily: 'IPv6', address: '2001:db8::1', port: 5070 })
    const peer = target({ host: '2001:DB8:0::9', port: 5080, transport: 'TCP', listener: 'tcp6' })
    const { sip, clock } = runTrunks(configOf([trunk({ targets: [peer] })], [tcp]))
    clock.advance(1000)
    expect(sip.last).toMatchObject({
      uri: 'sip:[2001:DB8:0::9]:5080;transport=tcp',
      nextHop: 'sip:[2001:db8::9]:5080;transport=tcp',
    })
    expect(sip.last.get('Contact')).toBe('<sip:ping@[2001:db8::1]:5070;transport=tcp>')
  })

  it('that is answered 404 or 405 shows a target that is up (keepalive check 1)', () => {
    for (const status of [404, 405]) {
      const run = runTrunks(configOf([carrier]))
      run.sip.script = answering(status)
      run.clock.advance(200_000)
      expect(stateOf(run)).toMatchObject({ state: 'Up', lastCode: status })
      expect(run.sip.sent).toHaveLength(4)
    }
  })

  it('that is answered with a provisional goes on waiting', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(1000)
    run.sip.last.answer(183)
    expect(stateOf(run)?.state).toBe('Unknown')
    run.sip.last.answer(200)
    expect(stateOf(run)?.state).toBe('Up')
    expect(run.clock.pending).toBe(1)
  })

  it('that is answered after its time has failed, and is not sent again', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(500)
    const late = run.sip.last
    run.clock.advance(4000)
    expect(late.abandoned).toBe(true)
    late.answer(200)
    expect(stateOf(run)).toMatchObject({
      state: 'Unknown',
      detail: 'no answer from 198.51.100.1:5060 over UDP within 4 s',
    })
    expect(stateOf(run)).not.toHaveProperty('lastCode')
  })

  it.each([
    { made: 408, detail: 'no answer from 198.51.100.1:5060 over UDP' },
    { made: 503, detail: '198.51.100.1:5060 over UDP cannot be reached' },
  ] as const)('for which the engine makes up a $made has no answer, and no code', ({ made, detail }) => {
    const run = runTrunks(configOf([trunk({ targets: [target()], keepalive: { ...keepalive, failureThreshold: 1 } })]))
    run.sip.script = (request) => request.answerLocally(made)
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({ state: 'Down', detail })
    expect(stateOf(run)).not.toHaveProperty('lastCode')
  })

  it.each([
    ['the certificate is for other.example, not for sip.carrier.example (RFC 5922 section 7)', 'TlsFailed'],
    ['certificate has expired', 'TlsFailed'],
    ['connect ECONNREFUSED 198.51.100.1:5061', 'Unreachable'],
  ])('that cannot be sent says whether it was TLS: %s', (reason, failure) => {
    const run = runTrunks(configOf([trunk({ targets: [target()], keepalive: { ...keepalive, failureThreshold: 1 } })]))
    run.sip.script = (request) => request.answerLocally(503, reason)
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({ state: 'Down', failure })
    expect(stateOf(run)?.detail).toContain(reason)
  })

  it('that cannot leave, since there is no SIP server, is tried again soon and blames nobody', () => {
    const run = runTrunks(configOf([trunk({ targets: [target()], keepalive: { ...keepalive, failureThreshold: 1 } })]))
    run.sip.script = (request) => request.fail('Disconnected')
    run.clock.advance(10_000)
    expect(run.sip.sent).toHaveLength(10)
    expect(stateOf(run)).toMatchObject({ state: 'Unknown', detail: 'Disconnected for a test' })
    run.sip.script = answering(200)
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({ state: 'Up' })
    expect(stateOf(run)).not.toHaveProperty('detail')
  })

  it('that the engine refuses has failed', () => {
    const run = runTrunks(configOf([trunk({ targets: [target()], keepalive: { ...keepalive, failureThreshold: 1 } })]))
    run.sip.script = (request) => request.fail('Rejected')
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({ state: 'Down', detail: 'OPTIONS could not be sent: Rejected for a test' })
  })

  it('is not sent while its listener is not open, and the report says so', () => {
    const run = runTrunks(configOf([carrier], []))
    run.clock.advance(10_000)
    expect(run.sip.sent).toEqual([])
    expect(stateOf(run)).toMatchObject({ state: 'Unknown', detail: 'the listener udp is not open' })
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
    run.apply(configOf([carrier]))
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(1)
  })
})

describe('a target', () => {
  it('is down after the fifth 503, then probed every 30 s, and up at once with the next 200 (keepalive checks 2 and 3)', () => {
    const run = runTrunks(configOf([carrier]))
    const { sip, clock, trunks } = run
    sip.script = answering(200)
    clock.advance(500)
    const upSince = clock.wallTime()
    sip.script = answering(503)
    clock.advance(4 * 60_000)
    expect(sip.sent).toHaveLength(5)
    expect(stateOf(run)).toMatchObject({ state: 'Up', lastCode: 503, detail: '503 Reason', since: upSince })
    expect(trunks.usable('carrier', 'a')).toBe(true)
    clock.advance(60_000)
    expect(stateOf(run)).toMatchObject({ state: 'Down', lastCode: 503, since: clock.wallTime() })
    expect(trunks.usable('carrier', 'a')).toBe(false)

    clock.advance(29_999)
    expect(sip.sent).toHaveLength(6)
    sip.script = answering(200)
    clock.advance(1)
    expect(sip.sent).toHaveLength(7)
    expect(stateOf(run)).toMatchObject({ state: 'Up', lastCode: 200 })
    expect(stateOf(run)).not.toHaveProperty('detail')
    expect(trunks.usable('carrier', 'a')).toBe(true)
    clock.advance(59_999)
    expect(sip.sent).toHaveLength(7)
    clock.advance(1)
    expect(sip.sent).toHaveLength(8)
  })

  it('that never answers is probed every 30 s from the start, counted from probe to probe', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(500 + 3 * 30_000)
    expect(run.sip.sent).toHaveLength(4)
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
    run.clock.advance(30_000 + 4000)
    expect(run.trunks.usable('carrier', 'a')).toBe(false)
  })

  it('is taken as up and never probed where keepalive is off', () => {
    const run = runTrunks(configOf([trunk({ targets: [target()], keepalive: { ...keepalive, enabled: false } })]))
    run.clock.advance(600_000)
    expect(run.sip.sent).toEqual([])
    expect(stateOf(run)?.state).toBe('Unknown')
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
  })

  it('that nobody has heard of is usable', () => {
    const { trunks } = runTrunks(configOf([carrier]))
    expect(trunks.usable('carrier', 'nobody')).toBe(true)
    expect(addressesOf(trunks, 'carrier', 'nobody')).toEqual([])
  })

  it('with several addresses has each of them probed, and calls try those first that answer', async () => {
    const resolve = () => Promise.resolve({ addresses: ['198.51.100.1', '198.51.100.2'], ttlSeconds: 3600 })
    const twice = { ...keepalive, failureThreshold: 2 }
    const run = runTrunks(configOf([trunk({ targets: [target({ host: 'sip.carrier.example' })], keepalive: twice })]), {
      resolve,
    })
    await settle()
    run.sip.script = (request) => {
      if (request.nextHop?.includes('198.51.100.2')) request.answer(200)
      else request.answerLocally(503)
    }
    run.clock.advance(1000)
    expect(run.sip.sent.map(({ nextHop }) => nextHop)).toEqual([
      'sip:198.51.100.1:5060;transport=udp',
      'sip:198.51.100.2:5060;transport=udp',
    ])
    expect(addressesOf(run.trunks, 'carrier', 'a')).toEqual(['198.51.100.2', '198.51.100.1'])
    run.clock.advance(30_000)
    expect(stateOf(run)).toMatchObject({ state: 'Up', failure: 'Unreachable', downEndpoints: ['198.51.100.1:5060'] })
    expect(addressesOf(run.trunks, 'carrier', 'a')).toEqual(['198.51.100.2'])
    run.sip.script = answering(200)
    run.clock.advance(30_000)
    expect(stateOf(run)).not.toHaveProperty('downEndpoints')
    expect(addressesOf(run.trunks, 'carrier', 'a')).toEqual(['198.51.100.1', '198.51.100.2'])
  })
})

describe('a target whose host is a name', () => {
  const named = trunk({ targets: [target({ host: 'sip.carrier.example' })] })

  it('is probed once the name has resolved, with the name in the Request-URI', async () => {
    const answer = Promise.withResolvers<{ addresses: string[]; ttlSeconds: number }>()
    const run = runTrunks(configOf([named]), { resolve: () => answer.promise })
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    answer.resolve({ addresses: ['198.51.100.9'], ttlSeconds: 3600 })
    await settle()
    run.clock.advance(1000)
    expect(run.sip.last).toMatchObject({
      uri: 'sip:sip.carrier.example:5060;transport=udp',
      nextHop: 'sip:198.51.100.9:5060;transport=udp',
    })
  })

  it('that does not resolve goes down like one that does not answer, and is probed as soon as it does', async () => {
    let works = false
    const resolve = () =>
      works
        ? Promise.resolve({ addresses: ['198.51.100.9'], ttlSeconds: 3600 })
        : Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }))
    const once = { ...keepalive, failureThreshold: 1, downIntervalSeconds: 1200 }
    const run = runTrunks(configOf([{ ...named, keepalive: once }]), { resolve })
    await settle()
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({
      state: 'Down',
      detail: 'sip.carrier.example has no IPv4 address: ENOTFOUND',
    })
    works = true
    run.sip.script = answering(200)
    run.clock.advance(5000)
    await settle()
    run.clock.advance(1000)
    expect(stateOf(run)?.state).toBe('Up')
  })
})

describe('a change of configuration', () => {
  it('leaves the state and the timers of a target alone whose priority or weight changed', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = answering(200)
    run.clock.advance(30_500)
    const before = stateOf(run)
    run.apply(configOf([trunk({ targets: [target({ priority: 7, weight: 9 })] })]))
    expect(stateOf(run)).toEqual(before)
    run.clock.advance(29_999)
    expect(run.sip.sent).toHaveLength(1)
    run.clock.advance(1)
    expect(run.sip.sent).toHaveLength(2)
  })

  it('of an interval keeps the state and counts from the last probe', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = answering(200)
    run.clock.advance(20_500)
    run.apply(configOf([{ ...carrier, keepalive: { ...keepalive, upIntervalSeconds: 30 } }]))
    expect(stateOf(run)?.state).toBe('Up')
    run.clock.advance(10_000)
    expect(run.sip.sent).toHaveLength(2)
  })

  it('does not put off the first probe', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(300)
    run.apply(configOf([{ ...carrier, keepalive: { ...keepalive, downIntervalSeconds: 20 } }]))
    run.clock.advance(200)
    expect(run.sip.sent).toHaveLength(1)
  })

  it('that has nothing to do with keepalive does not shake the dice again', () => {
    const dice = [0.5, 0.5, 0.9]
    const run = runTrunks(configOf([carrier]), { random: () => dice.shift() ?? 0.5 })
    run.sip.script = answering(200)
    run.clock.advance(1000)
    run.apply(configOf([trunk({ targets: [target()], allowedSources: ['203.0.113.0/24'] })]))
    run.clock.advance(500 + 60_000 - 1000)
    expect(run.sip.sent).toHaveLength(2)
  })

  it.each([
    { what: 'host', changed: configOf([trunk({ targets: [target({ host: '198.51.100.2' })] })]) },
    { what: 'port', changed: configOf([trunk({ targets: [target({ port: 5070 })] })]) },
    { what: 'listener socket', changed: configOf([carrier], [listener({ port: 5070 })]) },
  ])('of the $what starts the target anew, usable', ({ changed }) => {
    const run = runTrunks(configOf([{ ...carrier, keepalive: { ...keepalive, failureThreshold: 1 } }]))
    run.sip.script = answering(503)
    run.clock.advance(1000)
    expect(run.trunks.usable('carrier', 'a')).toBe(false)
    run.apply(changed)
    expect(stateOf(run)).toMatchObject({ state: 'Unknown', since: run.clock.wallTime() })
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(2)
  })

  it('that turns keepalive off makes a target usable, and on again probes it soon', () => {
    const quick = { ...carrier, keepalive: { ...keepalive, failureThreshold: 1 } }
    const run = runTrunks(configOf([quick]))
    run.sip.script = answering(503)
    run.clock.advance(1000)
    run.apply(configOf([{ ...quick, keepalive: { ...quick.keepalive, enabled: false } }]))
    expect(run.trunks.usable('carrier', 'a')).toBe(true)
    expect(stateOf(run)?.state).toBe('Unknown')
    run.clock.advance(600_000)
    expect(run.sip.sent).toHaveLength(1)
    run.apply(configOf([quick]))
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(2)
  })

  it('that removes a trunk ends its probes, one in flight included, and leaves no timer', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(600)
    run.apply(configOf([]))
    run.sip.last.answer(200)
    expect(run.trunks.targets()).toEqual([])
    expect(run.clock.pending).toBe(0)
  })
})

describe('what is told', () => {
  it('comes with every change of state, code or detail, and not with a probe that changes nothing', () => {
    const run = runTrunks(configOf([carrier]))
    let told = 0
    run.trunks.onChange(() => told++)
    run.sip.script = answering(200)
    run.clock.advance(500)
    expect(told).toBe(1)
    run.clock.advance(600_000)
    expect(told).toBe(1)
    run.sip.script = answering(503)
    run.clock.advance(60_000)
    expect(told).toBe(2)
  })
})
