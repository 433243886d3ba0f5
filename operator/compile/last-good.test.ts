import { describe, expect, it } from 'vitest'
import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import type { ResourceBody } from '#api/snapshot.ts'
import { VoiceService } from '#api/voice-service.ts'
import { type Compiled, compile } from './compile.ts'
import { Memory } from './memory.ts'
import type { World } from './world.ts'

type Route = { name: string; match?: object; targets?: object[]; priority?: number }

function voiceService(generation: number, routes: readonly Route[], uid = 'first'): VoiceService {
  return VoiceService.parse({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'VoiceService',
    metadata: { namespace: 'voice', name: 'edge', generation, uid },
    spec: {
      listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }],
      routes: routes.map((route) => ({ targets: [{ trunkRef: { name: 'pbx' } }], match: {}, ...route })),
    },
  })
}

function trunk(generation: number, host: string, changes: object = {}, { name = 'pbx', uid = 'first' } = {}): SipTrunk {
  return SipTrunk.parse({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'SipTrunk',
    metadata: { namespace: 'voice', name, generation, uid },
    spec: { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'main', host }], ...changes },
  })
}

const numbers = { name: 'numbers', match: { calledPattern: '[0-9]+' } }
const broken = { name: 'numbers', match: { calledPattern: '(' } }

/** Compiles one world after the other, each with what the one before it came to. */
function compileAll(...worlds: readonly Partial<World>[]): Compiled {
  const memory = new Memory()
  let world: World = { voiceService: voiceService(1, [numbers]), trunks: [trunk(1, '192.0.2.1')], secrets: [] }
  let compiled = compile(world, memory)
  for (const changes of worlds) {
    world = { ...world, ...changes, lastGood: compiled.lastGood }
    compiled = compile(world, memory)
    expect(compile(world)).toEqual(compiled)
  }
  return compiled
}

function bodyOf<T extends ResourceBody['type']>({ snapshot }: Compiled, key: `${T}/${string}`) {
  const found = snapshot.resources.find((one) => one.key === key)
  return found === undefined
    ? undefined
    : { generation: found.origin.generation, ...(found.body as Extract<ResourceBody, { type: T }>) }
}

function acceptedOf({ conditions }: Compiled, kind: string): string {
  const found = conditions.find(({ resource }) => resource.kind === kind)?.accepted
  return `${found?.status} ${found?.reason}: ${found?.message}`
}

describe('a trunk that turns invalid', () => {
  it('stays at its last good version with its routes, and says which one goes on', () => {
    const compiled = compileAll({ trunks: [trunk(2, '10.0.0.300')] })
    expect(bodyOf(compiled, 'Trunk/pbx')).toMatchObject({ generation: 1, targets: [{ host: '192.0.2.1' }] })
    expect(bodyOf(compiled, 'Route/numbers')?.targets).toHaveLength(1)
    expect(acceptedOf(compiled, 'SipTrunk')).toMatch(
      /^False Invalid: Not taken: spec\.targets\[0\]\.host: .* The last good one, of generation 1, goes on\.$/,
    )
    expect(acceptedOf(compiled, 'VoiceService')).toMatch(/^True Accepted/)
  })

  it('stays there through more changes of it and of its fleet, until it is mended', () => {
    const invalid = { trunks: [trunk(3, '10.0.0.301')] }
    const later = [{ trunks: [trunk(2, '10.0.0.300')] }, invalid, { voiceService: voiceService(2, [numbers]) }]
    expect(bodyOf(compileAll(...later), 'Trunk/pbx')).toMatchObject({ generation: 1 })
    const mended = compileAll(...later, { trunks: [trunk(4, '10.0.0.30')] })
    expect(bodyOf(mended, 'Trunk/pbx')).toMatchObject({ generation: 4, targets: [{ host: '10.0.0.30' }] })
    expect(acceptedOf(mended, 'SipTrunk')).toMatch(/^True Accepted/)
  })

  it('stays there as a whole, so that no half of a change comes into force', () => {
    const targets = [
      { name: 'main', host: '192.0.2.2' },
      { name: 'other', host: '192.0.2.300' },
    ]
    const compiled = compileAll({ trunks: [trunk(2, '', { targets })] })
    expect(bodyOf(compiled, 'Trunk/pbx')?.targets.map(({ host }) => host)).toEqual(['192.0.2.1'])
  })

  it('is compiled as far as it goes when no good version is known', () => {
    expect(bodyOf(compileAll({ trunks: [] }, { trunks: [trunk(2, '10.0.0.300')] }), 'Trunk/pbx')).toBeUndefined()
    const made = trunk(1, '10.0.0.300', {}, { uid: 'another' })
    expect(bodyOf(compileAll({ trunks: [made] }), 'Trunk/pbx')).toBeUndefined()
  })

  it('goes when it is deleted', () => {
    const compiled = compileAll({ trunks: [trunk(2, '10.0.0.300')] }, { trunks: [] })
    expect(bodyOf(compiled, 'Trunk/pbx')).toBeUndefined()
  })

  it('keeps the peer that is its own from another trunk', () => {
    const other = trunk(1, '192.0.2.1', {}, { name: 'zzz' })
    const compiled = compileAll({ trunks: [trunk(2, '10.0.0.300'), other] })
    expect(bodyOf(compiled, 'Trunk/pbx')).toBeDefined()
    expect(bodyOf(compiled, 'Trunk/zzz')).toBeUndefined()
  })

  it('does not come back to what refers to a Secret that is gone', () => {
    const registration = {
      registrars: [{ name: 'main', host: '192.0.2.1' }],
      accounts: [{ name: 'main', number: '100', secretRef: { name: 'account' } }],
    }
    const secret = SecretManifest.parse({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: 'voice', name: 'account' },
      stringData: { password: 'x' },
    })
    const steps = [
      { trunks: [trunk(2, '192.0.2.1', { registration })], secrets: [secret] },
      { trunks: [trunk(3, '10.0.0.300', { registration })] },
    ]
    expect(bodyOf(compileAll(...steps), 'Trunk/pbx')).toMatchObject({ generation: 2, registrations: [{}] })
    const without = compileAll(...steps, { secrets: [] })
    expect(bodyOf(without, 'Trunk/pbx')).toMatchObject({ generation: 2, registrations: [] })
  })
})

