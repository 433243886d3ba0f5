import { createSocket, type Socket } from 'node:dgram'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { askAddresses } from '../../dataplane/sip/drachtio-addresses.ts'
import type { DrachtioAddress } from '../../dataplane/sip/drachtio-port.ts'
import { serverUnderTest } from '../engine/under-test.ts'
import { callThroughManifests, type Fleet, startFleet } from './fleet.ts'
import { freePorts } from './free-port.ts'
import { startSipp } from './sipp.ts'

/** What happens on the wire, the caller's scenario, and those of the called targets in the order in which they are tried. */
type Ladder = [what: string, caller: string, ...called: string[]]
const scenarios: Ladder[] = [
  ['a call is answered and ended by the caller (RFC 3665 section 3.1)', 'uac', 'uas-answers'],
  ['a call is ended by the called party', 'uac-hold-and-wait-for-bye', 'uas-bye-from-called-party'],
  ['a busy target is the answer: no hunting on 486 (RFC 3665 section 3.9)', 'uac-expect-486', 'uas-busy-486'],
  [
    'the caller gives up while it rings (RFC 3665 section 3.8)',
    'uac-cancel-after-180-expect-487',
    'uas-ring-until-cancel',
  ],
  ['a 183 with SDP is early media for the caller', 'uac-early-media-expect-183', 'uas-early-media-183'],
  [
    'a reliable 183 is acknowledged from here for a caller without PRACK, and its answer said again in the 200 (RFC 3262)',
    'uac-early-media-expect-183',
    'uas-reliable-183',
  ],
  [
    'PRACK from end to end, and UPDATE before the answer (RFC 3262 section 3, RFC 3311 section 5)',
    'uac-prack-and-early-update',
    'uas-reliable-183-and-early-update',
  ],
  [
    'a delayed offer goes through: offer in the 200, answer in the ACK (RFC 3261 section 13.2.1)',
    'uac-delayed-offer-expect-offer-in-200',
    'uas-delayed-offer-expect-answer-in-ack',
  ],
  [
    'a re-INVITE refreshes the session end to end, with its session timer headers (RFC 4028 section 7.4)',
    'uac-reinvite-with-session-timer-expect-200',
    'uas-reinvite-with-session-timer',
  ],
  [
    'INFO and OPTIONS inside the call reach the far side (RFC 6086, RFC 3261 section 11)',
    'uac-info-and-options-in-dialog-expect-200',
    'uas-info-and-options-in-dialog',
  ],
  [
    'a redirection to the next target, the answer to a late offer in the ACK (RFC 3665 section 3.6)',
    'uac-delayed-offer-expect-offer-in-200',
    'uas-302-to-the-next',
    'uas-delayed-offer-expect-answer-in-ack',
  ],
  [
    'a re-INVITE moves media and Contact, and the BYE goes there (RFC 3665 section 3.7)',
    'uac-expect-reinvite-with-new-media',
    'uas-moves-by-reinvite',
  ],
  ['a target that is not available: 480 (RFC 3665 section 3.11)', 'uac-expect-480', 'uas-480'],
  [
    'the CANCEL crosses with the 200: ACK, then BYE (RFC 3261 section 9.1)',
    'uac-cancel-after-180-expect-487',
    'uas-answers-when-cancelled',
  ],
  [
    'a strict router is the Request-URI, and the Contact the last Route (RFC 3261 section 12.2.1.1)',
    'uac',
    'uas-behind-strict-router',
  ],
  [
    '488 to a re-INVITE leaves the call (RFC 3261 section 14.1)',
    'uac-reinvite-expect-488',
    'uas-refuses-reinvite-with-488',
  ],
  [
    '481 to a re-INVITE ends the call on both sides (RFC 3261 section 12.2.1.2)',
    'uac-reinvite-expect-481-and-bye',
    'uas-forgets-the-call',
  ],
]

/** Stands for a target that takes everything and says nothing. */
const nobody = 'nobody'

