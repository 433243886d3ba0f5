import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { z } from 'zod'
import { SipTrunk } from '#api/sip-trunk.ts'
import { VoiceService } from '#api/voice-service.ts'
import { ApiError } from '../../operator/kube/api-error.ts'
import type { KubeClient } from '../../operator/kube/client.ts'
import type { Resource } from '../../operator/kube/resource.ts'
import {
  clientOf,
  definitionOf,
  definitions,
  installDefinitions,
  makeNamespace,
  sipTrunks,
  voiceServices,
  type AnyObject,
} from './cluster.ts'
import { longestStart, startControlPlane, type ControlPlane } from './control-plane.ts'
import { celRules, fieldOf, replaced, unusedFields, violations, type Path, type Schema } from './violations.ts'
import { wholeSipTrunk, wholeVoiceService } from './whole-manifests.ts'

const { namespace } = wholeVoiceService.metadata

interface Kind {
  readonly kind: 'VoiceService' | 'SipTrunk'
  readonly resource: Resource<AnyObject>
  readonly zod: z.ZodType
  readonly schema: Schema
  readonly manifest: AnyObject
}

const kinds: readonly Kind[] = [
  { kind: 'VoiceService', resource: voiceServices, zod: VoiceService },
  { kind: 'SipTrunk', resource: sipTrunks, zod: SipTrunk },
].map((kind) => ({
  ...(kind as Pick<Kind, 'kind' | 'resource' | 'zod'>),
  schema: definitionOf(kind.resource.plural).spec.versions[0]?.schema.openAPIV3Schema as Schema,
  manifest: (kind.kind === 'VoiceService' ? wholeVoiceService : wholeSipTrunk) as unknown as AnyObject,
}))

/** For each rule in CEL a manifest that breaks it, and nothing else. Rules about changes have tests of their own. */
const againstCel: readonly { kind: Kind['kind']; rule: string; path: Path; value: unknown; field: string }[] = [
  {
    kind: 'VoiceService',
    rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,46}[a-z0-9])?$')",
    path: ['metadata', 'name'],
    value: 'a'.repeat(49),
    field: '<nil>',
  },
  {
    kind: 'VoiceService',
    rule: 'self.listeners.all(a, self.listeners.exists_one(b, a.transport == b.transport && a.port == b.port && a.ipFamily == b.ipFamily))',
    path: ['spec', 'listeners'],
    value: [
      { name: 'a', transport: 'UDP', port: 5060 },
      { name: 'b', transport: 'UDP', port: 5060, ipFamily: 'IPv4' },
    ],
    field: 'spec',
  },
  ...[5, 6].map((timeoutSeconds) => ({
    kind: 'SipTrunk' as const,
    rule: 'self.timeoutSeconds < self.upIntervalSeconds && self.timeoutSeconds < self.downIntervalSeconds',
    path: ['spec', 'keepalive'],
    value: { timeoutSeconds, upIntervalSeconds: 60, downIntervalSeconds: 5 },
    field: 'spec.keepalive',
  })),
  ...(
    [
      ['VoiceService', ['spec', 'sip']],
      ['VoiceService', ['spec', 'routes', 0, 'sip']],
      ['SipTrunk', ['spec', 'sip']],
    ] as const
  ).map(([kind, path]) => ({
    kind,
    rule: 'self.from <= self.to',
    path: [...path, 'hunting', 'stopOn', 0],
    value: { from: 501, to: 500 },
    field: `${fieldOf(path)}.hunting.stopOn[0]`,
  })),
]
const aboutChanges = ['self == oldSelf']

it.each(kinds)('the $kind in whole-manifests.ts uses every field that there is', ({ schema, manifest, zod }) => {
  expect(unusedFields(schema.properties?.['spec'] ?? {}, manifest, ['spec'])).toEqual([])
  expect(zod.safeParse(manifest).error).toBeUndefined()
})

it.each(kinds)('every rule in CEL of $kind has a manifest that breaks it', ({ kind, schema }) => {
  const covered = againstCel.filter((one) => one.kind === kind).map(({ rule }) => rule)
  expect(celRules(schema).filter((rule) => ![...covered, ...aboutChanges].includes(rule))).toEqual([])
})

