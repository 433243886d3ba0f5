import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { type CallRequest, decide } from './decide.ts'
import { health, listener, route, runningConfig, target, trunk } from './testing/configuration.ts'

const pbx = trunk({ name: 'pbx', targets: [target({ name: 'main', host: '192.0.2.10' })] })
const carrier = trunk({
  name: 'carrier',
  targets: [target({ name: 'a', host: '198.51.100.1' }), target({ name: 'b', host: '198.51.100.2', priority: 1 })],
})
const backup = trunk({ name: 'backup', targets: [target({ name: 'only', host: '198.51.100.9' })] })
const trunks = [pbx, carrier, backup]
const routes = [
  route({ name: 'out', match: { trunks: ['pbx'], calledPattern: '\\+49[0-9]+' }, targets: [{ trunk: 'carrier' }] }),
  route({ name: 'rest', match: { trunks: ['pbx'], calledPattern: '\\+[0-9]+' }, targets: [{ trunk: 'backup' }] }),
  route({ name: 'in', match: { trunks: ['carrier'] }, targets: [{ trunk: 'pbx' }] }),
]

function call(fields: Partial<CallRequest> = {}): CallRequest {
  const source = { address: '192.0.2.10', port: 5060, listener: 'udp' }
  return { source, called: '+4989123', calling: '1000', maxForwards: '70', ...fields }
}

const places = ({ verdict }: ReturnType<typeof decide>) =>
  verdict.kind === 'Route' ? verdict.attempts.map((one) => `${one.trunk}/${one.target.name}@${one.address}`) : verdict

describe('where a call goes', () => {
  const config = runningConfig({ trunks, routes })

  it('goes to the targets of every matching route, in the order of routes and targets', () => {
    const decision = decide(call(), config, health(config))
    expect(places(decision)).toEqual(['carrier/a@198.51.100.1', 'carrier/b@198.51.100.2', 'backup/only@198.51.100.9'])
    expect(decision.because).toEqual([
      '192.0.2.10 port 5060 on listener udp is the address of a target of trunk pbx',
      '2 of 3 routes match',
      'number 1: target carrier/a 198.51.100.1 by route out',
      'number 2: target carrier/b 198.51.100.2 by route out',
      'number 3: target backup/only 198.51.100.9 by route rest',
    ])
  })

  it('says of a trunk that asks for passwords that the call has to have one', () => {
    const authentication = { realm: 'edge.example', algorithms: [], role: 'UserAgent' as const, users: [] }
    const asking = runningConfig({ trunks: [{ ...pbx, authentication }, carrier, backup], routes })
    const { because } = decide(call(), asking, health(asking))
    expect(because[1]).toBe('it has to have the password of a user of realm "edge.example"')
  })

  it('says of every route why it matches or not, when asked', () => {
    const { because } = decide(call({ called: '112' }), config, health(config), { everyRoute: true })
    expect(because).toEqual([
      '192.0.2.10 port 5060 on listener udp is the address of a target of trunk pbx',
      'route out does not match: called 112 does not match \\+49[0-9]+',
      'route rest does not match: called 112 does not match \\+[0-9]+',
      'route in does not match: it is for calls from carrier',
      'no route for 112: 404',
    ])
  })

  it('passes over targets that are down', () => {
    expect(places(decide(call(), config, health(config, { down: ['carrier/a', 'backup/only'] })))).toEqual([
      'carrier/b@198.51.100.2',
    ])
  })

  it('tries every address of a host, and a place only once', () => {
    const named = runningConfig({
      trunks: [pbx, trunk({ name: 'carrier', targets: [target({ name: 'a', host: 'sip.example' })] })],
      routes: [
        route({ name: 'one', targets: [{ trunk: 'carrier' }] }),
        route({ name: 'two', targets: [{ trunk: 'carrier' }] }),
      ],
    })
    const resolved = health(named, { addresses: { 'carrier/a': ['198.51.100.1', '198.51.100.2'] } })
    expect(places(decide(call(), named, resolved))).toEqual(['carrier/a@198.51.100.1', 'carrier/a@198.51.100.2'])
  })

  it('tries a target where calls failed of late after the others, and its endpoints together (RFC 3263 section 4.3)', () => {
    const named = runningConfig({
      trunks: [
        pbx,
        trunk({
          name: 'carrier',
          targets: [
            target({ name: 'a', host: 'a.example', priority: 0 }),
            target({ name: 'b', host: 'b.example', priority: 1 }),
          ],
        }),
      ],
      routes: [route({ name: 'one', targets: [{ trunk: 'carrier' }] })],
    })
    const addresses = { 'carrier/a': ['198.51.100.1', '198.51.100.2'], 'carrier/b': ['198.51.100.3'] }
    const tried = (...passedOver: string[]) => places(decide(call(), named, health(named, { addresses, passedOver })))
    const [one, two, three] = ['carrier/a@198.51.100.1', 'carrier/a@198.51.100.2', 'carrier/b@198.51.100.3']
    expect(tried('198.51.100.1')).toEqual([one, two, three])
    expect(tried('198.51.100.1', '198.51.100.2')).toEqual([three, one, two])
    expect(tried('198.51.100.1', '198.51.100.2', '198.51.100.3')).toEqual([one, two, three])
  })

  it('tries no more than 32 places', () => {
    const addresses = Array.from({ length: 40 }, (_, index) => `198.51.100.${index}`)
    const large = runningConfig({
      trunks: [pbx, trunk({ name: 'carrier', targets: [target({ name: 'a', host: 'sip.example' })] })],
      routes: [route({ name: 'one', targets: [{ trunk: 'carrier' }] })],
    })
    expect(places(decide(call(), large, health(large, { addresses: { 'carrier/a': addresses } })))).toHaveLength(32)
  })
})

