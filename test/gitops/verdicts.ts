import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { evaluate } from '@marcbachmann/cel-js'
import { LuaFactory } from 'wasmoon'
import { parseAllDocuments } from 'yaml'
import { provide } from '../tools/programs.ts'

/** An object as tools for GitOps see it. */
export interface Observed {
  readonly metadata: { readonly generation?: number; readonly deletionTimestamp?: string }
  readonly status?: object | undefined
}

export type Verdict = 'Terminating' | 'InProgress' | 'Failed' | 'Current'

const folder = join(import.meta.dirname, '../../docs/gitops')

/** The script for Argo CD. */
export const lua = readFileSync(join(folder, 'health.lua'), 'utf8')

/** What kstatus itself makes of objects, as the program of `test/tools/kstatus` prints it. */
export async function kstatus(...objects: readonly Observed[]): Promise<Verdict[]> {
  const { kstatus: program } = await provide('kstatus')
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const asked = execFile(program, (error, answer) => (error === null ? resolve(answer) : reject(error)))
  asked.stdin?.end(objects.map((object) => JSON.stringify({ ...named, ...object })).join('\n'))
  const lines = (await promise).trim().split('\n')
  return lines.map((line) => line.split('\t')[0] as Verdict)
}

const named = { apiVersion: 'sbcfleet.dev/v1alpha1', kind: 'VoiceService' }

/** What the script for Argo CD makes of an object. */
export async function healthInArgoCd(object: Observed): Promise<{ status: string; message: string }> {
  const engine = await new LuaFactory().createEngine()
  try {
    // Through JSON, as a table of Lua and not an object of ours.
    engine.global.set('obj', JSON.parse(JSON.stringify(object)))
    return (await engine.doString(lua)) as { status: string; message: string }
  } finally {
    engine.global.close()
  }
}

/** What each set of expressions for Flux makes of an object. */
export function verdictsOfExpressions(object: Observed): Verdict[] {
  return expressions().map(({ inProgress, failed, current }) => {
    const holds = (expression: string) => evaluate(expression, celOf(object)) === true
    // In this order, as Flux asks.
    if (holds(inProgress)) return 'InProgress'
    if (holds(failed)) return 'Failed'
    return holds(current) ? 'Current' : 'InProgress'
  })
}

interface Expressions {
  readonly inProgress: string
  readonly failed: string
  readonly current: string
}

function expressions(): Expressions[] {
  const documents = parseAllDocuments(readFileSync(join(folder, 'flux.yaml'), 'utf8'))
  const all = Array.isArray(documents)
    ? documents.map((one) => one.toJS() as { spec: { healthCheckExprs?: Expressions[] } })
    : []
  const found = all.flatMap(({ spec }) => spec.healthCheckExprs ?? [])
  if (found.length !== 2) throw new Error(`${found.length} sets of expressions in flux.yaml, not one for each kind`)
  return found
}

/** CEL tells integers from doubles; JSON does not. */
function celOf(value: unknown): Record<string, unknown> {
  return JSON.parse(JSON.stringify(value), (_key, part: unknown) =>
    typeof part === 'number' ? BigInt(part) : part,
  ) as Record<string, unknown>
}