describe.skipIf(!inject('kubernetes'))('the CRDs on a real API server', () => {
  let plane: ControlPlane
  let client: KubeClient

  beforeAll(async () => {
    plane = await startControlPlane()
    client = clientOf(plane)
    await installDefinitions(client)
    await makeNamespace(client, namespace)
  }, longestStart)
  afterAll(async () => {
    client?.close()
    await plane?.stop()
  })

  const check = async ({ resource }: Kind, manifest: unknown): Promise<ApiError | undefined> => {
    try {
      await client.create(resource, manifest as AnyObject, { dryRun: true, strict: true })
      return undefined
    } catch (error) {
      if (error instanceof ApiError) return error
      throw error
    }
  }

  it('are accepted as structural schemas with all names', async () => {
    for (const { resource } of kinds) {
      const { status } = await client.get(definitions, { name: `${resource.plural}.${resource.group}` })
      const states = Object.fromEntries((status?.conditions ?? []).map((one) => [one.type, one.status]))
      expect(states).toEqual({ NamesAccepted: 'True', Established: 'True' })
    }
  })

  describe.each(kinds)('$kind', (kind) => {
    it('accepts a manifest that uses every field', async () => {
      expect(await check(kind, kind.manifest)).toBeUndefined()
    })

    it.each([...violations(kind.schema.properties?.['spec'] ?? {}, kind.manifest, ['spec'])])(
      'refuses, as the files do, when $name',
      async ({ manifest, field }) => {
        const error = await check(kind, manifest)
        expect(kind.zod.safeParse(manifest).success).toBe(false)
        expect(error?.code).toBeOneOf([400, 422])
        const culprits = (error?.status.details?.causes ?? []).map((cause) => cause.field ?? '')
        const named = [...culprits, error?.message ?? ''].some((text) => text.includes(field))
        expect(named, `${error?.message}`).toBe(true)
      },
    )

    it.each(againstCel.filter((one) => one.kind === kind.kind))(
      'refuses, as the files do, what breaks the rule $rule',
      async ({ rule, path, value, field }) => {
        const manifest = replaced(kind.manifest, path, value)
        const error = await check(kind, manifest)
        expect(kind.zod.safeParse(manifest).success).toBe(false)
        expect(error).toMatchObject({ code: 422, reason: 'Invalid' })
        const message = messageOf(kind.schema, rule)
        expect(error?.status.details?.causes?.[0]?.message).toContain(message)
        expect(error?.message).toContain(field)
      },
    )

    it('fills in the same defaults as the files', async () => {
      const required = {
        VoiceService: { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
        SipTrunk: { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'a', host: 'sip.carrier.example' }] },
      }[kind.kind]
      const manifest = { ...kind.manifest, spec: required }
      const created = await client.create(kind.resource, manifest, { dryRun: true, strict: true })
      expect(created.spec).toEqual((kind.zod.parse(manifest) as AnyObject).spec)
    })
  })

  it('keep a SipTrunk at the VoiceService it was made for', async () => {
    const trunk = structuredClone(wholeSipTrunk) as unknown as AnyObject
    const created = await client.create(sipTrunks, { ...trunk, metadata: { name: 'settled', namespace } })
    const moved = replaced(created, ['spec', 'voiceServiceRef', 'name'], 'other') as AnyObject
    await expect(client.replace(sipTrunks, moved)).rejects.toThrow('voiceServiceRef cannot be changed')
    const tuned = replaced(created, ['spec', 'keepalive', 'failureThreshold'], 2) as AnyObject
    expect((await client.replace(sipTrunks, tuned)).metadata.generation).toBe(2)
  })

  it('let SipTrunks be selected by their VoiceService', async () => {
    const trunk = wholeSipTrunk as unknown as AnyObject
    for (const [name, fleet] of Object.entries({ one: 'north', two: 'south', three: 'north' })) {
      const spec = { ...trunk.spec, voiceServiceRef: { name: fleet } }
      await client.create(sipTrunks, { ...trunk, metadata: { name, namespace }, spec })
    }
    const { items } = await client.list(sipTrunks, { namespace, fieldSelector: 'spec.voiceServiceRef.name=north' })
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['one', 'three'])
  })

  it('merge the targets of a trunk by name under server-side apply', async () => {
    const name = 'shared'
    const target = (of: string, port?: number) => ({ name: of, host: `${of}.example`, ...(port && { port }) })
    const apply = (fieldManager: string, spec: object) =>
      client.apply(sipTrunks, { metadata: { name, namespace }, spec } as AnyObject, { fieldManager })
    await apply('team-a', { voiceServiceRef: { name: 'edge' }, targets: [target('a'), target('b')] })
    const merged = await apply('team-b', { targets: [target('c', 5070)] })
    expect(merged.spec?.['targets']).toMatchObject([{ name: 'a' }, { name: 'b' }, { name: 'c', port: 5070 }])
    await expect(apply('team-b', { targets: [{ name: 'a', host: 'mine.example' }] })).rejects.toThrow('team-a')
  })

  it('keep status and spec apart', async () => {
    const manifest = { ...wholeVoiceService, metadata: { name: 'apart', namespace }, status: { trunks: 7 } }
    const created = await client.create(voiceServices, manifest as unknown as AnyObject)
    expect(created.status).toBeUndefined()
    const status = { trunks: 2, conditions: [], replicas: { desired: 3, ready: 0, programmed: 0 } }
    const object = { metadata: { name: 'apart', namespace }, spec: { replicas: 0 }, status } as AnyObject
    const written = await client.apply(voiceServices, object, {
      fieldManager: 'sbcfleet',
      force: true,
      subresource: 'status',
    })
    expect(written.status).toEqual(status)
    expect([written.spec?.['replicas'], written.metadata.generation]).toEqual([3, 1])
  })

  it('scale a VoiceService as kubectl scale and autoscalers do', async () => {
    const name = 'scaled'
    await client.create(voiceServices, { ...wholeVoiceService, metadata: { name, namespace } } as unknown as AnyObject)
    await client.apply(
      voiceServices,
      {
        metadata: { name, namespace },
        status: { replicas: { desired: 3, ready: 2, programmed: 1 }, selector: 'sbc=edge' },
      } as AnyObject,
      { fieldManager: 'sbcfleet', force: true, subresource: 'status' },
    )
    const path = `/apis/sbcfleet.dev/v1alpha1/namespaces/${namespace}/voiceservices/${name}/scale`
    expect(await client.read(path)).toMatchObject({
      spec: { replicas: 3 },
      status: { replicas: 2, selector: 'sbc=edge' },
    })
    await client.patch(voiceServices, { name, namespace }, { spec: { replicas: 5 } }, { subresource: 'scale' })
    const scaled = await client.get(voiceServices, { name, namespace })
    expect([scaled.spec?.['replicas'], scaled.metadata.generation]).toEqual([5, 2])
    const tooMany = { spec: { replicas: 3001 } }
    const beyond = client.patch(voiceServices, { name, namespace }, tooMany, { subresource: 'scale' })
    await expect(beyond).rejects.toThrow('3000')
  })

  it('show in a table what operators look for', async () => {
    const { spec } = await client.get(definitions, { name: 'siptrunks.sbcfleet.dev' })
    const [version] = spec.versions as unknown as { additionalPrinterColumns: { name: string; priority?: number }[] }[]
    const columns = (version?.additionalPrinterColumns ?? []).filter(({ priority = 0 }) => priority === 0)
    expect(columns.map(({ name }) => name.toUpperCase())).toEqual([
      'READY',
      'PROGRAMMED',
      'REGISTERED',
      'REACHABLE',
      'TARGETS',
      'AGE',
    ])
  })
})

function messageOf(schema: Schema, rule: string): string {
  const own = schema['x-kubernetes-validations']?.find((one) => one.rule === rule)?.message
  if (own !== undefined) return own
  for (const part of [
    ...Object.values(schema.properties ?? {}),
    ...(schema.items === undefined ? [] : [schema.items]),
  ]) {
    const message = messageOf(part, rule)
    if (message !== '') return message
  }
  return ''
}
