/** An object as tools for GitOps see it. */
export interface Observed {
  readonly metadata: { readonly generation: number; readonly deletionTimestamp?: string }
  readonly status?: {
    readonly observedGeneration?: number | undefined
    readonly conditions?:
      | readonly { readonly type: string; readonly status: string; readonly message: string }[]
      | undefined
  }
}

/** The verdict of kstatus on a custom resource: cli-utils, pkg/kstatus/status, its rules in their order. */
export function kstatus({ metadata, status }: Observed): 'Terminating' | 'InProgress' | 'Failed' | 'Current' {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating'
  if (status?.observedGeneration !== undefined && status.observedGeneration !== metadata.generation) return 'InProgress'
  const holds = (type: string) => status?.conditions?.find((condition) => condition.type === type)?.status
  if (holds('Reconciling') === 'True') return 'InProgress'
  if (holds('Stalled') === 'True') return 'Failed'
  const ready = holds('Ready')
  if (ready === undefined || ready === 'True') return 'Current'
  return 'InProgress'
}
