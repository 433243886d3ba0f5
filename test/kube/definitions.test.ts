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
  initialStatus,
  installDefinitions,
  makeNamespace,
  sipTrunks,
  voiceServices,
  type AnyObject,
} from './cluster.ts'
import { longestStart, startControlPlane, type ControlPlane } from './control-plane.ts'
import { celRules, fieldOf, replaced, requiredOf, sampleOf, valueAt, violations, type Schema } from './violations.ts'

const namespace = 'voice'

interface Kind {
  readonly kind: string
  readonly resource: Resource<AnyObject>
  readonly zod: z.ZodType
  readonly schema: Schema
  /** Uses every field there is, so that every rule about a field can be broken from here. */
  readonly manifest: AnyObject
}

const kinds = [kindOf(voiceServices, VoiceService), kindOf(sipTrunks, SipTrunk)]
const [fleet, trunk] = kinds.map(({ manifest }) => manifest) as [AnyObject, AnyObject]

function kindOf(resource: Resource<AnyObject>, zod: z.ZodType): Kind {
  const schema = definitionOf(resource.plural).spec.versions[0]?.schema.openAPIV3Schema as Schema
  const spec = sampleOf(schema.properties?.['spec'] ?? {}) as Record<string, unknown>
  // Their sample has `tls` and `drachtio`, which want a transport and an engine that have them.
  if (resource === voiceServices) {
    spec['listeners'] = (spec['listeners'] as object[]).map(overTls)
    spec['engine'] = 'Drachtio'
  }
  const manifest = {
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: resource.kind,
    metadata: { name: 'example', namespace },
    spec,
  }
  return { kind: resource.kind, resource, zod, schema, manifest }
}

function overTls(listener: object): object {
  return { ...listener, transport: 'TLS' }
}

/** For each rule in CEL, by its message, what the object that it is about has to have so as to break it. */
const againstCel: Readonly<Record<string, readonly object[]>> = {
  'metadata.name must be at most 48 lower-case letters, digits and "-", and start with a letter: Services and replicas are named after it':
    ['a'.repeat(49), '7up', 'a.b'].map((name) => ({ metadata: { name, namespace } })),
  'metadata.name must not end in "-replicas": a VoiceService of the name before that has a Service with this name': [
    { metadata: { name: 'edge-replicas', namespace } },
  ],
  'two listeners may not share port and IP family, unless one of them is UDP and the other is not': [
    {
      listeners: [
        { name: 'a', transport: 'UDP', port: 5060 },
        { name: 'b', transport: 'UDP', port: 5060, ipFamily: 'IPv4' },
      ],
    },
  ],
  'tls is needed with transport TLS or WSS, and only there': [{ transport: 'UDP' }, { transport: 'WS' }],
  'advertisedAddress must be where peers reach the listener, which 0.0.0.0 and :: never are': [
    { advertisedAddress: '0.0.0.0' },
    { advertisedAddress: '::' },
  ],
  'port 9080 is where replicas serve health and metrics over TCP; take another one, or UDP': [{ port: 9080 }],
  'port 9081 of 127.0.0.1 is where replicas serve their admin interface; take another one': [{ port: 9081 }],
  'sip.media.mode Anchor needs at least one engine in media.engines': [
    { media: { engines: [] }, sip: { media: { mode: 'Anchor' } } },
    {
      media: {},
      routes: [{ name: 'a', targets: [{ trunkRef: { name: 'a' } }], sip: { media: { mode: 'Anchor' } } }],
    },
  ],
  'drachtio is needed with engine Drachtio, and only there': [{ engine: 'Embedded' }, { drachtio: undefined }],
  'timeoutSeconds must be less than upIntervalSeconds and downIntervalSeconds': [
    { timeoutSeconds: 5, downIntervalSeconds: 5 },
    { timeoutSeconds: 6, upIntervalSeconds: 5 },
  ],
  'burst needs callsPerSecond': [{ burst: 5, callsPerSecond: undefined }],
  'burstOutbound needs callsPerSecondOutbound': [{ burstOutbound: 5, callsPerSecondOutbound: undefined }],
  'from must not be greater than to': [{ from: 501, to: 500 }],
  'minSeconds must not be greater than maxSeconds': [{ minSeconds: 2, maxSeconds: 1 }],
  'midcall.mode Block and PassThroughMediaChange answer offers in the name of the other peer, which needs media.mode Anchor':
    [
      { midcall: { mode: 'Block' }, media: { mode: 'Bypass' } },
      { midcall: { mode: 'PassThroughMediaChange' }, media: { mode: 'Bypass' } },
    ],
  'timeoutSeconds must be 0, for never, or at least 10': [{ timeoutSeconds: 9 }],
  'minSeSeconds must not be greater than expiresSeconds': [{ minSeSeconds: 1801, expiresSeconds: 1800 }],
}
/** Rules about changes of an object have tests of their own. */
const aboutChanges = ['voiceServiceRef cannot be changed; create a new SipTrunk']

