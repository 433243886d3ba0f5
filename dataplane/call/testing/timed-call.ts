import { builtInBehaviour, type ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { ResolvedSessionTimer } from '#api/session-behaviour.ts'
import type { FakeIncoming, FakeOutgoing } from '../../sip/fake-sip-port.ts'
import type { HeaderList } from '../../sip/port.ts'
import { createScenario, farSdp, type Scenario, type ScenarioAccounts } from './scenario.ts'

/** Header fields, as a test says them. */
export const allow: HeaderList = [['Allow', 'INVITE, ACK, BYE, CANCEL, UPDATE']]
export const supported: HeaderList = [['Supported', 'timer']]
export const expires = (value: string): HeaderList => [['Session-Expires', value]]

export interface Up extends Scenario {
  readonly a: FakeIncoming
  readonly b: FakeOutgoing
}

/** A call that is up: what the caller asks, and what the callee answers. */
export function call(
  caller: HeaderList,
  callee: HeaderList,
  options: {
    timer?: Partial<ResolvedSessionTimer>
    sip?: Partial<ResolvedSipBehaviour>
    inbound?: ResolvedSipBehaviour
    accounts?: ScenarioAccounts
  } = {},
): Up {
  const sessionTimer = { ...builtInBehaviour.sessionTimer, ...options.timer }
  const { inbound, accounts } = options
  const sip = { sessionTimer, ...options.sip }
  const scenario = createScenario({
    sip,
    targets: 1,
    ...(inbound !== undefined && { inbound }),
    ...(accounts !== undefined && { accounts }),
  })
  const a = scenario.invite({ headers: caller })
  const b = scenario.sip.last('INVITE')
  b.respond(200, { body: farSdp('5000'), headers: callee })
  scenario.ack(a)
  return { ...scenario, a, b }
}

export const timerFields = (headers: HeaderList = []) =>
  Object.fromEntries(
    headers
      .map(([name, value]) => [name, value.replace(/(, )?100rel$/, '')] as const)
      .filter(([name, value]) => ['Session-Expires', 'Min-SE', 'Require', 'Supported'].includes(name) && value !== ''),
  )
export const seconds = (count: number) => count * 1000

/** The caller ignores timers, the callee leaves the refreshes to us (R6 of feature item 26). */
export const aloneOnB = (options: Parameters<typeof call>[2] = {}, callee: HeaderList = []) =>
  call([], [...expires('1800;refresher=uac'), ['Require', 'timer'], ...callee], {
    ...options,
    timer: { alwaysRequest: true, ...options.timer },
  })
