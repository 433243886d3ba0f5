import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { callThroughManifests, type Fleet, startFleet } from './fleet.ts'
import { freePorts } from './free-port.ts'
import { startSipp } from './sipp.ts'

const scenarios: [what: string, caller: string, called: string][] = [
  ['a call is answered and ended by the caller (RFC 3665 section 3.1)', 'uac', 'uas-answers'],
  ['a call is ended by the called party', 'uac-hold-and-wait-for-bye', 'uas-bye-from-called-party'],
  ['a busy target is the answer (RFC 3665 section 3.9)', 'uac-expect-486', 'uas-busy-486'],
  [
    'the caller gives up while it rings (RFC 3665 section 3.8)',
    'uac-cancel-after-180-expect-487',
    'uas-ring-until-cancel',
  ],
]

const calls = 20

describe.skipIf(!inject('peers').sipp)('SIPp calls over TCP', () => {
  let fleet: Fleet
  let listener: number
  // Over TCP a peer calls from a port of the moment, so that its address has to tell who it is.
  const caller = { address: '127.0.0.2', port: 0 }
  const called = { address: '127.0.0.3', port: 0 }

  beforeAll(async () => {
    const [first = 0, second = 0, third = 0] = await freePorts(3)
    listener = first
    caller.port = second
    called.port = third
    const manifests = callThroughManifests({ listener, transport: 'TCP', caller: [caller], called: [called] })
    fleet = await startFleet(manifests)
  })

  afterAll(() => fleet?.stop())

  it.for(scenarios)('%s', async ([, callerScenario, calledScenario]) => {
    const overTcp = { calls, holdMilliseconds: 100, more: ['-t', 't1'] }
    const uas = startSipp({ ...overTcp, scenario: calledScenario, local: called })
    await uas.listening
    const uac = startSipp({
      ...{ ...overTcp, scenario: callerScenario, local: caller, remote: `127.0.0.1:${listener}` },
      ...{ callsPerSecond: 20, number: '+15550100' },
    })
    for (const result of await Promise.all([uac.done, uas.done])) {
      expect(result, result.errors).toMatchObject({ exitCode: 0, successful: calls, failed: 0, retransmissions: 0 })
    }
  })
})