const celCases = (kind: Kind) =>
  celRules(kind.schema)
    .filter(({ message }) => !aboutChanges.includes(message))
    .flatMap(({ message, path }) =>
      (againstCel[message] ?? []).map((breaking) => {
        const object = path.length === 0 ? kind.manifest : (valueAt(kind.manifest, path) as object)
        const broken = { ...object, ...breaking }
        const manifest = path.length === 0 ? broken : replaced(kind.manifest, path, broken)
        return { field: fieldOf(path), message, manifest, breaking: JSON.stringify(breaking) }
      }),
    )

it.each(kinds)('every rule in CEL of $kind has a case that breaks it', ({ schema }) => {
  const messages = celRules(schema).map(({ message }) => message)
  expect(messages.filter((one) => againstCel[one] === undefined && !aboutChanges.includes(one))).toEqual([])
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
    it('accepts, as the files do, a manifest that uses every field', async () => {
      expect(kind.zod.safeParse(kind.manifest).error).toBeUndefined()
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

    it.each(celCases(kind))('refuses, as the files do, $breaking at $field', async ({ manifest, message, field }) => {
      const error = await check(kind, manifest)
      expect(kind.zod.safeParse(manifest).success).toBe(false)
      expect(error).toMatchObject({ code: 422, reason: 'Invalid' })
      const causes = error?.status.details?.causes ?? []
      expect(causes.map((cause) => cause.message).join('\n')).toContain(message)
      expect(causes.map((cause) => cause.field).join('\n')).toContain(field)
    })

    it('fills in the same defaults as the files', async () => {
      const manifest = {
        ...kind.manifest,
        spec: requiredOf(kind.schema.properties?.['spec'] ?? {}) as Record<string, unknown>,
      }
      const created = await client.create(kind.resource, manifest, { dryRun: true, strict: true })
      expect(created.spec).toEqual((kind.zod.parse(manifest) as AnyObject).spec)
    })
  })

  it('keep a SipTrunk at the VoiceService it was made for', async () => {
    const created = await client.create(sipTrunks, { ...trunk, metadata: { name: 'settled', namespace } })
    const moved = replaced(created, ['spec', 'voiceServiceRef', 'name'], 'other') as AnyObject
    await expect(client.replace(sipTrunks, moved)).rejects.toThrow('voiceServiceRef cannot be changed')
    const tuned = replaced(created, ['spec', 'keepalive', 'failureThreshold'], 2) as AnyObject
    expect((await client.replace(sipTrunks, tuned)).metadata.generation).toBe(2)
  })

  it('let SipTrunks be selected by their VoiceService', async () => {
    for (const [name, ref] of Object.entries({ one: 'north', two: 'south', three: 'north' })) {
      const spec = { ...trunk.spec, voiceServiceRef: { name: ref } }
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
    const spec = { ...fleet.spec, replicas: 3 }
    const metadata = { name: 'apart', namespace }
    const created = await client.create(voiceServices, { ...fleet, spec, metadata, status: { trunks: 7 } })
    expect(created.status).toEqual(initialStatus)
    const status = { trunks: 2, conditions: [], replicas: { desired: 3, ready: 0, programmed: 0 } }
    const object = { metadata: { name: 'apart', namespace }, spec: { replicas: 0 }, status } as AnyObject
    const written = await client.apply(voiceServices, object, {
      fieldManager: 'sbcfleet',
      force: true,
      subresource: 'status',
    })
    expect(written.status).toEqual({ ...status, ...initialStatus })
    expect([written.spec?.['replicas'], written.metadata.generation]).toEqual([3, 1])
  })

  it('scale a VoiceService as kubectl scale and autoscalers do', async () => {
    const name = 'scaled'
    await client.create(voiceServices, {
      ...fleet,
      spec: { ...fleet.spec, replicas: 3 },
      metadata: { name, namespace },
    })
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
