import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFailed } from 'vitest'
import type { Snapshot } from '#api/snapshot.ts'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { compile } from '../../operator/compile/compile.ts'
import { sharedToken } from '../../operator/push/authenticate.ts'
import { PushServer } from '../../operator/push/push-server.ts'
import type { ReplicaState } from '../../operator/push/replica-state.ts'
import { answerWith, requestText, sdp, SipPeer } from '../engine/sip-peer.ts'
import { freePorts } from '../sip/free-port.ts'
import { worldOf } from './manifests.ts'
import { ReplicaProcess } from './replica-process.ts'

const fleet = 'voice/edge'
const token = 'a token of the test'
const log = createLog({ level: 'error', name: 'test', write: () => undefined })

let directory: string
let server: PushServer
let control: number
let url: string
const processes: ReplicaProcess[] = []
const peers: SipPeer[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'replica-'))
  server = newServer()
  ;[control = 0] = await freePorts(1)
  url = (await server.listen({ host: '127.0.0.1', port: control })).url
})

afterEach(async () => {
  for (const { child } of processes) child.kill('SIGKILL')
  await Promise.all(processes.splice(0).map(({ exited }) => exited))
  await Promise.all(peers.splice(0).map((peer) => peer.close()))
  await server.close()
  await rm(directory, { recursive: true, force: true })
})

function newServer(): PushServer {
  return new PushServer({ clock: systemClock, log, authenticate: sharedToken(token), epoch: 1 })
}

function start(changes: Readonly<Record<string, string>> = {}, options: { channel?: boolean } = {}): ReplicaProcess {
  const environment = {
    SBCFLEET_FLEET: fleet,
    SBCFLEET_REPLICA: 'edge-0',
    SBCFLEET_CONTROL_URLS: url,
    SBCFLEET_TOKEN: token,
    SBCFLEET_ADDRESSES: '127.0.0.1',
    SBCFLEET_STATE_DIR: directory,
    SBCFLEET_ADMIN_PORT: '0',
    SBCFLEET_HEALTH_PORT: '0',
    ...changes,
  }
  const replica = new ReplicaProcess(environment, options)
  processes.push(replica)
  onTestFailed(() => void process.stderr.write(`${replica.describe()}\n`))
  return replica
}

/** Resolves once the one replica of the fleet is as the test wants it. */
function until(holds: (state: ReplicaState | undefined) => boolean, of = server): Promise<ReplicaState | undefined> {
  return new Promise((resolve) => {
    const look = () => {
      const [state] = of.replicas(fleet)
      if (holds(state)) resolve(state)
    }
    of.onChange(look)
    look()
  })
}

async function peer(): Promise<SipPeer> {
  const opened = await SipPeer.udp()
  peers.push(opened)
  return opened
}

/** A fleet that carries calls from one peer to the other. */
async function scene(options: { keepalive?: boolean } = {}) {
  const [port = 0] = await freePorts(1)
  const [pbx, carrier] = [await peer(), await peer()]
  const { snapshot } = compile(worldOf({ port, pbx: pbx.port, carrier: carrier.port, ...options }))
  return { port, pbx, carrier, snapshot }
}

async function startWith(snapshot: Snapshot, changes: Readonly<Record<string, string>> = {}): Promise<ReplicaProcess> {
  server.publish(snapshot, { replicas: 1 })
  const replica = start(changes)
  await until((state) => state?.revision === snapshot.revision)
  return replica
}

/** Sets up a call from the PBX through the replica to the carrier. */
async function call({ port, pbx, carrier }: Awaited<ReturnType<typeof scene>>, callId = 'first') {
  pbx.send(requestText(pbx, { method: 'INVITE', uri: `sip:+15550100@127.0.0.1:${port}`, callId, body: sdp }), port)
  const invite = await carrier.request('INVITE')
  const contact = ['Contact', `<sip:carrier@${carrier.hostPort}>`] as const
  answerWith(invite, {
    status: 200,
    toTag: 'b-tag',
    headers: [contact, ['Content-Type', 'application/sdp']],
    body: sdp,
  })
  const { message: answer } = await pbx.response(200, 'INVITE')
  const uri = /<(.*)>/.exec(answer.get('Contact') ?? '')?.[1] ?? ''
  const inDialog = { uri, callId, toTag: answer.toTag }
  pbx.send(requestText(pbx, { method: 'ACK', ...inDialog }), port)
  await carrier.request('ACK')
  return { inDialog, invite }
}

