import { evaluate } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { withRules } from '#api/fields.ts'
import { kinds, sipTrunkKind } from '#api/kinds.ts'
import { SipTrunkSpec } from '#api/sip-trunk.ts'
import { VoiceService, VoiceServiceSpec } from '#api/voice-service.ts'
import { crdText, customResourceDefinition, writtenSchema } from './crd.ts'
import { structural, type SchemaNode } from './structural.ts'

interface Placed {
  readonly path: string
  readonly node: SchemaNode
}

/** Every node of a CRD's schema. */
function nodes(node: SchemaNode, path: string): Placed[] {
  const fields = Object.entries((node['properties'] as Record<string, SchemaNode> | undefined) ?? {})
  const items = node['items'] === undefined ? [] : nodes(node['items'] as SchemaNode, `${path}[]`)
  return [{ path, node }, ...items, ...fields.flatMap(([name, field]) => nodes(field, `${path}.${name}`))]
}

const crds = kinds.map((kind) => ({ kind: kind.kind, crd: parse(crdText(kind)) as CustomResourceDefinition }))
const all = crds.flatMap(({ kind, crd }) =>
  crd.spec.versions.flatMap(({ schema }) => nodes(schema.openAPIV3Schema, kind)),
)

interface CustomResourceDefinition {
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly names: { readonly plural: string }
    readonly versions: readonly {
      readonly additionalPrinterColumns: readonly { readonly name: string; readonly jsonPath: string }[]
      readonly selectableFields?: readonly { readonly jsonPath: string }[]
      readonly subresources: { readonly scale?: Record<string, string> }
      readonly schema: { readonly openAPIV3Schema: SchemaNode }
    }[]
  }
}

describe('the CRDs', () => {
  it('are named plural.group', () => {
    for (const { crd } of crds) expect(crd.metadata.name).toBe(`${crd.spec.names.plural}.${crd.spec.group}`)
  })

  it('point with columns, selectable fields and scale paths at fields that exist', () => {
    for (const { kind, crd } of crds) {
      const paths = new Set(all.map(({ path }) => path))
      for (const version of crd.spec.versions) {
        const pointers = [
          ...version.additionalPrinterColumns.map(({ jsonPath }) => jsonPath),
          ...(version.selectableFields ?? []).map(({ jsonPath }) => jsonPath),
          ...Object.values(version.subresources.scale ?? {}),
        ].filter((pointer) => !pointer.startsWith('.metadata.'))
        expect(pointers.length).toBeGreaterThan(0)
        for (const pointer of pointers) {
          const plain = pointer.replaceAll(/\[\?\(.*?\)\]/g, '[]')
          expect(paths, `${pointer} of ${kind}`).toContain(kind + plain)
        }
      }
    }
  })

  it('use patterns that the RE2 of the API server knows', () => {
    const patterns = all.flatMap(({ node }) => (typeof node['pattern'] === 'string' ? [node['pattern']] : []))
    expect(patterns.length).toBeGreaterThan(0)
    for (const pattern of patterns) expect(() => RE2JS.compile(pattern), pattern).not.toThrow()
  })

  it('have map keys that every item has', () => {
    const maps = all.filter(({ node }) => node['x-kubernetes-list-type'] === 'map')
    expect(maps.length).toBeGreaterThan(0)
    for (const { path, node } of maps) {
      const items = node['items'] as SchemaNode
      for (const key of node['x-kubernetes-list-map-keys'] as string[]) {
        expect(items['required'], `${path} by ${key}`).toContain(key)
      }
    }
  })

  it('have defaults that obey their own rules before the defaults inside are filled in', () => {
    const withDefaults = all.filter(({ node }) => rulesOf(node).length > 0 && node['default'] !== undefined)
    expect(withDefaults.map(({ path }) => path)).toEqual([
      'SipTrunk.spec.registration.retry',
      'SipTrunk.spec.keepalive',
    ])
    for (const { node } of withDefaults) {
      for (const rule of rulesOf(node)) expect(holds(rule, node['default']), rule).toBe(true)
    }
  })

  it('give VoiceService a scale subresource and SipTrunk none', () => {
    const scales = crds.map(({ crd }) => crd.spec.versions.map(({ subresources }) => subresources.scale !== undefined))
    expect(scales).toEqual([[true], [false]])
  })
})

