import { describe, expect, it } from 'vitest'
import { configOf, listener, registration, runTrunks, settle, target, trunk, addressesOf } from './trunks-fixture.ts'

describe('the trunks of a source address', () => {
  it('are those whose targets or registrars resolve to it, each with its port', async () => {
    const hosts: Record<string, string[]> = {
      'sip.carrier.example': ['198.51.100.1', '198.51.100.2'],
      'registrar.carrier.example': ['198.51.100.3'],
    }
    const config = configOf([
      trunk({
        targets: [target({ host: 'sip.carrier.example' }), target({ name: 'b', host: 'sip.carrier.example' })],
        registrations: [registration({ host: 'registrar.carrier.example', port: 5070 })],
      }),
      trunk({ name: 'pbx', targets: [target({ host: '198.51.100.2', port: 5080 })] }),
    ])
    const { trunks } = runTrunks(config, {
      resolve: async (host) => ({ addresses: hosts[host] ?? [], ttlSeconds: 60 }),
    })
    expect(trunks.trunksAt('198.51.100.1')).toEqual([])
    await settle()
    expect(trunks.trunksAt('198.51.100.1')).toMatchObject([{ trunk: 'carrier', port: 5060 }])
    expect(trunks.trunksAt('198.51.100.2')).toEqual([
      { trunk: 'carrier', host: 'sip.carrier.example', port: 5060 },
      { trunk: 'pbx', host: '198.51.100.2', port: 5080 },
    ])
    expect(trunks.trunksAt('198.51.100.3')).toMatchObject([{ trunk: 'carrier', port: 5070 }])
    expect(trunks.trunksAt('198.51.100.4')).toEqual([])
  })

  it('know registrars on a replica too that does not register', () => {
    const config = configOf([trunk({ registrations: [registration()] })])
    const { trunks } = runTrunks(config, { members: ['edge-9'] })
    expect(trunks.registrations()).toEqual([])
    expect(trunks.trunksAt('198.51.100.1')).toMatchObject([{ trunk: 'carrier', port: 5060 }])
  })

  it('follow the DNS', async () => {
    let addresses = ['198.51.100.1']
    const config = configOf([trunk({ targets: [target({ host: 'sip.carrier.example' })] })])
    const { trunks, clock } = runTrunks(config, { resolve: async () => ({ addresses, ttlSeconds: 60 }) })
    await settle()
    expect(trunks.trunksAt('198.51.100.1')).toHaveLength(1)
    addresses = ['198.51.100.7']
    clock.advance(60_000)
    await settle()
    expect(trunks.trunksAt('198.51.100.1')).toEqual([])
    expect(trunks.trunksAt('198.51.100.7')).toHaveLength(1)
    expect(addressesOf(trunks, 'carrier', 'a')).toEqual(['198.51.100.7'])
  })

  it('follow the configuration', () => {
    const run = runTrunks(configOf([trunk({ targets: [target()], registrations: [registration({ port: 5070 })] })]))
    expect(run.trunks.trunksAt('198.51.100.1')).toHaveLength(2)
    run.apply(configOf([trunk({ targets: [target()] })]))
    expect(run.trunks.trunksAt('198.51.100.1')).toMatchObject([{ trunk: 'carrier', port: 5060 }])
    run.apply(configOf([]))
    expect(run.trunks.trunksAt('198.51.100.1')).toEqual([])
  })

  it('are found by any spelling of an IPv6 address, and by an IPv4 address mapped into IPv6', () => {
    const six = listener({ name: 'six', ipFamily: 'IPv6', address: '2001:db8::1' })
    const config = configOf(
      [trunk({ targets: [target({ host: '2001:db8::9', listener: 'six' }), target({ name: 'b' })] })],
      [six, listener()],
    )
    const { trunks } = runTrunks(config)
    expect(trunks.trunksAt('2001:DB8:0:0:0:0:0:9')).toMatchObject([{ trunk: 'carrier', port: 5060 }])
    expect(trunks.trunksAt('::ffff:198.51.100.1')).toMatchObject([{ trunk: 'carrier', port: 5060 }])
  })
})

describe('trunks', () => {
  it('follow a configuration that comes after the start, and none after the stop', async () => {
    const run = runTrunks(configOf([]))
    run.apply(configOf([trunk({ targets: [target()] })]))
    expect(run.trunks.targets()).toHaveLength(1)
    await run.trunks.stop()
    expect(run.clock.pending).toBe(0)
    run.apply(configOf([trunk({ targets: [target(), target({ name: 'b' })] })]))
    expect(run.trunks.targets()).toHaveLength(1)
  })

  it('start a target anew over another transport without asking for its host again, where it has a port', async () => {
    const asked: string[] = []
    const resolve = async (host: string) => {
      asked.push(host)
      return { addresses: ['198.51.100.1'], ttlSeconds: 60 }
    }
    const run = runTrunks(configOf([trunk({ targets: [target({ host: 'sip.carrier.example' })] })]), { resolve })
    await settle()
    const tcp = target({ host: 'sip.carrier.example', transport: 'TCP', listener: 'tcp' })
    run.apply(configOf([trunk({ targets: [tcp] })]))
    expect(addressesOf(run.trunks, 'carrier', 'a')).toEqual(['198.51.100.1'])
    expect(asked).toEqual(['sip.carrier.example'])
  })

  it('of one name keep apart what belongs to targets of one name in different trunks', () => {
    const quick = {
      enabled: true,
      upIntervalSeconds: 60,
      downIntervalSeconds: 30,
      failureThreshold: 1,
      timeoutSeconds: 4,
      scope: 'Fleet' as const,
      failureCodes: [503, 505],
    }
    const run = runTrunks(
      configOf([
        trunk({ targets: [target()], keepalive: quick }),
        trunk({ name: 'pbx', targets: [target({ host: '198.51.100.2' })], keepalive: quick }),
      ]),
    )
    run.sip.script = (request) => request.answer(request.nextHop?.includes('198.51.100.2') ? 503 : 200)
    run.clock.advance(1000)
    expect(run.trunks.targets().map(({ trunk: name, state }) => `${name} ${state}`)).toEqual(['carrier Up', 'pbx Down'])
    expect([run.trunks.usable('carrier', 'a'), run.trunks.usable('pbx', 'a')]).toEqual([true, false])
  })
})
