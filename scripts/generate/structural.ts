/** A node of JSON Schema as zod writes it, or of the structural schema that is made of it. */
export type SchemaNode = Record<string, unknown>

/** Keywords that are taken over as they are. Anything that is in no list below is refused. */
const kept = new Set(
  (
    'description type format default enum pattern minLength maxLength minimum maximum minItems maxItems required ' +
    'maxProperties x-kubernetes-list-type x-kubernetes-list-map-keys x-kubernetes-validations ' +
    'x-kubernetes-preserve-unknown-fields x-kubernetes-map-type'
  ).split(' '),
)

/** Order of keywords in the output. */
const order = [...kept, 'items', 'additionalProperties', 'properties']

/**
 * Turns JSON Schema into a structural schema as apiextensions/v1 demands it, or throws and names the path. Beyond what
 * Kubernetes demands, every list has a list type and every list and text a greatest length, since the cost of CEL rules
 * is estimated from them, and every field has a description.
 */
export function structural(node: SchemaNode, path: string): SchemaNode {
  const result: SchemaNode = {}
  for (const [keyword, value] of Object.entries(node)) {
    if (keyword === 'properties') result[keyword] = properties(value as SchemaNode, path)
    else if (keyword === 'items') result[keyword] = structural(value as SchemaNode, `${path}[]`)
    else if (kept.has(keyword)) result[keyword] = value
    // Kubernetes prunes what a schema does not name; strictness is for those who read files.
    else if (keyword === 'additionalProperties' && isOpen(node, value)) continue
    else if (keyword === 'additionalProperties') result[keyword] = structural(value as SchemaNode, `${path}.*`)
    // What keys of a map look like cannot be said in a structural schema.
    else if (keyword === 'propertyNames') continue
    else if (keyword === 'form') continue
    else throw new Error(`${path}: "${keyword}" has no place in a structural schema`)
  }
  checkType(result, path)
  if (isObject(result['default'])) result['default'] = filled(result['default'], result)
  return Object.fromEntries(order.filter((keyword) => keyword in result).map((keyword) => [keyword, result[keyword]]))
}

/** Whether the word on further fields is nothing for Kubernetes: there are none, or anything is preserved. */
function isOpen(node: SchemaNode, further: unknown): boolean {
  return further === false || node['x-kubernetes-preserve-unknown-fields'] === true
}

/** The API server checks a default against the CEL rules before it fills in the defaults inside; so they stand in it. */
function filled(value: object, node: SchemaNode): SchemaNode {
  const fields = Object.entries((node['properties'] as Record<string, SchemaNode> | undefined) ?? {})
  const defaults = fields.flatMap(([name, field]) => ('default' in field ? [[name, field['default']] as const] : []))
  return { ...Object.fromEntries(defaults), ...value }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function properties(fields: SchemaNode, path: string): SchemaNode {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => {
      const below = structural(field as SchemaNode, `${path}.${name}`)
      if (typeof below['description'] !== 'string') throw new Error(`${path}.${name}: has no description`)
      return [name, below]
    }),
  )
}

function checkType(node: SchemaNode, path: string): void {
  const missing = (keyword: string) => {
    if (node[keyword] === undefined) throw new Error(`${path}: has no ${keyword}`)
  }
  switch (node['type']) {
    case 'object':
      if (node['x-kubernetes-preserve-unknown-fields'] === true) return
      return node['additionalProperties'] === undefined ? missing('properties') : missing('maxProperties')
    case 'array':
      for (const keyword of ['items', 'maxItems', 'x-kubernetes-list-type']) missing(keyword)
      return
    case 'string':
      return checkString(node, path)
    case 'integer':
      return sizeInteger(node)
    case 'boolean':
      return
    default:
      throw new Error(
        `${path}: "type" is ${JSON.stringify(node['type'])}; give it one of the types of a structural schema`,
      )
  }
}

function checkString(node: SchemaNode, path: string): void {
  if (node['format'] === 'date-time') {
    // The API server parses times itself; zod's pattern only repeats that at length.
    delete node['pattern']
    return
  }
  if (node['enum'] === undefined && node['maxLength'] === undefined) throw new Error(`${path}: has no maxLength`)
}

/** zod bounds integers by what a double can hold; Kubernetes knows them by their format. */
function sizeInteger(node: SchemaNode): void {
  if (node['minimum'] === Number.MIN_SAFE_INTEGER) delete node['minimum']
  if (node['maximum'] === Number.MAX_SAFE_INTEGER) delete node['maximum']
  const small = typeof node['maximum'] === 'number' && node['maximum'] < 2 ** 31
  node['format'] = small ? 'int32' : 'int64'
}