/** A value for each rule that keeps it, and one that breaks it: zod and CEL must agree on both. */
const listener = { transport: 'UDP', port: 5060, ipFamily: 'IPv4' }
const secure = { transport: 'TLS', port: 5061, tls: { secretRef: { name: 'certificate' } } }
const listeners = (...items: object[]) => ({
  listeners: items.map((item, index) => ({ ...listener, name: `l${index}`, ...item })),
})
const keepalive = (fields: object) => ({
  voiceServiceRef: { name: 'edge' },
  targets: [{ name: 'a', host: '192.0.2.1' }],
  keepalive: fields,
})
const named = (name: string) => ({
  apiVersion: 'sbcfleet.dev/v1alpha1',
  kind: 'VoiceService',
  metadata: { name },
  spec: { listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }] },
})
const stopOn = (from: number, to: number) => ({ sip: { hunting: { stopOn: [{ from, to }] } } })
const retried = (retry: object) => ({
  ...keepalive({}),
  registration: {
    registrars: [{ name: 'primary', host: '192.0.2.1' }],
    accounts: [{ name: 'main', number: '100', secretRef: { name: 'account' } }],
    retry,
  },
})
const routed = (route: object) => ({
  ...listeners({}),
  routes: [{ name: 'out', match: {}, targets: [{ trunkRef: { name: 'carrier' } }], ...route }],
})
const withServer = (drachtio: object) => ({
  ...listeners({}),
  engine: 'Drachtio',
  drachtio: { secretRef: { name: 'drachtio' }, ...drachtio },
})
/** Every level at which SIP behaviour is written. */
const levels = [
  { path: 'SipTrunk.spec.sip', schema: SipTrunkSpec, at: (sip: object) => ({ ...keepalive({}), sip }) },
  { path: 'VoiceService.spec.sip', schema: VoiceServiceSpec, at: (sip: object) => ({ ...listeners({}), sip }) },
  { path: 'VoiceService.spec.routes[].sip', schema: VoiceServiceSpec, at: (sip: object) => routed({ sip }) },
]
const sessions = levels.flatMap(({ path, schema, at }) => [
  {
    path,
    schema,
    keeps: [at({ midcall: { mode: 'Block' } }), at({ midcall: { mode: 'PassThrough' }, media: { mode: 'Bypass' } })],
    breaks: [
      at({ midcall: { mode: 'Block' }, media: { mode: 'Bypass' } }),
      at({ midcall: { mode: 'PassThroughMediaChange' }, media: { mode: 'Bypass' } }),
    ],
  },
  {
    path: `${path}.media`,
    schema,
    keeps: [at({ media: { timeoutSeconds: 0 } }), at({ media: { timeoutSeconds: 10 } }), at({ media: {} })],
    breaks: [at({ media: { timeoutSeconds: 9 } })],
  },
  {
    path: `${path}.sessionTimer`,
    schema,
    keeps: [
      at({ sessionTimer: { expiresSeconds: 90, minSeSeconds: 90 } }),
      at({ sessionTimer: { minSeSeconds: 3600 } }),
      at({ sessionTimer: { expiresSeconds: 90 } }),
    ],
    breaks: [at({ sessionTimer: { expiresSeconds: 90, minSeSeconds: 91 } })],
  },
])
const anchored = { sip: { media: { mode: 'Anchor' } } }
const twins = [
  {
    path: 'VoiceService',
    schema: VoiceService,
    keeps: ['edge', 'e', 'e-1', 'e'.repeat(48)].map(named),
    breaks: ['1edge', 'edge.a', 'e'.repeat(49)].map(named),
  },
  {
    path: 'VoiceService.spec',
    schema: VoiceServiceSpec,
    keeps: [
      listeners({}, { port: 5061 }),
      listeners({}, { transport: 'TCP' }),
      listeners({}, { ...secure, port: 5060 }),
      listeners({}, { ipFamily: 'IPv6' }),
      { ...listeners({}), ...anchored, media: { engines: [{ name: 'a', host: '192.0.2.9' }] } },
      { ...routed({ sip: { media: { mode: 'Bypass' } } }), media: { engines: [] } },
    ],
    breaks: [
      listeners({}, {}),
      listeners({}, { port: 1 }, {}),
      listeners({ transport: 'TCP' }, { ...secure, port: 5060 }),
      { ...listeners({}), ...anchored },
      { ...listeners({}), ...anchored, media: { engines: [] } },
      routed(anchored),
    ],
  },
  {
    path: 'VoiceService.spec.admission',
    schema: VoiceServiceSpec,
    keeps: [{ ...listeners({}), admission: { callsPerSecond: 10, burst: 20 } }],
    breaks: [{ ...listeners({}), admission: { burst: 20 } }],
  },
  {
    path: 'VoiceService.spec.listeners[]',
    schema: VoiceServiceSpec,
    keeps: [
      listeners({}),
      listeners(secure),
      listeners({ ...secure, transport: 'WSS' }),
      listeners({ transport: 'WS' }),
      listeners({ port: 9080 }),
      listeners({ transport: 'TCP', port: 9081 }),
    ],
    breaks: [
      listeners({ ...secure, transport: 'WS' }),
      listeners({ transport: 'TLS' }),
      listeners({ transport: 'WSS' }),
      listeners({ transport: 'TCP', port: 9080 }),
      listeners({ ...secure, port: 9080 }),
    ],
  },
  {
    path: 'VoiceService.spec.drachtio',
    schema: VoiceServiceSpec,
    keeps: [withServer({ port: 9022 }), withServer({ port: 9080 })],
    breaks: [withServer({ port: 9081 })],
  },
  {
    path: 'SipTrunk.spec.keepalive',
    schema: SipTrunkSpec,
    keeps: [keepalive({}), keepalive({ timeoutSeconds: 4, upIntervalSeconds: 5, downIntervalSeconds: 5 })],
    breaks: [
      keepalive({ timeoutSeconds: 5, upIntervalSeconds: 5 }),
      keepalive({ timeoutSeconds: 20, downIntervalSeconds: 10 }),
    ],
  },
  {
    path: 'SipTrunk.spec.registration.retry',
    schema: SipTrunkSpec,
    keeps: [retried({ minSeconds: 30, maxSeconds: 30 })],
    breaks: [retried({ minSeconds: 31, maxSeconds: 30 })],
  },
  {
    path: 'SipTrunk.spec.admission',
    schema: SipTrunkSpec,
    keeps: [
      { ...keepalive({}), admission: { callsPerSecond: 10, burst: 20 } },
      { ...keepalive({}), admission: { maxCallsInbound: 1 } },
      { ...keepalive({}), admission: { callsPerSecondOutbound: 10, burstOutbound: 20 } },
    ],
    breaks: [
      { ...keepalive({}), admission: { burst: 20 } },
      { ...keepalive({}), admission: { burstOutbound: 20, callsPerSecond: 10 } },
    ],
  },
  {
    path: 'SipTrunk.spec.sip.hunting.stopOn[]',
    schema: SipTrunkSpec,
    keeps: [{ ...keepalive({}), ...stopOn(404, 404) }],
    breaks: [{ ...keepalive({}), ...stopOn(405, 404) }],
  },
  {
    path: 'VoiceService.spec.sip.hunting.stopOn[]',
    schema: VoiceServiceSpec,
    keeps: [{ ...listeners({}), ...stopOn(400, 699) }],
    breaks: [{ ...listeners({}), ...stopOn(699, 400) }],
  },
  {
    path: 'VoiceService.spec.routes[].sip.hunting.stopOn[]',
    schema: VoiceServiceSpec,
    keeps: [routed(stopOn(500, 599))],
    breaks: [routed(stopOn(599, 500))],
  },
  ...sessions,
]

