import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

type Node = Record<string, unknown>

interface OpenApi {
  readonly definitions: Readonly<Record<string, Node>>
}

/**
 * Writes what an API server says of its kinds (`/openapi/v2`) as JSON schemas for kubeconform, one file a kind, that allow
 * no field they do not name. The location template is `FOLDER/{{.ResourceKind}}{{.KindSuffix}}.json`.
 */
export function writeSchemas(openApi: OpenApi, folder: string): void {
  mkdirSync(folder, { recursive: true })
  const definitions = Object.fromEntries(
    Object.entries(openApi.definitions).map(([name, node]) => [name, strict(node)]),
  )
  writeFileSync(join(folder, 'definitions.json'), JSON.stringify({ definitions }))
  for (const [name, definition] of Object.entries(openApi.definitions)) {
    const kinds =
      (definition['x-kubernetes-group-version-kind'] as { group: string; version: string; kind: string }[]) ?? []
    if (kinds.length !== 1) continue
    for (const { group, version, kind } of kinds) {
      const suffix = group === '' ? version : `${group.split('.')[0]}-${version}`
      const schema = { $ref: `definitions.json#/definitions/${name}` }
      writeFileSync(join(folder, `${kind.toLowerCase()}-${suffix}.json`), JSON.stringify(schema))
    }
  }
}

function strict(node: Node): Node {
  if (node['format'] === 'int-or-string') return {}
  const result: Node = {}
  for (const [keyword, value] of Object.entries(node)) {
    if (keyword === 'properties') result[keyword] = mapValues(value as Record<string, Node>)
    else if (keyword === 'items' || (keyword === 'additionalProperties' && typeof value === 'object')) {
      result[keyword] = strict(value as Node)
    } else if (keyword === '$ref') result[keyword] = String(value).replace('#/', 'definitions.json#/')
    else if (keyword !== 'format' && !keyword.startsWith('x-')) result[keyword] = value
  }
  const isClosed = node['properties'] !== undefined && node['x-kubernetes-preserve-unknown-fields'] !== true
  return isClosed ? { additionalProperties: false, ...result } : result
}

function mapValues(fields: Record<string, Node>): Record<string, Node> {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, strict(field)]))
}
