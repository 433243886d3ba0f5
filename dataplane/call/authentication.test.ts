import { describe, expect, it } from 'vitest'
import type { InboundAuthenticationConfig } from '#api/snapshot.ts'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { Secret } from '#lib/secret.ts'
import { DigestSession, parseChallenges } from '../digest/digest.ts'
import type { FakeIncoming } from '../sip/fake-sip-port.ts'
import { createScenario, farSdp, near, type Scenario, sdp } from './testing/scenario.ts'

const uri = 'sip:2000@203.0.113.1'
const authentication: InboundAuthenticationConfig = {
  realm: 'edge.example',
  algorithms: ['MD5'],
  role: 'UserAgent',
  users: [{ name: 'pbx', username: 'pbx', password: new Secret('Circle of Life') }],
  nonceKey: new Secret('a key'),
}

/** Credentials for the next call, by the challenge to this one. */
function credentials({ lastAnswer }: FakeIncoming, password = 'Circle of Life'): string {
  const [challenge] = parseChallenges((lastAnswer.headers ?? []).map(([, value]) => value))
  if (challenge === undefined) throw new Error('no challenge')
  return new DigestSession(challenge, 'cnonce').authorize({ username: 'pbx', password }, { method: 'INVITE', uri })
}

function proven({ invite }: Scenario): FakeIncoming {
  return invite({ headers: [['Authorization', credentials(invite())]] })
}

const fromPbx = (method: string) => ({
  method,
  source: { address: near.signalling, port: 5060, transport: 'UDP' as const },
  receivedOn: { address: '203.0.113.1', port: 5060 },
})

describe('a call of a trunk that has to prove whose it is', () => {
  it('is challenged, and nobody hears of it', () => {
    const { invite, sip, calls } = createScenario({ authentication })
    expect(invite().statuses).toEqual([401])
    expect([sip.sent, calls.count]).toEqual([[], 0])
  })

  it('goes on with credentials, which stay here, and says who it is', () => {
    const scenario = createScenario({ authentication })
    const a = proven(scenario)
    expect(scenario.sip.last('INVITE').header('Authorization')).toBeUndefined()
    expect(scenario.calls.list()[0]?.because[0]).toMatch(/ trunk pbx and has the password of user pbx$/)
    scenario.sip.last('INVITE').respond(200, { body: farSdp('5000') })
    expect(a.statuses).toEqual([200])
  })

  it('is challenged before anything is said of number, body or extensions (RFC 3261 section 8.2)', () => {
    const { invite } = createScenario({ authentication })
    const asked = [
      invite({ uri: 'sip:nobody@203.0.113.1' }),
      invite({ uri: 'sips:2000@203.0.113.1' }),
      invite({ headers: [['Require', 'unheard-of']] }),
      invite({ headers: [['Max-Forwards', '0']] }),
      invite({ body: { content: 'x', type: 'text/plain' } }),
    ]
    expect(asked.flatMap(({ statuses }) => statuses)).toEqual([401, 401, 401, 401, 401])
  })

  it('takes no turn of the targets before it has proved it', () => {
    const scenario = createScenario({
      authentication,
      sip: { hunting: { ...builtInBehaviour.hunting, scheme: 'RoundRobin' } },
    })
    const targets = [0, 1, 2, 3].map(() => {
      proven(scenario)
      return scenario.sip.last('INVITE').request.nextHop
    })
    expect(new Set(targets.slice(0, 3)).size).toBe(3)
    expect(targets[3]).toBe(targets[0])
  })

  it('gets 503 from a replica that drains, and no challenge', () => {
    const { invite, calls } = createScenario({ authentication })
    calls.refuseNewCalls()
    expect(invite().statuses).toEqual([503])
  })

  it('is never asked again inside the call', () => {
    const scenario = createScenario({ authentication })
    const a = proven(scenario)
    scenario.sip.last('INVITE').respond(200, { body: farSdp('5000') })
    scenario.ack(a)
    const change = scenario.fromA(a, 'INVITE', { body: sdp('4002', 2) })
    scenario.sip.last('INVITE').respond(200, { body: farSdp('5002', 2) })
    scenario.sip.receive({ method: 'ACK', dialogId: a.openedDialog, transactionId: change.transactionId })
    expect([change.statuses, scenario.fromA(a, 'BYE').statuses]).toEqual([[200], [200]])
  })

  it('can be cancelled without credentials (RFC 3261 section 22.1)', () => {
    const scenario = createScenario({ authentication })
    const a = proven(scenario)
    scenario.sip.last('INVITE').trying()
    a.cancel()
    expect([a.statuses, scenario.sip.last('INVITE').cancelled]).toEqual([[487], []])
  })

  it('is the only thing that is challenged: OPTIONS gets 200, REGISTER 405', () => {
    const { sip } = createScenario({ authentication })
    expect(['OPTIONS', 'REGISTER'].map((method) => sip.receive(fromPbx(method)).statuses)).toEqual([[200], [405]])
  })

  it('with a wrong password is challenged again, and then refused without a look', () => {
    const { invite } = createScenario({ authentication })
    const wrong = () => invite({ headers: [['Authorization', credentials(invite(), 'wrong')]] }).statuses[0]
    expect(Array.from({ length: 12 }, wrong)).toEqual([...Array.from({ length: 10 }, () => 401), 403, 403])
  })
})

it('a trunk without passwords is not asked', () => {
  const { invite, sip } = createScenario()
  invite()
  expect(sip.all('INVITE')).toHaveLength(1)
})
