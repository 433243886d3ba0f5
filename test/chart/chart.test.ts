import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { clientOf } from '../kube/cluster.ts'
import { type ControlPlane, longestStart, startControlPlane } from '../kube/control-plane.ts'
import { kubernetesVersion, provide } from '../tools/programs.ts'
import { writeSchemas } from './kubernetes-schemas.ts'

interface Manifest {
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly annotations?: Record<string, string>
  }
  readonly rules?: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[]
  readonly spec?: { readonly template?: { readonly spec: object } }
}

const root = join(import.meta.dirname, '../..')
const chart = join(root, 'charts/sbcfleet')
const everything = [
  ...['metrics.serviceMonitor.enabled=true', 'metrics.prometheusRule.enabled=true'],
  ...['tls.issuer=CertManager', 'tls.certManager.issuerRef.name=issuer', 'watchNamespaces={voice,lab}'],
]
/** Kinds of others, which only their operators' CustomResourceDefinitions describe. */
const foreign = ['Certificate', 'ServiceMonitor', 'PodMonitor', 'PrometheusRule', 'CustomResourceDefinition']

describe.skipIf(!inject('kubernetes'))('the chart', () => {
  let programs: Awaited<ReturnType<typeof provide<'helm' | 'kubeconform' | 'kubectl'>>>
  let plane: ControlPlane
  let folder: string

  const args = (values: readonly string[]) => values.flatMap((value) => ['--set', value])
  const render = (values: readonly string[] = []) =>
    execFileSync(
      programs.helm,
      ['template', 'sbcfleet', chart, '-n', 'sbcfleet', '--kube-version', kubernetesVersion, ...args(values)],
      { encoding: 'utf8' },
    )
  const manifests = (values: readonly string[] = []) => {
    const documents = parseAllDocuments(render(values))
    return (Array.isArray(documents) ? documents : []).flatMap((one) => (one.toJS() as Manifest | null) ?? [])
  }
  const conforms = (files: readonly string[], schemas: string, skip: readonly string[] = []) =>
    spawnSync(
      programs.kubeconform,
      [
        '-strict',
        '-summary',
        ...['-schema-location', schemas],
        ...(skip.length > 0 ? ['-skip', skip.join(',')] : []),
        ...files,
      ],
      { encoding: 'utf8' },
    )

  beforeAll(async () => {
    programs = await provide('helm', 'kubeconform', 'kubectl')
    plane = await startControlPlane()
    folder = mkdtempSync(join(tmpdir(), 'sbcfleet-chart-'))
    writeSchemas(await clientOf(plane).read('/openapi/v2'), join(folder, 'schemas'))
  }, longestStart)
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    await plane?.stop()
  })

  it('passes helm lint --strict', () => {
    const { status, stdout } = spawnSync(programs.helm, ['lint', '--strict', chart, ...args(everything)], {
      encoding: 'utf8',
    })
    expect(status, stdout).toBe(0)
  })

  it.each([
    ['as it is', []],
    ['with everything', everything],
  ])('passes kubeconform -strict %s', (_how, values) => {
    const file = join(folder, 'rendered.yaml')
    writeFileSync(file, render(values))
    const { status, stdout, stderr } = conforms(
      [file],
      join(folder, 'schemas/{{.ResourceKind}}{{.KindSuffix}}.json'),
      foreign,
    )
    expect(status, stdout + stderr).toBe(0)
    expect(stdout).toMatch(/Valid: [1-9]/)
  })

  it.each([
    ['of the age that some builds of Helm take every cluster for', 'v1.20.0', ''],
    ['that is too old', 'v1.30.7', 'sbcfleet needs Kubernetes 1.31 or newer, and this cluster has v1.30.7'],
    ['that is too old, of a cloud', 'v1.30.5-gke.1443001', 'sbcfleet needs Kubernetes 1.31 or newer'],
    ['of the first version that does', 'v1.31.0', ''],
    ['of a pre-release', 'v1.31.0-rc.1', ''],
    ['of a cloud', 'v1.33.5-eks-3025e55', ''],
  ])('is rendered for a cluster %s, or says why not', (_which, version, words) => {
    const { status, stderr } = spawnSync(programs.helm, ['template', 'x', chart, '--kube-version', version], {
      encoding: 'utf8',
    })
    expect(status, stderr).toBe(words === '' ? 0 : 1)
    expect(stderr).toContain(words)
  })

  it('would not pass kubeconform with a field that does not exist', () => {
    const file = join(folder, 'wrong.yaml')
    writeFileSync(file, render().replace('runAsNonRoot:', 'runAsNonRooot:'))
    expect(conforms([file], join(folder, 'schemas/{{.ResourceKind}}{{.KindSuffix}}.json'), foreign).status).toBe(1)
  })

  it('goes with examples that pass kubeconform -strict', () => {
    const examples = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' })
    const files = examples.filter((name) => name.endsWith('.yaml')).map((name) => join(root, 'examples', name))
    const { status, stdout, stderr } = conforms(
      files,
      join(root, 'docs/schemas/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json'),
      ['Secret'],
    )
    expect(status, stdout + stderr).toBe(0)
    expect(stdout).toMatch(/Valid: [1-9]/)
  })

  it('is taken by a real API server, restricted pod security included', async () => {
    const kubectl = (...words: string[]) =>
      execFileSync(programs.kubectl, words, { encoding: 'utf8', env: { ...process.env, KUBECONFIG: plane.kubeconfig } })
    kubectl('create', 'namespace', 'sbcfleet')
    kubectl(
      'label',
      'namespace',
      'sbcfleet',
      'pod-security.kubernetes.io/enforce=restricted',
      'pod-security.kubernetes.io/warn=restricted',
    )
    const file = join(folder, 'applied.yaml')
    writeFileSync(file, render())
    const { status, stderr } = spawnSync(programs.kubectl, ['apply', '--server-side', '-f', file, '-n', 'sbcfleet'], {
      encoding: 'utf8',
      env: { ...process.env, KUBECONFIG: plane.kubeconfig },
    })
    // A Pod needs the ServiceAccount that only a controller makes.
    const complaints = stderr
      .split('\n')
      .filter((line) => line !== '' && !line.includes('serviceaccount "default" not found'))
    expect(complaints).toEqual([])
    expect([0, 1]).toContain(status)
  })

  it.each([
    ['an unknown value', 'replica=3', 'replica'],
    ['a value of the wrong type', 'crds.enabled=3', 'enabled'],
    ['no replica', 'replicas=0', 'replicas'],
    ['an unknown issuer', 'tls.issuer=Nobody', 'issuer'],
    ['cert-manager without its issuer', 'tls.issuer=CertManager', 'issuerRef'],
    ['a Secret without a name', 'tls.issuer=Secret', 'secretName'],
    ['a digest that is none', 'image.digest=latest', 'digest'],
    ['an unknown value deep inside', 'metrics.serviceMonitor.period=1', 'serviceMonitor'],
    ['a name that no object can have', 'fullnameOverride=My_Fleet', 'fullnameOverride'],
    ['a label that the selector needs', 'podLabels.app\\.kubernetes\\.io/name=mine', 'podLabels'],
    ['a spread without its skew', 'topologySpreadConstraints[0].topologyKey=zone', 'topologySpreadConstraints'],
    ['a namespace that cannot be', 'watchNamespaces={Voice}', 'watchNamespaces'],
  ])('refuses %s', (_what, value, field) => {
    const { status, stderr } = spawnSync(
      programs.helm,
      ['template', 'x', chart, '--kube-version', kubernetesVersion, '--set', value],
      { encoding: 'utf8' },
    )
    expect(status).toBe(1)
    expect(stderr).toContain(field)
  })

  it('has no right to anything outside of the watched namespaces, but to ask whose a token is', () => {
    const all = manifests(['watchNamespaces={voice,lab}']).filter(
      ({ metadata }) => metadata.annotations?.['helm.sh/hook'] === undefined,
    )
    const clusterWide = all.filter(({ kind }) => kind === 'ClusterRole')
    expect(
      clusterWide.flatMap(({ rules = [] }) => rules.map(({ resources, verbs }) => ({ resources, verbs }))),
    ).toEqual([{ resources: ['tokenreviews'], verbs: ['create'] }])
    const roles = all.filter(({ kind }) => kind === 'Role').map(({ metadata }) => metadata.namespace)
    expect(roles).toEqual(
      ['sbcfleet', 'sbcfleet', 'lab', 'voice'].toSorted((a, b) => roles.indexOf(a) - roles.indexOf(b)),
    )
  })

  it('never asks for all verbs, all resources, or to delete', () => {
    for (const { rules = [], metadata } of manifests()) {
      for (const { verbs, resources } of rules) {
        expect([...verbs, ...resources], metadata.name).not.toContain('*')
        expect(verbs, metadata.name).not.toContain('delete')
      }
    }
  })

  it('keeps the CustomResourceDefinitions when it is uninstalled, and leaves them out when told to', () => {
    const definitions = (values?: readonly string[]) =>
      manifests(values).filter(({ kind }) => kind === 'CustomResourceDefinition')
    expect(definitions().map(({ metadata }) => metadata.annotations?.['helm.sh/resource-policy'])).toEqual([
      'keep',
      'keep',
    ])
    expect(definitions(['crds.enabled=false'])).toEqual([])
  })
})
