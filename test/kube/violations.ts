/** The part of an OpenAPI schema that CRDs here use. */
export interface Schema {
  readonly type?: string
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly additionalProperties?: Schema
  readonly enum?: readonly unknown[]
  readonly pattern?: string
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly maxProperties?: number
  readonly 'x-kubernetes-list-type'?: 'map' | 'set' | 'atomic'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[]
}

export type Path = readonly (string | number)[]

/** One way to break one rule of a schema. */
export interface Violation {
  /** Where, as the API server writes it, and how. */
  readonly name: string
  /** What the API server names as the culprit. */
  readonly field: string
  readonly manifest: unknown
}

/** As `spec.targets[0].port`. */
export function fieldOf(path: Path): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .replace(/^\./, '')
}

export function valueAt(manifest: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) => (value as Record<string | number, unknown> | undefined)?.[part],
    manifest,
  )
}

/** A copy of the manifest with another value in one place; undefined takes the field away. */
export function replaced(manifest: unknown, path: Path, value: unknown): unknown {
  const copy = structuredClone(manifest)
  const last = path.at(-1) ?? ''
  const parent = valueAt(copy, path.slice(0, -1)) as Record<string | number, unknown>
  if (value === undefined) delete parent[last]
  else parent[last] = value
  return copy
}

/** A value that keeps every rule about a field and uses every field; rules across fields are not looked at. */
export function sampleOf(schema: Schema): unknown {
  const { type, items, properties, additionalProperties } = schema
  if (schema.enum !== undefined) return schema.default ?? schema.enum[0]
  if (type === 'boolean') return schema.default ?? true
  if (type === 'integer') return schema.default ?? schema.minimum ?? 1
  if (type === 'array') return [sampleOf(items ?? {})]
  if (type === 'string') return schema.default ?? word(schema)
  if (additionalProperties !== undefined) return { example: sampleOf(additionalProperties) }
  return Object.fromEntries(Object.entries(properties ?? {}).map(([name, property]) => [name, sampleOf(property)]))
}

/** The same of only what must be there. */
export function requiredOf(schema: Schema): unknown {
  if (schema.type === 'array') return [requiredOf(schema.items ?? {})]
  if (schema.type !== 'object') return sampleOf(schema)
  const required = schema.required ?? []
  return Object.fromEntries(required.map((name) => [name, requiredOf(schema.properties?.[name] ?? {})]))
}

const words = ['example', '500m', '192.0.2.0/24']

function word({ pattern = '', maxLength = Infinity }: Schema): string {
  const expression = new RegExp(pattern)
  const found = words.find((one) => one.length <= maxLength && expression.test(one))
  if (found === undefined) throw new Error(`nothing here matches ${pattern}: add an example to "words"`)
  return found
}

export interface CelRule {
  readonly message: string
  /** Of the object that it is about. */
  readonly path: Path
}

/** Every rule that a schema says in CEL, and where. */
export function celRules(schema: Schema, path: Path = []): CelRule[] {
  const own = (schema['x-kubernetes-validations'] ?? []).map(({ message }) => ({ message, path }))
  const inside = Object.entries(schema.properties ?? {}).flatMap(([name, part]) => celRules(part, [...path, name]))
  return [...own, ...inside, ...(schema.items === undefined ? [] : celRules(schema.items, [...path, 0]))]
}

/** For every rule of the fields of a manifest, but for those in CEL, the manifest with just that rule broken. */
export function* violations(schema: Schema, manifest: unknown, path: Path): Generator<Violation> {
  const broken = (how: string, value: unknown, at: Path = path, field = fieldOf(at)): Violation => ({
    name: `${fieldOf(at)} ${how}`,
    field,
    manifest: replaced(manifest, at, value),
  })
  const value = valueAt(manifest, path)
  yield broken(`is no ${schema.type}`, schema.type === 'string' || schema.type === 'boolean' ? 7 : 'word')
  if (schema.enum !== undefined) yield broken('is none of those allowed', 'Nonsense')
  if (schema.pattern !== undefined) yield broken('does not match its pattern', ' §')
  if (schema.type === 'integer') yield broken('is a fraction', 1.5)
  if (schema.minimum !== undefined) yield broken('is too small', schema.minimum - 1)
  if (schema.maximum !== undefined) yield broken('is too large', schema.maximum + 1)
  if (schema.minLength !== undefined && schema.minLength > 0) yield broken('is too short', '')
  if (schema.maxLength !== undefined) yield broken('is too long', 'a'.repeat(schema.maxLength + 1))
  yield* brokenList(schema, value, broken)
  if (schema.maxProperties !== undefined) {
    const names = Array.from({ length: schema.maxProperties + 1 }, (_, index) => [`key-${index}`, 'x'])
    yield broken('has too many entries', Object.fromEntries(names))
  }
  for (const name of schema.required ?? []) yield broken('is missing', undefined, [...path, name])
  if (schema.properties !== undefined && schema['x-kubernetes-preserve-unknown-fields'] !== true) {
    yield broken('is an unknown field', 1, [...path, 'unknownField'])
  }
  for (const [name, part] of partsOf(schema, value)) {
    if (valueAt(manifest, [...path, name]) !== undefined) yield* violations(part, manifest, [...path, name])
  }
}

/** What a value consists of: its fields, the first of its items, or the first of its entries. */
function partsOf(schema: Schema, value: unknown): [string | number, Schema][] {
  if (schema.items !== undefined) return [[0, schema.items]]
  const { additionalProperties } = schema
  if (additionalProperties === undefined) return Object.entries(schema.properties ?? {})
  return Object.keys((value ?? {}) as object)
    .slice(0, 1)
    .map((name) => [name, additionalProperties])
}

function* brokenList(schema: Schema, value: unknown, broken: (how: string, value: unknown) => Violation) {
  if (schema.items === undefined || !Array.isArray(value)) return
  const list = value as unknown[]
  const type = schema['x-kubernetes-list-type']
  if (schema.minItems !== undefined && schema.minItems > 0) yield broken('has too few items', [])
  if (schema.maxItems !== undefined) {
    const [name = 'name'] = schema['x-kubernetes-list-map-keys'] ?? []
    const items = Array.from({ length: schema.maxItems + 1 }, (_, index) =>
      another(schema.items ?? {}, list[0], index, name),
    )
    yield broken('has too many items', items)
  }
  if (type === 'set' || type === 'map') yield broken('has an item twice', [...list, list[0]])
}

/** An item like this one, and different from all others. */
function another(schema: Schema, item: unknown, index: number, key: string): unknown {
  if (schema.type === 'integer') return (schema.minimum ?? 0) + index
  if (schema.type === 'object') {
    return key in (schema.properties ?? {}) ? { ...(item as object), [key]: `item-${index}` } : item
  }
  const words = [`item-${index}`, `10.${index >> 8}.${index & 255}.1`]
  return words.find((word) => schema.pattern === undefined || new RegExp(schema.pattern).test(word))
}
