import { describe, expect, it } from 'vitest'
import { SipTrunk } from '#api/sip-trunk.ts'
import { VoiceService } from '#api/voice-service.ts'
import { compile } from './compile.ts'
import { keptIn, keptRoutes, keptTrunk } from './kept.ts'
import { type LastGood, newerOf } from './last-good.ts'

const targets = [{ trunkRef: { name: 'pbx' } }]

function voiceService(generation: number, patterns: readonly string[] = ['[0-9]+'], uid = 'first'): VoiceService {
  return VoiceService.parse({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'VoiceService',
    metadata: { namespace: 'voice', name: 'edge', generation, uid },
    spec: {
      listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }],
      routes: patterns.map((calledPattern, index) => ({ name: `route-${index}`, match: { calledPattern }, targets })),
    },
  })
}

function trunk(generation: number, host: string, { uid = 'first', fleet = 'edge' } = {}): SipTrunk {
  return SipTrunk.parse({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'SipTrunk',
    metadata: { namespace: 'voice', name: 'pbx', generation, uid },
    spec: { voiceServiceRef: { name: fleet }, targets: [{ name: 'main', host }] },
  })
}

/** As an object of the API server. */
function stored(one: SipTrunk, lastGood: unknown) {
  return { metadata: { ...one.metadata, uid: 'first' }, status: { lastGood } }
}

const good = trunk(1, '192.0.2.1')
const broken = trunk(2, '10.0.0.300')
const keptGood = { uid: 'first', generation: 1, spec: good.spec }

/** What a control side that has seen none of it makes of the manifests and their statuses. */
function afterRestart(service: VoiceService, status: unknown, one: SipTrunk, trunkStatus: unknown) {
  const lastGood = keptIn(service, { lastGood: status }, [stored(one, trunkStatus)])
  return compile({ voiceService: service, trunks: [one], secrets: [], lastGood })
}

function memory(generation: number, uid = 'first'): LastGood {
  const one = trunk(generation, `192.0.2.${generation}`, { uid })
  const service = voiceService(generation, ['[0-9]+'], uid)
  const { lastGood } = compile({ voiceService: service, trunks: [one], secrets: [] })
  return lastGood
}

describe('what the status of a trunk keeps', () => {
  it('is its last good spec with the generation, and nothing while it is good', () => {
    expect(keptTrunk(broken, good)).toEqual(keptGood)
    expect(keptTrunk(good, good)).toBeUndefined()
    expect(keptTrunk(trunk(2, '192.0.2.1'), good)).toBeUndefined()
    expect(keptTrunk(broken, undefined)).toBeUndefined()
  })

  it('is also kept of a trunk that can no longer be read', () => {
    expect(keptTrunk({ metadata: { name: 'pbx', uid: 'first' }, spec: { new: true } }, good)).toEqual(keptGood)
  })

  it('is nothing of another object of its name', () => {
    expect(keptTrunk(trunk(1, '10.0.0.300', { uid: 'second' }), good)).toBeUndefined()
  })

  it('is nothing where the object would become larger than the API server takes', () => {
    const large = { ...good, spec: { ...good.spec, listeners: ['x'.repeat(1_500_000)] } }
    expect(keptTrunk(broken, large)).toBeUndefined()
    expect(keptTrunk({ ...broken, spec: large.spec }, good)).toBeUndefined()
  })

  it('runs after a restart, and is kept further', () => {
    const { snapshot, conditions, lastGood } = afterRestart(voiceService(1), undefined, broken, keptGood)
    expect(snapshot.resources.find(({ key }) => key === 'Trunk/pbx')).toMatchObject({
      origin: { generation: 1 },
      body: { targets: [{ host: '192.0.2.1' }] },
    })
    const accepted = conditions.find(({ resource }) => resource.kind === 'SipTrunk')?.accepted
    expect(accepted?.message).toMatch(/The last good one, of generation 1, goes on\.$/)
    expect(keptTrunk(broken, lastGood.trunks.get('pbx'))).toEqual(keptGood)
  })

  it('is passed over once the spec is good', () => {
    const { snapshot, lastGood } = afterRestart(voiceService(1), undefined, trunk(2, '192.0.2.2'), keptGood)
    expect(snapshot.resources.find(({ key }) => key === 'Trunk/pbx')?.origin.generation).toBe(2)
    expect(keptTrunk(trunk(2, '192.0.2.2'), lastGood.trunks.get('pbx'))).toBeUndefined()
  })

  it.each([
    ['another object', { ...keptGood, uid: 'second' }],
    ['the generation of today', { ...keptGood, generation: 2 }],
    ['a generation that is still to come', { ...keptGood, generation: 7 }],
    ['another fleet', { ...keptGood, spec: { ...good.spec, voiceServiceRef: { name: 'other' } } }],
    ['no spec of today', { ...keptGood, spec: { ...good.spec, surprise: true } }],
    ['a spec that is as invalid', { ...keptGood, spec: trunk(1, '10.0.0.301').spec }],
    ['no object at all', 'x'],
    ['null', null],
  ])('is not believed when it is of %s', (_, lastGood) => {
    const { snapshot } = afterRestart(voiceService(1), undefined, broken, lastGood)
    expect(snapshot.resources.filter(({ key }) => key === 'Trunk/pbx')).toEqual([])
  })
})

