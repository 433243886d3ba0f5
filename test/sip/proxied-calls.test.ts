import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { startKamailioProxy } from '../trunks/kamailio.ts'
import { callThroughManifests, type Fleet, startFleet } from './fleet.ts'
import { freePorts } from './free-port.ts'
import { startSipp } from './sipp.ts'

const calls = 10

/** What happens, the scenarios of caller and called, and how many requests of a call are routed by Record-Route. */
const scenarios: [what: string, caller: string, called: string, routed: Record<string, number>][] = [
  [
    'a call is ended by the called party',
    'uac-hold-and-wait-for-bye',
    'uas-bye-from-called-party',
    { ACK: calls, BYE: calls },
  ],
  [
    'a re-INVITE refreshes the session, and the caller ends it',
    'uac-reinvite-with-session-timer-expect-200',
    'uas-reinvite-with-session-timer',
    { INVITE: calls, ACK: 2 * calls, BYE: calls },
  ],
  [
    'INFO and OPTIONS inside the call reach the far side',
    'uac-info-and-options-in-dialog-expect-200',
    'uas-info-and-options-in-dialog',
    { INFO: calls, OPTIONS: calls, ACK: calls, BYE: calls },
  ],
  [
    'the caller gives up while it rings (RFC 3665 section 3.8)',
    'uac-cancel-after-180-expect-487',
    'uas-ring-until-cancel',
    {},
  ],
  ['a busy target is the answer (RFC 3665 section 3.9)', 'uac-expect-486', 'uas-busy-486', {}],
]

/** RFC 3261 section 12.2.1.1: what a dialog's requests carry, and where they go, is the route set that Record-Route made. */
describe.skipIf(!inject('peers').sipp || !inject('peers').kamailio)(
  'calls between two Kamailios that record routes',
  () => {
    let fleet: Fleet
    let proxies: Awaited<ReturnType<typeof startKamailioProxy>>[]
    let ports: readonly number[]

    beforeAll(async () => {
      ports = await freePorts(3)
      const [listener = 0, caller = 0, called = 0] = ports
      proxies = await Promise.all([caller, called].map((peer) => startKamailioProxy({ fleet: listener, peer })))
      const trunks = proxies.map(({ port }) => [{ address: '127.0.0.1', port }])
      fleet = await startFleet(callThroughManifests({ listener, caller: trunks[0] ?? [], called: trunks[1] ?? [] }))
    })

    afterAll(async () => {
      await fleet?.stop()
      await Promise.all((proxies ?? []).map((proxy) => proxy.close()))
    })

    it.for(scenarios)('%s', async ([, callerScenario, calledScenario, routed]) => {
      const [, caller = 0, called = 0] = ports
      const before = counted(Object.keys(routed))
      const uas = startSipp({
        ...{ scenario: calledScenario, local: { address: '127.0.0.1', port: called } },
        ...{ calls, holdMilliseconds: 100 },
      })
      await uas.listening
      const uac = startSipp({
        ...{ scenario: callerScenario, local: { address: '127.0.0.1', port: caller }, number: '+15550100' },
        ...{
          remote: `127.0.0.1:${proxies[0]?.port}`,
          calls,
          callsPerSecond: 20,
          holdMilliseconds: 100,
        },
      })
      for (const result of await Promise.all([uac.done, uas.done])) {
        expect(result, result.errors).toMatchObject({ exitCode: 0, successful: calls, failed: 0 })
      }
      for (const [index, sums] of counted(Object.keys(routed)).entries()) {
        for (const [method, count] of Object.entries(routed)) {
          expect((sums[method] ?? 0) - (before[index]?.[method] ?? 0)).toBeGreaterThanOrEqual(count)
        }
      }
    })

    function counted(methods: string[]): Record<string, number>[] {
      return proxies.map((proxy) => Object.fromEntries(methods.map((method) => [method, proxy.routed(method)])))
    }
  },
)