describe('a replica', () => {
  it('gets its configuration, answers for it, is ready, and carries a call', async () => {
    const place = await scene()
    const replica = await startWith(place.snapshot)
    const state = await until((found) => found?.revision === place.snapshot.revision)
    expect(state?.errors).toEqual([])
    expect((await replica.ask('health', '/readyz')).status).toBe(200)
    const { inDialog } = await call(place)
    expect(await (await replica.ask('admin', '/calls')).json()).toMatchObject([
      { state: 'Up', revision: place.snapshot.revision, called: '+15550100' },
    ])
    await until((found) => found?.report?.calls === 1)
    expect(await (await replica.ask('health', '/metrics')).text()).toContain('sbcfleet_calls_active 1\n')
    place.pbx.send(requestText(place.pbx, { method: 'BYE', cseq: 2, ...inDialog }), place.port)
    answerWith(await place.carrier.request('BYE'), { status: 200 })
    await until((found) => found?.report?.calls === 0)
  })

  // Other systems have no loopback address but 127.0.0.1 unless told.
  it.skipIf(process.platform !== 'linux')('gives no answer to a source that belongs to no trunk', async () => {
    const place = await scene()
    await startWith(place.snapshot)
    const stranger = await SipPeer.udp('127.0.0.77')
    peers.push(stranger)
    const uri = `sip:100@127.0.0.1:${place.port}`
    stranger.send(requestText(stranger, { method: 'OPTIONS', uri, callId: 'stranger' }), place.port)
    // Whatever was to be sent to the stranger was sent before the answer to a peer that asks after it.
    place.pbx.send(requestText(place.pbx, { method: 'OPTIONS', uri, callId: 'friend' }), place.port)
    await place.pbx.response(200, 'OPTIONS')
    expect(stranger.arrived).toEqual([])
  })

  it('reports targets that answer as up', async () => {
    const place = await scene({ keepalive: true })
    await startWith(place.snapshot)
    for (const each of [place.pbx, place.carrier]) {
      answerWith(await each.request('OPTIONS'), { status: 200 })
    }
    const state = await until((found) => found?.report?.targets.filter((target) => target.state === 'Up').length === 2)
    expect(state?.report?.targets.map(({ trunk }) => trunk).sort()).toEqual(['carrier', 'pbx'])
  })

  it('keeps the call that is up when the configuration changes', async () => {
    const place = await scene()
    const replica = await startWith(place.snapshot)
    const { inDialog } = await call(place)
    const world = worldOf({
      port: place.port,
      pbx: place.pbx.port,
      carrier: place.carrier.port,
      calledPattern: '[0-9]',
    })
    const { snapshot } = compile(world)
    server.publish(snapshot)
    await until((found) => found?.revision === snapshot.revision)
    expect(await (await replica.ask('admin', '/calls')).json()).toMatchObject([
      { state: 'Up', revision: place.snapshot.revision },
    ])
    const { port, pbx, carrier } = place
    pbx.send(requestText(pbx, { method: 'INFO', cseq: 2, ...inDialog }), port)
    answerWith(await carrier.request('INFO'), { status: 200 })
    await pbx.response(200, 'INFO')
    pbx.send(requestText(pbx, { method: 'INVITE', uri: inDialog.uri, callId: 'another', body: sdp }), port)
    await pbx.response(404)
  })

  it('says which port is in use, and takes the listener once the port is free', async () => {
    const place = await scene()
    const holder = createSocket('udp4').bind(place.port, '127.0.0.1')
    await once(holder, 'listening')
    const { snapshot } = compile(worldOf({ port: place.port, pbx: place.pbx.port, carrier: place.carrier.port }))
    server.publish(snapshot)
    const replica = start()
    const state = await until((found) => found?.errors.length === 1)
    expect(state).toMatchObject({ revision: snapshot.revision, errors: [{ code: 'AddressInUse', field: 'body.port' }] })
    const waiting = await replica.ask('health', '/readyz')
    expect(waiting.status).toBe(503)
    expect(await waiting.text()).toContain('a configuration with a listener')
    holder.close()
    await until((found) => found?.errors.length === 0)
    expect((await replica.ask('health', '/readyz')).status).toBe(200)
  })

  it('explains where a call would go, with the reasons', async () => {
    const place = await scene()
    const replica = await startWith(place.snapshot)
    const query = new URLSearchParams({
      from: '100',
      to: '+15550100',
      source: `127.0.0.1:${place.pbx.port}`,
      listener: 'udp',
    })
    const explained = await (await replica.ask('admin', `/explain?${query.toString()}`)).json()
    expect(explained).toMatchObject({ verdict: 'Route', trunk: 'pbx', attempts: [{ trunk: 'carrier', target: 'a' }] })
  })

  it('shows its configuration without passwords, and keeps them in a file for its owner only', async () => {
    const place = await scene()
    const replica = await startWith(place.snapshot)
    const shown = await (await replica.ask('admin', '/config')).text()
    expect(shown).toContain('"[redacted]"')
    expect(shown).not.toContain('a password of the test')
    expect(JSON.stringify(replica.lines)).not.toContain('a password of the test')
    await replica.ask('admin', '/log-level', { method: 'PUT', body: 'debug' })
    replica.kill('SIGTERM')
    expect(await replica.exited).toBe(0)
    const file = join(directory, 'last-good.json')
    expect(await readFile(file, 'utf8')).toContain('a password of the test')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })
})