describe('every CEL rule', () => {
  const ruled = all.filter(({ node }) => rulesOf(node).some((rule) => !rule.includes('oldSelf')))

  it('has values here that keep it and that break it', () => {
    expect(ruled.map(({ path }) => path).sort()).toEqual(twins.map(({ path }) => path).sort())
  })

  it.each(twins)('at $path gives the verdict that zod gives', ({ path, schema, keeps, breaks }) => {
    const rules = ruled.filter((one) => one.path === path).flatMap(({ node }) => rulesOf(node))
    for (const [values, verdict] of [
      [keeps, true],
      [breaks, false],
    ] as const) {
      for (const value of values) {
        expect(schema.safeParse(value).success, JSON.stringify(value)).toBe(verdict)
        const self = inside(withDefaults(value, path), path)
        expect(
          rules.every((rule) => holds(rule, self)),
          JSON.stringify(self),
        ).toBe(verdict)
      }
    }
  })

  it('that looks at the object before is a rule of immutability, which files cannot break', () => {
    const transitions = all.filter(({ node }) => rulesOf(node).some((rule) => rule.includes('oldSelf')))
    expect(transitions.map(({ path }) => path)).toEqual(['SipTrunk.spec.voiceServiceRef'])
  })
})

describe('structural', () => {
  const convert = (schema: z.ZodType) => structural(writtenSchema(schema), 'spec')
  const text = z.string().max(9).describe('x')

  it.each([
    ['alternatives', z.object({ a: z.union([text, z.int()]).describe('x') }), /spec\.a: "anyOf" has no place/],
    [
      'discriminated unions',
      z.object({ a: z.discriminatedUnion('t', [z.object({ t: z.literal('x') })]).describe('x') }),
      /spec\.a: "(oneOf|anyOf)"/,
    ],
    [
      'maps without a greatest size',
      z.object({ a: z.record(z.string(), text).describe('x') }),
      /spec\.a: has no maxProperties/,
    ],
    ['values of any type', z.object({ a: z.unknown().describe('x') }), /spec\.a: "type" is undefined/],
    ['texts without a greatest length', z.object({ a: z.string().describe('x') }), /spec\.a: has no maxLength/],
    ['lists without a greatest length', z.object({ a: z.array(text).describe('x') }), /spec\.a: has no maxItems/],
    [
      'lists without a list type',
      z.object({ a: z.array(text).max(3).describe('x') }),
      /spec\.a: has no x-kubernetes-list-type/,
    ],
    ['fields without a description', z.object({ a: z.int() }), /spec\.a: has no description/],
    ['exclusive bounds', z.object({ a: z.number().gt(3).describe('x') }), /spec\.a: "exclusiveMinimum"/],
    [
      'such things deep inside',
      z.object({ a: z.object({ b: z.string().describe('x') }).describe('x') }),
      /spec\.a\.b: has no maxLength/,
    ],
  ])('refuses %s', (_what, schema, message) => {
    expect(() => convert(schema)).toThrow(message)
  })

  it('drops strictness and the bounds of a double, and fills defaults of objects', () => {
    const schema = z.strictObject({
      count: z.int().min(1).describe('c'),
      inner: z
        .strictObject({ on: z.boolean().default(true).describe('o') })
        .prefault({})
        .describe('i'),
    })
    expect(convert(schema)).toEqual({
      type: 'object',
      required: ['count'],
      properties: {
        count: { description: 'c', type: 'integer', format: 'int64', minimum: 1 },
        inner: {
          description: 'i',
          type: 'object',
          default: { on: true },
          properties: { on: { description: 'o', type: 'boolean', default: true } },
        },
      },
    })
  })

  it('carries rules from zod to the CRD', () => {
    const schema = withRules(z.strictObject({ a: z.boolean().describe('x') }), [
      { cel: 'self.a', message: 'a must be', holds: ({ a }) => a },
    ])
    expect(convert(schema)['x-kubernetes-validations']).toEqual([{ rule: 'self.a', message: 'a must be' }])
  })

  it('is told of every kind: a name, short names, and a list kind', () => {
    expect(customResourceDefinition(sipTrunkKind)).toMatchObject({
      spec: { names: { kind: 'SipTrunk', listKind: 'SipTrunkList', shortNames: ['sipt'], categories: ['sbc'] } },
    })
  })
})