/** A target that failed is tried last for a while, so that each of these is the first call of a fleet. */
const failing: Ladder[] = [
  ['a 503 goes on to the next target (item 9)', 'uac', 'uas-503', 'uas-answers'],
  ['a target that never answers: the next one takes the call (RFC 3665 section 3.4)', 'uac', nobody, 'uas-answers'],
  ['nobody answers at all: 408 (RFC 3665 section 3.10)', 'uac-expect-408', nobody, nobody],
]

interface Stage {
  readonly fleet: Fleet
  readonly listener: number
  readonly caller: { address: string; port: number }
  readonly called: readonly { address: string; port: number; priority: number }[]
}

/** A fleet with two targets, the first of which is tried first. */
async function setStage(): Promise<Stage> {
  const [free = 0, callerPort = 0, first = 0, second = 0] = await freePorts(4)
  const caller = { address: '127.0.0.1', port: callerPort }
  const called = [
    { address: '127.0.0.1', port: first, priority: 0 },
    { address: '127.0.0.1', port: second, priority: 1 },
  ]
  const drachtio = serverUnderTest()
  const listener = drachtio === undefined ? free : await servedPort(drachtio)
  const engine = drachtio === undefined ? {} : { drachtio }
  const fleet = await startFleet(callThroughManifests({ listener, caller: [caller], called, ...engine }))
  return { fleet, listener, caller, called }
}

/** A port that is closed would say so, by ICMP. */
function silence({ address, port }: { address: string; port: number }): Socket {
  return createSocket('udp4').bind(port, address)
}

/** The port over UDP that the drachtio-server sends from. */
async function servedPort(server: DrachtioAddress): Promise<number> {
  const ports = (await askAddresses(server))
    .filter(({ transport, address }) => transport === 'udp' && address === '127.0.0.1')
    .map(({ port }) => port)
  return Math.min(...ports)
}

/** So many calls of a ladder succeed on both sides. */
async function climb(
  { listener, caller, called }: Stage,
  [, callerScenario, ...calledScenarios]: Ladder,
  calls = 10,
): Promise<void> {
  const uas = calledScenarios.flatMap((scenario, index) => {
    const local = called[index]
    if (local === undefined) throw new Error('more targets than the fleet has')
    const more = ['-key', 'next', `127.0.0.1:${called[index + 1]?.port ?? 9}`]
    return scenario === nobody ? [] : [startSipp({ scenario, local, calls, holdMilliseconds: 100, more })]
  })
  const silent = called.filter((_, index) => calledScenarios[index] === nobody).map(silence)
  await Promise.all(uas.map(({ listening }) => listening))
  const uac = startSipp({
    ...{ scenario: callerScenario, local: caller, remote: `127.0.0.1:${listener}` },
    ...{ calls, callsPerSecond: 20, holdMilliseconds: 100, number: '+15550100' },
  })
  const results = await Promise.all([uac.done, ...uas.map((run) => run.done)])
  for (const socket of silent) socket.close()
  for (const result of results) {
    expect(result, result.errors).toMatchObject({ exitCode: 0, successful: calls, failed: 0 })
  }
}

/** So many calls of a ladder, through a fleet that nobody called before. */
async function climbAlone(ladder: Ladder, calls?: number): Promise<void> {
  const stage = await setStage()
  try {
    await climb(stage, ladder, calls)
  } finally {
    await stage.fleet.stop()
  }
}

describe.skipIf(!inject('peers').sipp)('SIPp calls through a fleet', () => {
  let stage: Stage | undefined

  beforeAll(async () => {
    // To drachtio-server, the ICMP error for what is left of a call is one of every other call to that address.
    if (serverUnderTest() === undefined) stage = await setStage()
  })

  afterAll(() => stage?.fleet.stop())

  it.for(scenarios)('%s', (ladder) => (stage === undefined ? climbAlone(ladder) : climb(stage, ladder)))
})

describe.skipIf(!inject('peers').sipp)('SIPp calls through a fleet whose first target fails', () => {
  it.for(failing)('%s', (ladder) => climbAlone(ladder, 1))
})
