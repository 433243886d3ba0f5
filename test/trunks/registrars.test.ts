import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, inject, it, onTestFailed } from 'vitest'
import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { apiVersion, VoiceService } from '#api/voice-service.ts'
import type { RegistrationReport } from '#api/wire.ts'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { compile } from '../../operator/compile/compile.ts'
import { sharedToken } from '../../operator/push/authenticate.ts'
import { PushServer } from '../../operator/push/push-server.ts'
import type { ReplicaState } from '../../operator/push/replica-state.ts'
import { requestText, SipPeer } from '../engine/sip-peer.ts'
import { ReplicaProcess } from '../replica/replica-process.ts'
import { freePorts } from '../sip/free-port.ts'
import { kamailioPassword, startKamailio } from './kamailio.ts'
import { openPeer } from './udp-peer.ts'

const fleet = 'voice/edge'
const log = createLog({ level: 'error', name: 'test', write: () => undefined })
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** Three replicas as processes of their own, which register one account with Kamailio and have a carrier and a PBX. */
async function startFleet(password = kamailioPassword) {
  const registrar = await startKamailio()
  closers.push(() => registrar.close())
  const carrier = await openPeer(({ method }) => {
    if (method === 'ACK') return undefined
    return { status: method === 'INVITE' ? '486 Busy Here' : '200 OK' }
  })
  closers.push(carrier.close)
  const pbx = await SipPeer.udp()
  closers.push(() => pbx.close())
  const server = new PushServer({ clock: systemClock, log, authenticate: sharedToken('token'), epoch: 1 })
  closers.push(() => server.close())
  const { url } = await server.listen({ host: '127.0.0.1', port: 0 })
  const [port = 0] = await freePorts(1)
  const { snapshot } = compile(
    worldOf({ port, registrar: registrar.port, carrier: carrier.port, pbx: pbx.port, password }),
  )
  const processes = new Map<string, ReplicaProcess>()
  for (const index of [0, 1, 2]) {
    const directory = await mkdtemp(join(tmpdir(), 'replica-'))
    const replica = new ReplicaProcess({
      SBCFLEET_FLEET: fleet,
      SBCFLEET_REPLICA: `edge-${index}`,
      SBCFLEET_CONTROL_URLS: url,
      SBCFLEET_TOKEN: 'token',
      SBCFLEET_ADDRESSES: `127.0.0.${index + 1}`,
      SBCFLEET_STATE_DIR: directory,
      SBCFLEET_DRAIN_SECONDS: '5',
    })
    processes.set(`edge-${index}`, replica)
    onTestFailed(() => void process.stderr.write(`${replica.describe()}\n`))
    closers.push(async () => {
      replica.kill('SIGKILL')
      await replica.exited
      await rm(directory, { recursive: true, force: true })
    })
  }
  /** Who has registered, and with what. */
  const owner = (): { replica: string; report: RegistrationReport } | undefined => {
    for (const { replica, report } of server.replicas(fleet)) {
      const found = report?.registrations.find(({ state }) => state === 'Registered')
      if (found !== undefined) return { replica, report: found }
    }
    return undefined
  }
  const until = <T>(find: () => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      const look = () => {
        const found = find()
        if (found !== undefined) resolve(found)
      }
      server.onChange(look)
      look()
    })
  // All share the work from its beginning, so that none of it moves unless a test moves it; and all can be called.
  const all = (holds: (state: ReplicaState) => boolean) => {
    const states = server.replicas(fleet)
    return (states.length === 3 && states.every(holds)) || undefined
  }
  await until(() => all(() => true))
  server.publish(snapshot, { replicas: 3 })
  await until(() => all(({ revision, pending }) => revision === snapshot.revision && !pending))
  const call = async (address: string) => {
    const uri = `sip:+15550199@${address}:${port}`
    const callId = `call-${performance.now()}`
    const branch = `z9hG4bK-${callId}`
    pbx.send(requestText(pbx, { method: 'INVITE', uri, callId, branch }), port)
    const { message } = await pbx.next(
      (one) => one.kind === 'response' && one.callId === callId && (one.status ?? 0) >= 200,
    )
    pbx.send(requestText(pbx, { method: 'ACK', uri, callId, branch, toTag: message.toTag }), port)
    return message.status
  }
  return { registrar, server, processes, owner, until, call }
}