describe('what the status of a VoiceService keeps', () => {
  const before = compile({ voiceService: voiceService(1, ['1', '2', '3']), trunks: [good], secrets: [] }).lastGood
  const today = voiceService(2, ['(', '2', '('])
  const kept = keptRoutes(today, before)

  it('is each route that has turned invalid, and nothing while all are good', () => {
    expect(kept).toMatchObject({
      uid: 'first',
      routes: [
        { generation: 1, route: { name: 'route-0', match: { calledPattern: '1' } } },
        { generation: 1, route: { name: 'route-2', match: { calledPattern: '3' } } },
      ],
    })
    expect(keptRoutes(voiceService(2, ['1', '2']), before)).toBeUndefined()
    expect(keptRoutes(voiceService(2, ['('], 'second'), before)).toBeUndefined()
  })

  it('runs after a restart', () => {
    const { snapshot } = afterRestart(today, kept, good, undefined)
    const routes = snapshot.resources.filter(({ body }) => body.type === 'Route')
    expect(routes.map(({ key, origin }) => `${key} ${origin.generation}`)).toEqual([
      'Route/route-0 1',
      'Route/route-1 2',
      'Route/route-2 1',
    ])
  })

  it.each([
    ['another object', { ...kept, uid: 'second' }],
    ['the generation of today', { ...kept, routes: kept?.routes.map((one) => ({ ...one, generation: 2 })) }],
    ['no route of today', { ...kept, routes: [{ generation: 1, route: { name: 'route-0' } }] }],
    ['a name that no route has', { ...kept, routes: [{ generation: 1, route: { name: 'route-9', targets } }] }],
    ['no object at all', []],
  ])('is not believed when it is of %s', (_, lastGood) => {
    const { snapshot } = afterRestart(today, lastGood, good, undefined)
    expect(snapshot.resources.filter(({ body }) => body.type === 'Route').map(({ key }) => key)).toEqual([
      'Route/route-1',
    ])
  })

  it('is as much as fits', () => {
    const wide = Array.from({ length: 1_000 }, (_, index) => `${index}${'0'.repeat(200)}`)
    const all = compile({ voiceService: voiceService(1, wide), trunks: [good], secrets: [] }).lastGood
    const invalid = voiceService(
      2,
      wide.map(() => '('),
    )
    expect(keptRoutes(invalid, all)?.routes).toHaveLength(1_000)
    const crowded = {
      ...invalid,
      spec: { ...invalid.spec, template: { ...invalid.spec.template, annotations: { a: 'x'.repeat(500_000) } } },
    }
    const some = keptRoutes(crowded, all)?.routes.length ?? 0
    expect(some).toBeGreaterThan(100)
    expect(some).toBeLessThan(1_000)
  })
})

describe('of two memories of one fleet', () => {
  it('the newer one counts, trunk by trunk and route by route', () => {
    for (const [one, other] of [
      [memory(1), memory(3)],
      [memory(3), memory(1)],
    ] as const) {
      const newer = newerOf(one, other)
      expect(newer.trunks.get('pbx')?.metadata.generation).toBe(3)
      expect(newer.routes.get('route-0')?.generation).toBe(3)
    }
  })

  it('the one of the objects that are there counts', () => {
    const newer = newerOf(memory(3, 'gone'), memory(1))
    expect(newer.voiceService.metadata['uid']).toBe('first')
    expect(newer.trunks.get('pbx')?.metadata['uid']).toBe('first')
    expect(newer.routes.get('route-0')?.generation).toBe(1)
  })
})
