import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { evaluate } from '@marcbachmann/cel-js'
import { describe, expect, it } from 'vitest'
import { LuaFactory } from 'wasmoon'
import { parse, parseAllDocuments } from 'yaml'
import { unreadableStatus, withProgress } from '../../operator/report/progress.ts'
import { statusOf, type FleetView } from '../../operator/report/status-of.ts'
import { now, portInUse, replica, target, view } from '../../operator/report/testing/fleet.ts'
import { kstatus, type Observed } from './kstatus.ts'

const folder = join(import.meta.dirname, '../../docs/gitops')
const lua = readFileSync(join(folder, 'health.lua'), 'utf8')
const stamp = { generation: 5, previous: undefined, now }

/** A VoiceService of generation 5 as the operator leaves it. */
function fleet(changes: Partial<FleetView>): Observed {
  return { metadata: { generation: 5 }, status: withProgress(statusOf(view(changes)).voiceService, stamp) }
}

/** What tools must make of an object: kstatus, as Flux has it, and Argo CD's word. */
const cases: readonly [string, Observed, ReturnType<typeof kstatus>, string][] = [
  ['runs on every replica', fleet({}), 'Current', 'Healthy'],
  ['waits for a replica', fleet({ replicas: [replica('edge-0')] }), 'InProgress', 'Progressing'],
  ['has no replica yet', fleet({ replicas: [] }), 'InProgress', 'Progressing'],
  [
    'was refused by a replica',
    fleet({
      replicas: [
        replica('edge-0'),
        replica('edge-1', { versions: { 'Listener/udp': 'l1' }, errors: [portInUse('l2')] }),
      ],
    }),
    'Failed',
    'Degraded',
  ],
  ['was refused by the API server', fleet({ refused: 'StatefulSet edge: no' }), 'Failed', 'Degraded'],
  [
    'cannot be read',
    { metadata: { generation: 5 }, status: withProgress(unreadableStatus('spec.engine: unknown', stamp), stamp) },
    'Failed',
    'Degraded',
  ],
  ['was changed since', { ...fleet({}), metadata: { generation: 6 } }, 'InProgress', 'Progressing'],
  [
    'has a peer that does not answer',
    fleet({ replicas: [replica('edge-0', { report: { targets: [target('a', 'Down')] } }), replica('edge-1')] }),
    'Current',
    'Healthy',
  ],
]

describe('a resource that', () => {
  it.each(cases)('%s has the right verdict of kstatus', (_what, object, expected) => {
    expect(kstatus(object)).toBe(expected)
  })

  it.each(cases)('%s has the right health in Argo CD', async (_what, object, _kstatus, expected) => {
    expect(await healthOf(object)).toMatchObject({ status: expected, message: expect.stringMatching(/./) })
  })

  it.each(cases)('%s has the right verdict of the expressions for Flux', (_what, object, expected) => {
    for (const { inProgress, failed, current } of expressions()) {
      const holds = (expression: string) => evaluate(expression, celOf(object)) === true
      // In this order, as Flux asks.
      const verdict = holds(inProgress)
        ? 'InProgress'
        : holds(failed)
          ? 'Failed'
          : holds(current)
            ? 'Current'
            : 'InProgress'
      expect(verdict).toBe(expected)
    }
  })

  it('the operator has not seen is in progress for Argo CD', async () => {
    expect(await healthOf({ metadata: { generation: 1 } })).toMatchObject({ status: 'Progressing' })
  })
})

describe('the ConfigMap for Argo CD', () => {
  it('has the script for both kinds', () => {
    const { data } = parse(readFileSync(join(folder, 'argocd-cm.yaml'), 'utf8')) as { data: Record<string, string> }
    expect(data).toEqual({
      'resource.customizations.health.sbcfleet.dev_SipTrunk': lua,
      'resource.customizations.health.sbcfleet.dev_VoiceService': lua,
    })
  })
})

async function healthOf(obj: Observed): Promise<unknown> {
  const engine = await new LuaFactory().createEngine()
  try {
    // Through JSON, as a table of Lua and not an object of ours.
    engine.global.set('obj', JSON.parse(JSON.stringify(obj)))
    return await engine.doString(lua)
  } finally {
    engine.global.close()
  }
}

function expressions(): { inProgress: string; failed: string; current: string }[] {
  const documents = parseAllDocuments(readFileSync(join(folder, 'flux.yaml'), 'utf8'))
  const all = Array.isArray(documents)
    ? documents.map((one) => one.toJS() as { spec: { healthCheckExprs?: object[] } })
    : []
  const found = all.flatMap(({ spec }) => (spec.healthCheckExprs ?? []) as ReturnType<typeof expressions>)
  expect(found).toHaveLength(2)
  return found
}

/** CEL tells integers from doubles; JSON does not. */
function celOf(value: unknown): Record<string, unknown> {
  return JSON.parse(JSON.stringify(value), (_key, part: unknown) =>
    typeof part === 'number' ? BigInt(part) : part,
  ) as Record<string, unknown>
}