describe('what is refused', () => {
  const strict = { ...builtInBehaviour, errors: { keepaliveFailure: 480, retryAfterSeconds: 30, reasonQ850: 41 } }
  const config = runningConfig({ trunks, routes })
  const all = ['carrier/a', 'carrier/b', 'backup/only']

  it.each([
    ['a number that no route takes gets 404', call({ called: '112' }), config, [], 404],
    ['Max-Forwards 0 gets 483 (RFC 3261 section 16.3)', call({ maxForwards: '0' }), config, [], 483],
    ['503 when every target is down (feature item 10)', call(), config, all, 503],
    [
      'the code set on the route the call comes in by, when every target is down (feature item 10)',
      call(),
      runningConfig({
        trunks,
        routes: [route({ name: 'out', targets: [{ trunk: 'carrier' }], inbound: { pbx: strict } })],
      }),
      all,
      480,
    ],
    [
      'the code set on the trunk the call goes to does not count (feature item 10)',
      call(),
      runningConfig({
        trunks: [pbx, { ...carrier, sip: strict }],
        routes: [route({ name: 'out', targets: [{ trunk: 'carrier', sip: strict }] })],
      }),
      all,
      503,
    ],
    [
      'a call to this replica itself gets 482',
      call(),
      runningConfig({
        trunks: [pbx, trunk({ name: 'carrier', targets: [target({ name: 'a', host: '203.0.113.1' })] })],
        routes: [route({ name: 'out', targets: [{ trunk: 'carrier' }] })],
      }),
      [],
      482,
    ],
    [
      '503 when no host has resolved yet',
      call(),
      runningConfig({
        trunks: [pbx, trunk({ name: 'carrier', targets: [target({ name: 'a', host: 'sip.example' })] })],
        routes: [route({ name: 'out', targets: [{ trunk: 'carrier' }] })],
      }),
      [],
      503,
    ],
  ])('%s', (_case, request, running, down, status) => {
    expect(decide(request, running, health(running, { down })).verdict).toMatchObject({ kind: 'Reject', status })
  })

  it('says so with what is configured for it', () => {
    const fleet = runningConfig({
      trunks: [{ ...pbx, sip: strict }, carrier],
      routes: [route({ name: 'out', targets: [{ trunk: 'carrier' }] })],
    })
    const { verdict } = decide(call(), fleet, health(fleet, { down: all }))
    expect(verdict).toMatchObject({ kind: 'Reject', status: 480, errors: strict.errors })
  })

  it('ignores a source that belongs to no trunk (feature item 29.4)', () => {
    const source = { address: '203.0.113.66', port: 5060, listener: 'udp' }
    expect(decide(call({ source }), config, health(config))).toEqual({
      verdict: { kind: 'Ignore' },
      because: ['203.0.113.66 port 5060 on listener udp belongs to no trunk'],
    })
  })

  it('ignores a peer on a listener that its trunk does not use', () => {
    const two = runningConfig({
      listeners: [listener({ name: 'udp' }), listener({ name: 'outside', port: 5080 })],
      trunks,
      routes,
    })
    const source = { address: '192.0.2.10', port: 5060, listener: 'outside' }
    expect(decide(call({ source }), two, health(two)).verdict.kind).toBe('Ignore')
  })
})

describe('targets that are called in turn', () => {
  const hunting = { ...builtInBehaviour.hunting, scheme: 'RoundRobin' as const }
  const group = trunk({
    name: 'group',
    targets: ['a', 'b', 'c'].map((name, index) => target({ name, host: `198.51.100.${index + 1}` })),
  })
  const config = runningConfig({
    trunks: [pbx, group],
    routes: [route({ name: 'out', targets: [{ trunk: 'group', sip: { ...builtInBehaviour, hunting } }] })],
  })
  const sixCalls = (down: readonly string[]) => {
    let turns = 0
    const taken = Array.from({ length: 6 }, () => {
      const { verdict } = decide(call(), config, health(config, { down }), { turn: () => turns++ })
      return verdict.kind === 'Route' ? verdict.attempts[0].target.name : verdict.kind
    })
    return taken.toSorted().join('')
  }

  it('get two of six calls each, and three each when one of three is down (keepalive check 5)', () => {
    expect(sixCalls([])).toBe('aabbcc')
    expect(sixCalls(['group/b'])).toBe('aaaccc')
  })
})
