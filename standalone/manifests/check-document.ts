import { isMap } from 'yaml'
import type { z } from 'zod'
import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { apiVersion, VoiceService } from '#api/voice-service.ts'
import { didYouMean, nearest } from '#lib/nearest.ts'
import { explainIssue } from './explain.ts'
import { formatPath, keyPlace, nodeAt, parsePath, placeAt, type Path, type Source } from './locate.ts'
import { resourceName, type Entry, type Manifest, type ManifestProblem } from './manifests.ts'
import { fieldsAt, placesOf } from './schema-fields.ts'

interface Kind {
  readonly name: string
  readonly apiVersion: string
  readonly schema: z.ZodType<Manifest>
  /** Its values are never shown. */
  readonly confidential: boolean
}

const kinds: readonly Kind[] = [
  { name: 'VoiceService', apiVersion, schema: VoiceService, confidential: false },
  { name: 'SipTrunk', apiVersion, schema: SipTrunk, confidential: false },
  { name: 'Secret', apiVersion: 'v1', schema: SecretManifest, confidential: true },
]

const group = apiVersion.slice(0, apiVersion.indexOf('/'))

/** Fields of `metadata` that Kubernetes knows, so that a mistyped one is not passed over. */
const metadataFields = (
  'name namespace labels annotations generation generateName uid resourceVersion selfLink creationTimestamp ' +
  'deletionTimestamp deletionGracePeriodSeconds finalizers ownerReferences managedFields'
).split(' ')

/** What one document says: a resource, refused or not, or nothing that is ours. */
export interface CheckedDocument {
  readonly entry?: Entry
  readonly problems: readonly ManifestProblem[]
  /** False when it cannot be told for sure which resource is meant: any that stood in the file before may be. */
  readonly identified: boolean
}

/** Checks one object of a document, at `base` (the root, or an item of a List). Objects of others are passed over. */
export function checkDocument(source: Source, base: Path, value: unknown): CheckedDocument {
  if (value === null || value === undefined) return { problems: [], identified: true }
  if (!isRecord(value)) {
    const message = 'not a Kubernetes object: a mapping with apiVersion, kind and metadata is expected'
    return { problems: [{ ...placeAt(source, base), message }], identified: false }
  }
  const kind = kinds.find(({ name, apiVersion: version }) => name === value['kind'] && version === value['apiVersion'])
  if (kind === undefined) {
    const problems = kindProblem(source, base, value)
    return { problems, identified: problems.length === 0 }
  }
  return checkKind(source, base, value, kind)
}

function checkKind(source: Source, base: Path, value: Record<string, unknown>, kind: Kind): CheckedDocument {
  const metadata = isRecord(value['metadata']) ? value['metadata'] : {}
  const { name, namespace } = metadata
  const id = resourceName(kind.name, textOr(namespace, 'default'), textOr(name, '(without name)'))
  const parsed = kind.schema.safeParse(value)
  const problems = [
    ...Object.keys(metadata)
      .filter((field) => !metadataFields.includes(field))
      .map((field) => unknownField(source, base, ['metadata', field], metadataFields, '')),
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => issueProblems(source, base, kind, issue))),
  ]
  return {
    problems: problems.map((problem) => ({ ...problem, resource: id })),
    identified: !problems.some(({ field }) => field?.startsWith('metadata')),
    ...(typeof name === 'string' && { entry: entry() }),
  }

  function entry(): Entry {
    return {
      id,
      place: placeAt(source, base),
      manifest: problems.length === 0 ? parsed.data : undefined,
      locate: (field) => placeAt(source, [...base, ...parsePath(field)]),
    }
  }
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise
}

function issueProblems(source: Source, base: Path, kind: Kind, issue: z.core.$ZodIssue): ManifestProblem[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsAt(kind.schema, path)
    return issue.keys.map((key) => unknownField(source, base, [...path, key], known, elsewhere(key, kind, known)))
  }
  const at = [...base, ...path]
  const message = explainIssue(issue, nodeAt(source, at), kind.confidential)
  return [{ ...placeAt(source, at), field: formatPath(path), message }]
}

function unknownField(
  source: Source,
  base: Path,
  path: Path,
  known: readonly string[],
  wayOut: string,
): ManifestProblem {
  const key = String(path.at(-1))
  const hint = didYouMean(key, known) || wayOut || `; known here: ${known.join(', ')}`
  const message = `unknown field "${key}"${hint}`
  return { ...keyPlace(source, [...base, ...path]), field: formatPath(path), message }
}

/** A field that is right, but in the wrong place. */
function elsewhere(key: string, kind: Kind, known: readonly string[]): string {
  if (nearest(key, known) !== undefined) return ''
  const places = placesOf(key, kind.schema)
  return places.length === 0 ? '' : `; it belongs at ${places.slice(0, 3).join(' or ')}`
}

/** Objects of other groups are none of our business, unless they look like a slip of the pen. */
function kindProblem(source: Source, base: Path, value: Record<string, unknown>): ManifestProblem[] {
  const { apiVersion: version, kind } = value
  const at = (field: string, message: string) => [{ ...placeAt(source, [...base, field]), field, message }]
  if (typeof version !== 'string') {
    return at('apiVersion', `is required, as ${apiVersion}${typeof kind === 'string' ? ` for kind ${kind}` : ''}`)
  }
  const ours = version === group || version.startsWith(`${group}/`)
  if (typeof kind !== 'string') {
    return ours ? at('kind', `is required: ${kindNames(version).join(' or ')}`) : []
  }
  const exact = kinds.find(({ name }) => name === kind)
  if (exact !== undefined) {
    const slip = exact.apiVersion !== 'v1' || nearest(version, ['v1']) !== undefined
    return slip ? at('apiVersion', `"${version}" has no ${kind}; it is ${exact.apiVersion}`) : []
  }
  const meant = nearest(kind, kindNames(version))
  if (!ours && meant === undefined) return []
  const message = `unknown kind "${kind}" in ${version}`
  return at(
    'kind',
    meant === undefined
      ? `${message}; known: ${kindNames(version).join(', ')}`
      : `${message}; did you mean "${meant}"?`,
  )
}

/** Kinds that a document of that apiVersion can mean. */
function kindNames(version: string): string[] {
  const near = version.startsWith(group) || nearest(version, [apiVersion]) !== undefined
  return kinds
    .filter((kind) => (kind.apiVersion === apiVersion ? near : kind.apiVersion === version))
    .map(({ name }) => name)
}

/** Items of a `v1/List`, as `kubectl get -o yaml` prints several objects; else the document itself. */
export function objectsOf(value: unknown, source: Source): { base: Path; value: unknown }[] {
  if (!isRecord(value) || value['kind'] !== 'List' || value['apiVersion'] !== 'v1') return [{ base: [], value }]
  const items = value['items']
  if (!Array.isArray(items) || !isMap(source.document.contents)) return []
  return items.map((item: unknown, index) => ({ base: ['items', index], value: item }))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
