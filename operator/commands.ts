import { systemClock as clock } from '#lib/clock.ts'
import { sipTrunks } from './cluster.ts'
import { unregisterFinalizer } from './finalizer.ts'
import { isConflict, isNotFound } from './kube/api-error.ts'
import { KubeClient } from './kube/client.ts'
import type { KubeObject } from './kube/resource.ts'
import { configFromSurroundings } from './kube/kubeconfig.ts'

/** What the operator's program does besides running: small jobs that the chart needs done in the cluster. */
export const commands: Readonly<Record<string, (args: readonly string[]) => Promise<string>>> = {
  'release-finalizers': ([namespaces = '']) => releaseFinalizers(namespaces.split(',').filter((name) => name !== '')),
  ask: ([url = '']) => ask(url),
}

/**
 * Takes our finalizer from all SipTrunks, so that they can be deleted with no operator there. To be run when the operator
 * is gone, since it would put it back.
 */
async function releaseFinalizers(namespaces: readonly string[]): Promise<string> {
  const api = new KubeClient({ config: configFromSurroundings(), clock })
  let released = 0
  for (const namespace of namespaces.length === 0 ? [undefined] : namespaces) {
    const { items } = await listTrunks(api, namespace)
    for (const trunk of items) if (await release(api, trunk)) released++
  }
  api.close()
  return `released ${released} SipTrunks`
}

async function listTrunks(api: KubeClient, namespace: string | undefined): Promise<{ items: readonly KubeObject[] }> {
  try {
    return await api.list(sipTrunks, { namespace })
  } catch (error) {
    // The CustomResourceDefinition went before, and all SipTrunks with it.
    if (isNotFound(error)) return { items: [] }
    throw error
  }
}

async function release(api: KubeClient, { metadata }: KubeObject): Promise<boolean> {
  const { finalizers = [], resourceVersion } = metadata
  if (!finalizers.includes(unregisterFinalizer)) return false
  const others = finalizers.filter((one) => one !== unregisterFinalizer)
  try {
    await api.patch(sipTrunks, metadata, { metadata: { resourceVersion, finalizers: others } })
    return true
  } catch (error) {
    if (isNotFound(error)) return false
    if (!isConflict(error)) throw error
    return release(api, await api.get(sipTrunks, metadata))
  }
}

/** Rejects unless what is asked answers that it is well. */
async function ask(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) })
  const text = (await response.text()).trim()
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${text}`)
  return text
}
