import type { KubeObject, Resource } from '../kube/resource.ts'

/** An object as it is applied: only the fields that we own. */
export interface Manifest extends KubeObject {
  readonly spec?: object
  readonly data?: Readonly<Record<string, string>>
  readonly automountServiceAccountToken?: boolean
}

const builtIn = (group: string, kind: string, plural: string): Resource<Manifest> => ({
  group,
  version: 'v1',
  kind,
  plural,
  namespaced: true,
})

export const configMaps = builtIn('', 'ConfigMap', 'configmaps')
export const serviceAccounts = builtIn('', 'ServiceAccount', 'serviceaccounts')
export const services = builtIn('', 'Service', 'services')
export const statefulSets = builtIn('apps', 'StatefulSet', 'statefulsets')
export const networkPolicies = builtIn('networking.k8s.io', 'NetworkPolicy', 'networkpolicies')
export const podDisruptionBudgets = builtIn('policy', 'PodDisruptionBudget', 'poddisruptionbudgets')
