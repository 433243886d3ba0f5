import { describe, expect, it } from 'vitest'
import { unrolled } from './rolled.ts'

const rolled = { observedGeneration: 2, currentRevision: 'edge-a', updateRevision: 'edge-a', updatedReplicas: 3 }

function of(status: object | undefined, { replicas = 3, partition }: { replicas?: number; partition?: number } = {}) {
  const rollingUpdate = partition === undefined ? {} : { partition }
  return unrolled({
    metadata: { namespace: 'voice', name: 'edge', generation: 2 },
    spec: { replicas, updateStrategy: { rollingUpdate } },
    ...(status === undefined ? {} : { status }),
  })
}

describe('the pods of a fleet', () => {
  it('are as they are wanted when there is one revision, however many there are', () => {
    expect(of(rolled)).toBeUndefined()
    // While an autoscaler adds pods, those that are missing are not connected.
    expect(of({ ...rolled, updatedReplicas: 1 })).toBeUndefined()
    expect(of({ ...rolled, updatedReplicas: undefined }, { replicas: 0 })).toBeUndefined()
  })

  it('are not known before the StatefulSet was looked at in its generation', () => {
    expect(of(undefined)).toContain('StatefulSet edge has not been looked at')
    expect(of({ ...rolled, observedGeneration: 1 })).toContain('StatefulSet edge has not been looked at')
  })

  it('are of the old template until each of them has been replaced', () => {
    expect(of({ ...rolled, updateRevision: 'edge-b', updatedReplicas: undefined })).toMatch(/^0\/3 pods/)
    expect(of({ ...rolled, updateRevision: 'edge-b', updatedReplicas: 2 })).toMatch(/^2\/3 pods/)
    expect(of({ ...rolled, updateRevision: 'edge-b', updatedReplicas: 3 })).toBeUndefined()
  })

  it('stay of the old template below a partition', () => {
    expect(of({ ...rolled, updateRevision: 'edge-b', updatedReplicas: 1 }, { partition: 2 })).toBeUndefined()
    expect(of({ ...rolled, updateRevision: 'edge-b', updatedReplicas: 0 }, { partition: 2 })).toMatch(/^0\/1 pods/)
  })
})
