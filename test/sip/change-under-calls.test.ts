import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { CallRecord } from '../../dataplane/call/call-record.ts'
import { callThroughManifests, type Fleet, type Peer, startFleet, type StatusFile } from './fleet.ts'
import { freePorts } from './free-port.ts'
import { type SippRun, startSipp } from './sipp.ts'

const callsPerReplica = 25
const replicas = ['127.0.0.1', '127.0.0.2']
/** Long enough for everything that is done while the calls are up, on a busy machine too. */
const holdMilliseconds = 30_000
/** What a change may take from the write of the file until every replica runs it. */
const acknowledgedWithinMilliseconds = 1000

describe.skipIf(!inject('peers').sipp)('a manifest is edited while 50 calls are up', () => {
  const callers: Peer[] = []
  let before: Peer
  let after: Peer
  let listener: number
  let fleet: Fleet

  beforeAll(async () => {
    const [fleetPort = 0, first = 0, second = 0, third = 0, ...called] = await freePorts(6)
    listener = fleetPort
    callers.push(...[first, second, third].map((port) => ({ address: '127.0.0.1', port })))
    const [one, other] = called.map((port) => ({ address: '127.0.0.1', port }))
    if (one === undefined || other === undefined) throw new Error('too few ports')
    before = one
    after = other
    fleet = await startFleet(manifests(before))
  })

  afterAll(() => fleet?.stop())

  const manifests = (target: Peer) =>
    callThroughManifests({ listener, caller: callers, called: [target], replicas: replicas.length })

  /** Moves the trunk of the called side to another port; resolves with the time until every replica runs it. */
  async function moveCalledTrunk(to: Peer): Promise<number> {
    const generation = generationOf(fleet.statuses(), 'called')
    const writtenAt = performance.now()
    writeFileSync(join(fleet.manifests, 'called.yaml'), manifests(to)['called.yaml'] ?? '')
    await fleet.until('every replica runs the edited trunk', (statuses) =>
      statuses.some((status) => runsEverywhere(status, 'called', generation + 1)),
    )
    return performance.now() - writtenAt
  }

  it('is acknowledged by all replicas, touches no call, and is for new calls only', async () => {
    const uas = [before, after].map((local) => startSipp({ scenario: 'uas-answers', local }))
    await Promise.all(uas.map(({ listening }) => listening))
    const uacs = replicas.map((replica, index) => call(replica, index, callsPerReplica))
    const started = await untilUp(fleet, callsPerReplica * replicas.length)
    const revision = revisionOf(fleet.statuses())
    expect(new Set(started.map((one) => one.revision))).toEqual(new Set([revision]))

    const times = [await moveCalledTrunk(after)]
    // The quickest of up to nine: a machine that is busy with other tests is no fault of the fleet.
    while (Math.min(...times) > acknowledgedWithinMilliseconds && times.length < 9) {
      times.push(await moveCalledTrunk(before), await moveCalledTrunk(after))
    }
    expect(Math.min(...times)).toBeLessThan(acknowledgedWithinMilliseconds)
    const edited = revisionOf(fleet.statuses())
    expect(edited).not.toBe(revision)

    const extra = call(replicas[0] ?? '', 2, 1)
    const all = await untilUp(fleet, started.length + 1)
    const ids = new Set(started.map(({ id }) => id))
    expect(all.filter(({ id }) => ids.has(id)).map(unchanging)).toEqual(started.map(unchanging))
    const [added] = all.filter(({ id }) => !ids.has(id))
    expect(added).toMatchObject({ revision: edited, legB: { peer: `${after.address}:${after.port}` } })

    const results = await Promise.all([...uacs, extra].map((run) => run.done))
    for (const run of uas) run.stop()
    const [old, fresh] = await Promise.all(uas.map((run) => run.done))
    for (const [index, result] of results.entries()) {
      const successful = index === replicas.length ? 1 : callsPerReplica
      expect(result, result.errors).toMatchObject({ exitCode: 0, successful, failed: 0 })
    }
    // The BYEs of the old calls went to where these had been set up.
    expect(old, old?.errors).toMatchObject({ successful: callsPerReplica * replicas.length, failed: 0 })
    expect(fresh, fresh?.errors).toMatchObject({ successful: 1, failed: 0 })
  })

  function call(replica: string, index: number, calls: number): SippRun {
    const local = callers[index]
    if (local === undefined) throw new Error('no such caller')
    return startSipp({
      ...{ scenario: 'uac', local, remote: `${replica}:${listener}`, number: '+15550100' },
      ...{ calls, callsPerSecond: callsPerReplica, holdMilliseconds },
    })
  }
})

/** What of a call may not change while it is up. */
function unchanging({ id, revision, state, answeredAt, legA, legB }: CallRecord) {
  return { id, revision, state, answeredAt, legA, legB }
}

/** The calls of all replicas, in the order of their ids, once so many are up on both legs. */
async function untilUp(fleet: Fleet, wanted: number): Promise<CallRecord[]> {
  for (;;) {
    const calls = (await Promise.all(adminUrls(fleet).map(callsAt))).flat()
    if (calls.filter(isUp).length >= wanted) {
      return calls.sort((a, b) => a.id.localeCompare(b.id))
    }
    if (fleet.process.exitCode !== null) throw new Error(`the fleet ended:\n${fleet.output()}`)
  }
}

function isUp({ answeredAt, legA, legB }: CallRecord): boolean {
  return answeredAt !== undefined && legA.dialogId !== undefined && legB?.dialogId !== undefined
}

async function callsAt(url: string): Promise<CallRecord[]> {
  return (await (await fetch(`${url}/calls`)).json()) as CallRecord[]
}

/** Where the replicas serve their admin interface, as their logs say. */
function adminUrls({ statusDir }: Fleet): string[] {
  const folder = join(statusDir, 'log')
  return readdirSync(folder)
    .filter((name) => name !== 'control.log')
    .flatMap((name) => {
      const lines = readFileSync(join(folder, name), 'utf8').split('\n')
      const port = /"port":(\d+)/.exec(lines.findLast((line) => line.includes('admin is served')) ?? '')?.[1]
      return port === undefined ? [] : [`http://127.0.0.1:${port}`]
    })
}

function revisionOf(statuses: readonly StatusFile[]): unknown {
  return statuses.find(({ kind }) => kind === 'VoiceService')?.status['revision']
}

function generationOf(statuses: readonly StatusFile[], trunk: string): number {
  return statuses.find(({ metadata }) => metadata.name === trunk)?.status.observedGeneration ?? 0
}

function runsEverywhere({ metadata, status }: StatusFile, name: string, generation: number): boolean {
  const programmed = status.conditions?.find(({ type }) => type === 'Programmed')
  return (
    metadata.name === name &&
    programmed?.status === 'True' &&
    programmed.message === `${replicas.length}/${replicas.length} replicas run generation ${generation}.`
  )
}