describe('a replica that is started again', () => {
  it('has its configuration back after a SIGKILL', async () => {
    const { snapshot } = await scene()
    const first = await startWith(snapshot)
    first.kill('SIGKILL')
    expect(await first.exited).toBe('SIGKILL')
    await until((state) => state === undefined)
    start()
    const state = await until((found) => found?.revision === snapshot.revision && !found.pending)
    expect(state?.versions.size).toBe(snapshot.resources.length)
  })

  it('serves from its last good configuration when no control side is there', async () => {
    const place = await scene()
    const first = await startWith(place.snapshot)
    first.kill('SIGTERM')
    expect(await first.exited).toBe(0)
    await server.close()
    const second = start()
    await second.says('admin is served')
    expect((await second.ask('health', '/readyz')).status).toBe(200)
    await call(place)
  })

  it('starts with nothing when the last good configuration is damaged', async () => {
    const { snapshot } = await scene()
    const first = await startWith(snapshot)
    first.kill('SIGTERM')
    await first.exited
    await writeFile(join(directory, 'last-good.json'), 'a letter to a friend')
    const second = start()
    await until((state) => state?.revision === snapshot.revision && !state.pending)
    expect(second.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('a replica whose control side goes away', () => {
  it('finds it when it is back, and keeps what it has meanwhile', async () => {
    const place = await scene()
    const replica = await startWith(place.snapshot)
    await server.close()
    await call(place)
    server = newServer()
    await server.listen({ host: '127.0.0.1', port: control })
    server.publish(place.snapshot)
    await until((state) => state?.revision === place.snapshot.revision)
    await until((state) => state?.report?.calls === 1)
    expect(replica.lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('a replica that is told to end', () => {
  it('refuses new calls, lets the one that is up end, and goes', async () => {
    const place = await scene()
    const replica = await startWith(place.snapshot, { SBCFLEET_DRAIN_SECONDS: '3600' })
    const { inDialog } = await call(place)
    replica.kill('SIGTERM')
    await until((state) => state?.draining === true)
    expect((await replica.ask('health', '/readyz')).status).toBe(503)
    const { port, pbx, carrier } = place
    const uri = `sip:+15550100@127.0.0.1:${port}`
    pbx.send(requestText(pbx, { method: 'INVITE', uri, callId: 'too-late', body: sdp }), port)
    expect((await pbx.response(503)).message.get('Retry-After')).toBe('10')
    pbx.send(requestText(pbx, { method: 'BYE', cseq: 2, ...inDialog }), port)
    answerWith(await carrier.request('BYE'), { status: 200 })
    await pbx.response(200, 'BYE')
    expect(await replica.exited).toBe(0)
    await until((state) => state === undefined)
  })

  it('ends the calls that are left at the deadline', async () => {
    const place = await scene()
    const replica = await startWith(place.snapshot, { SBCFLEET_DRAIN_SECONDS: '0' })
    await call(place)
    replica.kill('SIGINT')
    for (const each of [place.pbx, place.carrier]) answerWith(await each.request('BYE'), { status: 200 })
    expect(await replica.exited).toBe(0)
  })

  it('ends at once at the second signal', async () => {
    const place = await scene()
    const replica = await startWith(place.snapshot, { SBCFLEET_DRAIN_SECONDS: '3600' })
    await call(place)
    replica.kill('SIGTERM')
    await replica.says('draining')
    replica.kill('SIGTERM')
    expect(await replica.exited).toBe(1)
  })

  it('begins to drain when it is asked on its admin interface, and stays', async () => {
    const { snapshot } = await scene()
    const replica = await startWith(snapshot)
    expect((await replica.ask('admin', '/drain', { method: 'POST' })).status).toBe(202)
    await until((state) => state?.draining === true)
    await replica.says('drained')
    expect((await replica.ask('health', '/livez')).status).toBe(200)
  })

  it('goes when its parent is gone', async () => {
    const { snapshot } = await scene()
    server.publish(snapshot)
    const replica = start({}, { channel: true })
    await until((state) => state?.revision === snapshot.revision)
    replica.child.disconnect()
    expect(await replica.exited).toBe(0)
  })
})

describe('a replica with a wrong environment', () => {
  it('names every variable that is wrong, and exits with 2', async () => {
    const replica = start({ SBCFLEET_ADDRESSES: 'here', SBCFLEET_HEALTH_PORT: 'http' })
    expect(await replica.exited).toBe(2)
    expect(replica.errors).toContain('SBCFLEET_ADDRESSES is "here": expected one or more IP addresses')
    expect(replica.errors).toContain('SBCFLEET_HEALTH_PORT is "http": expected a whole number from 0 to 65535')
  })

  it('names the door that cannot be opened, and exits with 1', async () => {
    const first = start()
    const { port } = await first.says('admin is served')
    const second = start({ SBCFLEET_REPLICA: 'edge-1', SBCFLEET_STATE_DIR: '', SBCFLEET_ADMIN_PORT: String(port) })
    expect(await second.exited).toBe(1)
    expect(second.errors).toContain('admin cannot start')
    expect(second.errors).toContain('EADDRINUSE')
  })
})
