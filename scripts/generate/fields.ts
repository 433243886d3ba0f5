import type { SchemaNode } from './structural.ts'

/** A row of a reference table. */
export interface Field {
  readonly path: string
  readonly required: boolean
  readonly type: string
  readonly bounds: string
  readonly default: string
  readonly description: string
}

/** Every field of an object schema and of what is in it, in the order of the schema. */
export function fieldsOf(schema: SchemaNode, path: string): Field[] {
  const required = new Set(schema['required'] as string[] | undefined)
  return Object.entries((schema['properties'] as SchemaNode | undefined) ?? {}).flatMap(([name, value]) => {
    const node = shapeOf(value as SchemaNode)
    const below = path === '' ? name : `${path}.${name}`
    return [field(node, below, required.has(name)), ...fieldsInside(node, below)]
  })
}

function fieldsInside(node: SchemaNode, path: string): Field[] {
  if (node['items'] !== undefined) return fieldsOf(shapeOf(node['items'] as SchemaNode), `${path}[]`)
  return fieldsOf(node, path)
}

function field(node: SchemaNode, path: string, required: boolean): Field {
  return {
    path,
    required: required && node['default'] === undefined,
    type: typeOf(node),
    bounds: boundsOf(node),
    default: node['default'] === undefined || typeOf(node) === 'object' ? '' : `\`${JSON.stringify(node['default'])}\``,
    description: typeof node['description'] === 'string' ? node['description'] : '',
  }
}

/** Of alternatives the one that says something, as a secret that is a text on the wire. */
function shapeOf(node: SchemaNode): SchemaNode {
  const alternatives = node['anyOf'] as SchemaNode[] | undefined
  return { ...node, ...alternatives?.find(({ type }) => type !== undefined) }
}

function typeOf(node: SchemaNode): string {
  if (typeof node['const'] === 'string') return `\`${node['const']}\``
  const values = node['enum'] as string[] | undefined
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(', ')
  if (node['type'] === 'array') return `list of ${typeOf(shapeOf((node['items'] as SchemaNode | undefined) ?? {}))}`
  if (node['format'] === 'date-time') return 'time'
  if (node['additionalProperties'] instanceof Object && node['properties'] === undefined) {
    return `map to ${typeOf(node['additionalProperties'] as SchemaNode)}`
  }
  if (Array.isArray(node['type'])) return node['type'].join(' or ')
  return typeof node['type'] === 'string' ? node['type'] : 'any'
}

function boundsOf(node: SchemaNode): string {
  const form = typeof node['form'] === 'string' ? [node['form']] : []
  const range = [
    span(node['minimum'], node['maximum'], ''),
    span(node['minLength'], node['maxLength'], ' characters'),
    span(node['minItems'], node['maxItems'], ' entries'),
  ]
  const items = node['type'] === 'array' ? boundsOf(shapeOf((node['items'] as SchemaNode | undefined) ?? {})) : ''
  const each = items === '' ? [] : [`each ${items}`]
  return [...form, ...range.filter((part) => part !== ''), ...each].join('; ')
}

function span(least: unknown, greatest: unknown, unit: string): string {
  const low = typeof least === 'number' && least > Number.MIN_SAFE_INTEGER ? least : undefined
  const high = typeof greatest === 'number' && greatest < Number.MAX_SAFE_INTEGER ? greatest : undefined
  if (low !== undefined && high !== undefined) return low === high ? `${low}${unit}` : `${low}–${high}${unit}`
  if (high !== undefined) return `at most ${high}${unit}`
  return low === undefined || (unit !== '' && low === 0) ? '' : `at least ${low}${unit}`
}
