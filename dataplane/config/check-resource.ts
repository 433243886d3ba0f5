import type { z } from 'zod'
import { Resource } from '#api/snapshot.ts'
import type { ResourceError } from '#api/wire.ts'
import { certificateTrouble } from './listener-socket.ts'
import { compileRoute } from '../policy/route-order.ts'

export type CheckedResource = { readonly resource: Resource } | { readonly error: ResourceError }

/**
 * One resource as it came over the wire: sound, or refused with the field and the cause. Undefined when not even its key
 * and version can be read, so that there is nothing to refuse by name.
 */
export function checkResource(value: unknown): CheckedResource | undefined {
  const name = nameOf(value)
  if (name === undefined) return undefined
  const result = Resource.safeParse(value)
  if (!result.success) return { error: { ...name, code: 'Invalid', ...firstIssue(result.error) } }
  const resource = result.data
  const { body } = resource
  if (resource.key !== `${body.type}/${body.name}`) {
    const message = `the resource is named ${body.type}/${body.name} inside; key and content must agree`
    return { error: { ...name, code: 'Invalid', field: 'key', message } }
  }
  if (body.type === 'Listener') {
    const trouble = certificateTrouble(body)
    if (trouble === undefined) return { resource }
    const message = `the certificate of listener ${body.name} cannot be used: ${trouble}`
    return { error: { ...name, code: 'Invalid', field: 'body.tls', message } }
  }
  if (body.type !== 'Route') return { resource }
  try {
    compileRoute(body)
    return { resource }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { error: { ...name, code: 'Invalid', field: 'body.match', message } }
  }
}

function nameOf(value: unknown): { key: string; version: string } | undefined {
  if (typeof value !== 'object' || value === null || !('key' in value) || !('version' in value)) return undefined
  const { key, version } = value
  if (typeof key !== 'string' || key.length < 3 || key.length > 600 || typeof version !== 'string') return undefined
  return { key, version }
}

function firstIssue({ issues }: z.ZodError): { field: string; message: string } {
  const issue = issues[0]
  if (issue === undefined) return { field: '', message: 'does not have the expected form' }
  if (issue.code !== 'unrecognized_keys') return { field: spell(issue.path), message: issue.message }
  const field = spell([...issue.path, issue.keys[0] ?? ''])
  return { field, message: 'this release does not know the field; run the same release on both sides' }
}

/** `body.targets[0].host` */
function spell(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? String(part) : `.${String(part)}`))
    .join('')
}
