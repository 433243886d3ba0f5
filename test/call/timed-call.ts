import { builtInBehaviour, type ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { ResolvedSessionTimer } from '#api/session-behaviour.ts'
import { sessionExpires } from '../../dataplane/policy/testing/refresher-tables.ts'
import { type Arrival, sdp } from '../engine/sip-peer.ts'
import { answer, Bridge, Party } from './bridge.ts'

export type Fields = readonly (readonly [string, string])[]

export const farSdp = sdp.replaceAll('4000', '5000')

export interface Up {
  readonly bridge: Bridge
  readonly a: Party
  readonly b: Party
  /** INVITE that the callee got, 200 that the caller got. */
  readonly invite: Arrival
  readonly ok: Arrival
}

/** A call that is up, over the real engine: what the caller asks, and what the callee answers. `open` is told of the bridge. */
export async function connect(
  open: Bridge[],
  caller: readonly string[],
  callee: Fields,
  options: { timer?: Partial<ResolvedSessionTimer>; sip?: Partial<ResolvedSipBehaviour> } = {},
): Promise<Up> {
  const sessionTimer = { ...builtInBehaviour.sessionTimer, ...options.timer }
  const bridge = await Bridge.begin({ sip: { sessionTimer, ...options.sip } })
  open.push(bridge)
  const a = new Party({
    peer: bridge.pbx,
    port: bridge.portOf('inside'),
    callId: `near-${Math.random()}`,
    localTag: 'near-tag',
    target: bridge.uriOf('inside', '2000'),
  })
  a.invite({ body: sdp, headers: caller })
  const invite = await bridge.carrier.request('INVITE')
  const b = Party.called(invite, bridge.carrier, bridge.portOf('outside'), 'callee')
  answer(invite, bridge.carrier, 200, { body: farSdp, headers: callee })
  const ok = await bridge.pbx.response(200, 'INVITE')
  a.learn(ok)
  a.send('ACK')
  await bridge.carrier.request('ACK')
  // What has come after the ACK of the caller shows that it has been taken.
  a.send('INFO')
  answer(await bridge.carrier.request('INFO'), bridge.carrier, 200)
  await bridge.pbx.response(200, 'INFO')
  return { bridge, a, b, invite, ok }
}

/** After how many seconds a bridge refreshes a session of that interval: half of it, less what its chance of 0.5 makes of a twentieth. */
export const refreshDue = (intervalSeconds: number): number => (intervalSeconds / 2) * (1 - 0.5 / 20)

export const asks = (role: Parameters<typeof sessionExpires>[0]) => [
  'Supported: timer',
  `Session-Expires: ${sessionExpires(role)}`,
]
export const says = (role: Parameters<typeof sessionExpires>[0]): Fields => [['Session-Expires', sessionExpires(role)]]
export const timerOf = ({ message }: Arrival) => ({
  'Session-Expires': message.get('Session-Expires'),
  'Min-SE': message.get('Min-SE'),
  Supported: message
    .values('Supported')
    .filter((tag) => tag !== '100rel')
    .join(', '),
  Require: message.get('Require'),
})
export const seconds = (count: number) => count * 1000