function rulesOf(node: SchemaNode): string[] {
  return ((node['x-kubernetes-validations'] as { rule: string }[] | undefined) ?? []).map(({ rule }) => rule)
}

function holds(rule: string, self: unknown): boolean {
  return evaluate(rule, { self: integers(self) }) === true
}

/** CEL tells integers from doubles; JSON does not. */
function integers(value: unknown): unknown {
  if (typeof value === 'number') return BigInt(value)
  if (Array.isArray(value)) return value.map(integers)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, below]) => [key, integers(below)]))
}

/** The value as the API server sees it: with the defaults of the object that has the rule. */
function withDefaults(value: object, path: string): object {
  const node = all.find((one) => one.path === path)?.node
  const [, , field, ...deeper] = path.split('.')
  if (field === undefined || deeper.length > 0 || node === undefined) return value
  const inner = (value as Record<string, object>)[field] ?? {}
  return { ...value, [field]: { ...(node['default'] as object), ...inner } }
}

/** What is below `VoiceService.spec` at the rest of the path; of a list, its first item. */
function inside(value: object, path: string): unknown {
  let found: unknown = value
  for (const part of path.split('.').slice(2)) {
    const field = (found as Record<string, unknown>)[part.replace('[]', '')]
    found = part.endsWith('[]') ? (field as unknown[])[0] : field
  }
  return found
}