function worldOf(ports: { port: number; registrar: number; carrier: number; pbx: number; password: string }) {
  const metadata = (name: string) => ({ name, namespace: 'voice', generation: 1 })
  const trunk = (name: string, target: number, spec: object = {}) =>
    SipTrunk.parse({
      apiVersion,
      kind: 'SipTrunk',
      metadata: metadata(name),
      spec: {
        voiceServiceRef: { name: 'edge' },
        targets: [{ name: 'a', host: '127.0.0.1', port: target }],
        ...spec,
      },
    })
  const registration = {
    registrars: [{ name: 'primary', host: '127.0.0.1', port: ports.registrar, expiresSeconds: 600 }],
    accounts: [{ name: 'main', number: '+15550100', secretRef: { name: 'account' } }],
  }
  return {
    voiceService: VoiceService.parse({
      apiVersion,
      kind: 'VoiceService',
      metadata: metadata('edge'),
      spec: {
        replicas: 3,
        listeners: [{ name: 'udp', transport: 'UDP', port: ports.port }],
        routes: [{ name: 'out', match: { trunks: ['pbx'] }, targets: [{ trunkRef: { name: 'carrier' } }] }],
      },
    }),
    trunks: [trunk('pbx', ports.pbx), trunk('carrier', ports.carrier, { registration })],
    secrets: [
      SecretManifest.parse({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: metadata('account'),
        stringData: { password: ports.password },
      }),
    ],
  }
}

/** What the registrar has for the account, as one text. */
async function boundAt(registrar: Awaited<ReturnType<typeof startKamailio>>): Promise<string> {
  return (await registrar.bindings('+15550100')).map(({ contact }) => contact).join(' and ')
}

/** Looks again and again, once before it resolves and once more at the end, which tells all that was seen, in its order. */
async function watch<T>(look: () => Promise<T>) {
  const seen = new Set([await look()])
  let over = false
  const watching = (async () => {
    while (!over) {
      // A pause, so that the machine has time for the replicas, too.
      await new Promise((resolve) => setTimeout(resolve, 20))
      seen.add(await look())
    }
  })()
  return {
    end: async (): Promise<T[]> => {
      over = true
      await watching
      seen.add(await look())
      return [...seen]
    },
  }
}

describe.skipIf(!inject('peers').kamailio)('three replicas and Kamailio as registrar', () => {
  it('make one binding (registration check 5); when its owner is killed another has it within 10 s (check 6), and calls flow meanwhile', async () => {
    const { registrar, processes, owner, until, call } = await startFleet()
    const first = await until(owner)
    const [before] = await registrar.bindings('+15550100')
    expect(before?.contact).toBe(first.report.binding?.contact)
    expect(before?.expiresSeconds).toBeGreaterThan(500)

    // Calls go on at the others, and the registrar has a binding, all the time until another replica has taken over.
    const survivor = [...processes.keys()].findIndex((name) => name !== first.replica)
    const answers = await watch(async () => (await call(`127.0.0.${survivor + 1}`)) ?? 0)
    const bound = await watch(() => boundAt(registrar))
    const killed = performance.now()
    processes.get(first.replica)?.kill('SIGKILL')
    const heir = await until(() => {
      const now = owner()
      return now?.replica === first.replica ? undefined : now
    })
    expect(performance.now() - killed).toBeLessThan(10_000)
    expect(await answers.end()).toEqual([486])
    expect(await bound.end()).toEqual([before?.contact, heir.report.binding?.contact])
    const after = await registrar.bindings('+15550100')
    expect(after.map(({ contact }) => contact)).toEqual([heir.report.binding?.contact])
    expect(heir.report.binding?.contact).not.toBe(before?.contact)
    expect(heir.report.binding?.callId).toBe(first.report.binding?.callId)
    expect(heir.report.binding?.cseq).toBeGreaterThan(first.report.binding?.cseq ?? 0)
    expect(await call(`127.0.0.${survivor + 1}`)).toBe(486)
  })

  it('hand the binding over when its owner is stopped, and there is one at any time', async () => {
    const { registrar, processes, owner, until } = await startFleet()
    const first = await until(owner)
    const stopped = processes.get(first.replica)
    const bound = await watch(() => boundAt(registrar))
    stopped?.kill('SIGTERM')
    expect(await stopped?.exited).toBe(0)
    const heir = await until(owner)
    expect(await bound.end()).toEqual([first.report.binding?.contact, heir.report.binding?.contact])
  })

  it('leave no binding when all are stopped', async () => {
    const { registrar, processes, owner, until } = await startFleet()
    await until(owner)
    for (const one of processes.values()) one.kill('SIGTERM')
    for (const one of processes.values()) expect(await one.exited).toBe(0)
    expect(await registrar.bindings('+15550100')).toEqual([])
  })

  it('say that the credentials are wrong when they are', async () => {
    const { registrar, server, until } = await startFleet('square of life')
    const failed = await until(() =>
      server
        .replicas(fleet)
        .flatMap(({ report }) => report?.registrations ?? [])
        .find(({ failure }) => failure !== undefined),
    )
    expect(failed).toMatchObject({ state: 'Unregistered', failure: 'AuthFailed', lastCode: 401 })
    expect(await registrar.bindings('+15550100')).toEqual([])
  })
})
