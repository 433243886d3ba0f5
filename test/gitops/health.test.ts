import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { unreadableStatus, withProgress } from '../../operator/report/progress.ts'
import { statusOf, type FleetView } from '../../operator/report/status-of.ts'
import { now, portInUse, replica, target, view } from '../../operator/report/testing/fleet.ts'
import { longestStart } from '../kube/control-plane.ts'
import { obstacle, provide } from '../tools/programs.ts'
import { healthInArgoCd, kstatus, lua, type Observed, type Verdict, verdictsOfExpressions } from './verdicts.ts'

const folder = join(import.meta.dirname, '../../docs/gitops')
const stamp = { generation: 5, previous: undefined, now }

/** A VoiceService of generation 5 as the operator leaves it. */
function fleet(changes: Partial<FleetView>): Observed {
  return { metadata: { generation: 5 }, status: withProgress(statusOf(view(changes)).voiceService, stamp) }
}

/** What tools must make of an object: kstatus, as Flux has it, and Argo CD's word. */
const cases: readonly [string, Observed, Verdict, string][] = [
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

describe.skipIf(obstacle(['kstatus']) !== undefined)('by kstatus itself, a resource that', () => {
  beforeAll(async () => void (await provide('kstatus')), longestStart)

  it.each(cases)('%s has the right verdict of kstatus', async (_what, object, expected) => {
    expect(await kstatus(object)).toEqual([expected])
  })

  it.each(cases)('%s has the right health in Argo CD', async (_what, object, _kstatus, expected) => {
    expect(await healthInArgoCd(object)).toMatchObject({ status: expected, message: expect.stringMatching(/./) })
  })

  it.each(cases)('%s has the right verdict of the expressions for Flux', (_what, object, expected) => {
    expect(verdictsOfExpressions(object)).toEqual([expected, expected])
  })

  it('the operator has not seen is in progress for Argo CD', async () => {
    expect(await healthInArgoCd({ metadata: { generation: 1 } })).toMatchObject({ status: 'Progressing' })
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
