import { kinds, group, version } from '#api/kinds.ts'
import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import { isNotFound } from './kube/api-error.ts'
import type { KubeClient } from './kube/client.ts'
import { pause } from './kube/pause.ts'

const retryMilliseconds = 5_000

/**
 * Resolves when the API server serves all our kinds in our version. Until then it says what is missing and what to do, and
 * looks again: CustomResourceDefinitions may be installed after the operator. Rejects when the signal aborts.
 */
export async function waitForKinds(
  { api, clock, log }: { api: Pick<KubeClient, 'read'>; clock: Clock; log: Log },
  signal: AbortSignal,
): Promise<void> {
  for (let told = ''; ;) {
    const problem = await missingKinds(api, signal)
    if (problem === undefined) return
    if (problem !== told) log.error({ reason: problem }, 'waiting for the CustomResourceDefinitions')
    told = problem
    await pause(clock, retryMilliseconds, signal)
    signal.throwIfAborted()
  }
}

async function missingKinds(api: Pick<KubeClient, 'read'>, signal: AbortSignal): Promise<string | undefined> {
  const wayOut = 'apply crds/ of this release, or install the chart with crds.enabled=true'
  try {
    const { resources = [] } = await api.read<{ resources?: { kind: string }[] }>(`/apis/${group}/${version}`, signal)
    const served = new Set(resources.map(({ kind }) => kind))
    const missing = kinds.filter(({ kind }) => !served.has(kind)).map(({ kind }) => kind)
    return missing.length === 0 ? undefined : `${group}/${version} has no ${missing.join(' and no ')}: ${wayOut}`
  } catch (error) {
    if (!isNotFound(error)) return `the API server cannot be asked: ${messageOf(error)}`
    const others = await servedVersions(api, signal)
    if (others.length === 0) return `the API server does not serve ${group}/${version}: ${wayOut}`
    const found = `the API server serves ${group} as ${others.join(' and ')}, and this release only knows ${version}`
    return `${found}: run the release of the operator that belongs to the CustomResourceDefinitions, or ${wayOut}`
  }
}

/** Versions of our kinds that are served, as those of another release; none when the kinds are not there at all. */
async function servedVersions(api: Pick<KubeClient, 'read'>, signal: AbortSignal): Promise<string[]> {
  try {
    const { versions = [] } = await api.read<{ versions?: { version: string }[] }>(`/apis/${group}`, signal)
    return versions.map((one) => one.version)
  } catch {
    return []
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