describe('a route that turns invalid', () => {
  it('stays at its last good version, while the others change', () => {
    const other = { name: 'other', match: { calledPattern: '1' } }
    const compiled = compileAll({ voiceService: voiceService(2, [broken, other]) })
    expect(bodyOf(compiled, 'Route/numbers')).toMatchObject({ generation: 1, match: { calledPattern: '[0-9]+' } })
    expect(bodyOf(compiled, 'Route/other')).toMatchObject({ generation: 2 })
    expect(acceptedOf(compiled, 'VoiceService')).toMatch(
      /^True PartiallyInvalid: .*calledPattern: .*; the last good route, of generation 1, goes on\.$/,
    )
    const again = compileAll(
      { voiceService: voiceService(2, [broken, other]) },
      { voiceService: voiceService(3, [broken]) },
    )
    expect(bodyOf(again, 'Route/numbers')).toMatchObject({ generation: 1 })
  })

  it('goes when it is taken out, or when its VoiceService is another one', () => {
    expect(
      bodyOf(
        compileAll({ voiceService: voiceService(2, [broken]) }, { voiceService: voiceService(3, []) }),
        'Route/numbers',
      ),
    ).toBeUndefined()
    expect(bodyOf(compileAll({ voiceService: voiceService(1, [broken], 'another') }), 'Route/numbers')).toBeUndefined()
  })

  it('does not come back to a trunk that is gone', () => {
    const compiled = compileAll({ voiceService: voiceService(2, [broken]), trunks: [] })
    expect(bodyOf(compiled, 'Route/numbers')).toBeUndefined()
    expect(acceptedOf(compiled, 'VoiceService')).not.toContain('goes on')
  })

  it('gives way to what can be used of today where it refers to a trunk that is gone', () => {
    const targets = [{ trunkRef: { name: 'new' } }, { trunkRef: { name: 'new' } }]
    const compiled = compileAll({
      voiceService: voiceService(2, [{ ...numbers, targets }]),
      trunks: [trunk(1, '192.0.2.1', {}, { name: 'new' })],
    })
    expect(bodyOf(compiled, 'Route/numbers')).toMatchObject({ generation: 2, targets: [{ trunk: 'new' }] })
    expect(acceptedOf(compiled, 'VoiceService')).toMatch(/^True PartiallyInvalid: .*remove one of them\.$/)
  })

  it('is not kept for a reference alone', () => {
    const compiled = compileAll({
      voiceService: voiceService(2, [{ ...numbers, targets: [{ trunkRef: { name: 'pbxx' } }] }]),
    })
    expect(bodyOf(compiled, 'Route/numbers')).toBeUndefined()
  })

  it('hides no route of today', () => {
    const heir = { name: 'heir', priority: 200, match: numbers.match }
    const compiled = compileAll({ voiceService: voiceService(2, [broken, heir]) })
    expect(bodyOf(compiled, 'Route/heir')).toBeDefined()
    expect(bodyOf(compiled, 'Route/numbers')).toBeUndefined()
  })

  it('stays when it would never be taken', () => {
    const letters = { name: 'letters', match: { calledPattern: '[a-z]+' } }
    const hidden = { ...letters, match: numbers.match, priority: 900 }
    const compiled = compileAll(
      { voiceService: voiceService(2, [numbers, letters]) },
      { voiceService: voiceService(3, [numbers, hidden]) },
    )
    expect(bodyOf(compiled, 'Route/letters')).toMatchObject({ generation: 2, match: { calledPattern: '[a-z]+' } })
  })
})
