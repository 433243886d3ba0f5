import type { FakeIncoming, FakeOutgoing } from '../../sip/fake-sip-port.ts'
import type { Body, HeaderList } from '../../sip/port.ts'
import { farSdp, type Scenario } from './scenario.ts'

/** What a caller says that takes reliable provisional answers, or nothing else. */
export const supports: HeaderList = [['Supported', '100rel']]
export const requires: HeaderList = [['Require', '100rel']]

/** What makes a provisional answer of the callee reliable. */
export const reliable = (rseq = 1): HeaderList => [
  ['Require', '100rel'],
  ['RSeq', String(rseq)],
]

/** PRACK of the caller. Its RAck is for the engine, which has matched it by then. */
export const prack = ({ fromA }: Scenario, a: FakeIncoming, body?: Body) =>
  fromA(a, 'PRACK', { headers: [['RAck', '1 1 INVITE']], ...(body !== undefined && { body }) })

/** A call that rings, whose early media both sides have agreed on by PRACK. */
export function agreeEarly(
  scenario: Scenario,
  headers: { ofA?: HeaderList; ofB?: HeaderList } = {},
): { a: FakeIncoming; b: FakeOutgoing } {
  const a = scenario.invite({ headers: [...supports, ...(headers.ofA ?? [])] })
  const b = scenario.sip.last('INVITE')
  b.respond(183, { body: farSdp('5000'), headers: [...reliable(), ...(headers.ofB ?? [])] })
  prack(scenario, a)
  scenario.sip.last('PRACK').respond(200)
  return { a, b }
}
