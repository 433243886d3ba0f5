import { describe, expect, it } from 'vitest'
import type { RegistrationReport } from '#api/wire.ts'
import type { ReplicaState } from './push/replica-state.ts'
import { finalizerStep, unregisterFinalizer } from './finalizer.ts'

const deletionTimestamp = '2026-01-01T00:00:00Z'
const deletedAt = Date.parse(deletionTimestamp)

function replica(...keys: string[]): ReplicaState {
  return {
    replica: 'edge-0',
    instance: 'a',
    connectedSince: 0,
    revision: 'r',
    versions: new Map(keys.map((key) => [key, 'v'])),
    errors: [],
    refused: undefined,
    pending: false,
    draining: false,
    report: { targets: [], registrations: [], calls: 0 },
  }
}

function step(metadata: object, changes: Partial<Parameters<typeof finalizerStep>[1]> = {}) {
  return finalizerStep(
    { metadata: { name: 'carrier', ...metadata } },
    { registers: true, replicas: [], now: deletedAt, ...changes },
  )
}

describe('the finalizer of a trunk', () => {
  it('is added to one that registers, beside those of others', () => {
    expect(step({ finalizers: ['other'] })).toEqual({ do: 'write', finalizers: ['other', unregisterFinalizer] })
  })

  it('is not added to one that does not register, and is taken from one that has stopped to', () => {
    expect(step({}, { registers: false })).toEqual({ do: 'nothing' })
    expect(step({ finalizers: ['other', unregisterFinalizer] }, { registers: false })).toEqual({
      do: 'write',
      finalizers: ['other'],
    })
  })

  it('is not added once the trunk is being deleted', () => {
    expect(step({ deletionTimestamp })).toEqual({ do: 'nothing' })
  })

  const deleted = { deletionTimestamp, finalizers: [unregisterFinalizer] }

  it('stays while a replica runs the trunk, until the deadline', () => {
    const replicas = [replica(), replica('Trunk/carrier')]
    expect(step(deleted, { replicas, now: deletedAt + 1_000 })).toEqual({ do: 'wait', milliseconds: 29_000 })
    expect(step(deleted, { replicas, now: deletedAt + 30_000 })).toEqual({ do: 'write', finalizers: [] })
  })

  it('stays until the registrars have answered that the registrations are removed', () => {
    const of = (trunk: string, state: RegistrationReport['state']): ReplicaState => ({
      ...replica(),
      report: { targets: [], calls: 0, registrations: [{ trunk, account: 'a', registrar: 'r', state, since: 0 }] },
    })
    const waits = { do: 'wait', milliseconds: 30_000 }
    expect(step(deleted, { replicas: [of('carrier', 'Registered')] })).toEqual(waits)
    expect(step(deleted, { replicas: [of('carrier', 'Leaving')] })).toEqual(waits)
    expect(step(deleted, { replicas: [{ ...replica(), report: undefined }] })).toEqual(waits)
    expect(step(deleted, { replicas: [of('carrier', 'Standby'), of('pbx', 'Registered')] })).toMatchObject({
      do: 'write',
    })
    expect(step(deleted, { replicas: [of('carrier', 'Leaving')], now: deletedAt + 30_000 })).toMatchObject({
      do: 'write',
    })
  })

  it('goes when no replica runs the trunk', () => {
    expect(step(deleted, { replicas: [replica('Trunk/pbx')] })).toEqual({ do: 'write', finalizers: [] })
  })
})
