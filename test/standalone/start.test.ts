import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { UserAgent } from '../../standalone/peer/user-agent.ts'
import { Registrar } from '../../standalone/peer/registrar.ts'
import { type Fleet, isTrue, startFleet, type StatusFile } from '../sip/fleet.ts'
import { freePorts } from '../sip/free-port.ts'
import { type Quickstart, quickstartOnFreePorts } from './quickstart.ts'

describe('sbcfleet start', () => {
  let quickstart: Quickstart
  let fleet: Fleet | undefined
  let closing: (() => void)[]

  beforeEach(async () => {
    closing = []
    quickstart = await quickstartOnFreePorts()
  })
  afterEach(async () => {
    await fleet?.stop()
    fleet = undefined
    for (const close of closing) close()
  })

  async function start(): Promise<Fleet> {
    fleet = await startFleet(quickstart.manifests)
    return fleet
  }

  async function playPeer(name: 'pbx' | 'carrier'): Promise<void> {
    const accounts = new Map([['+15550100', { username: 'example-user', password: 'example-password-change-me' }]])
    const agent = new UserAgent({
      name,
      endpoint: { host: '127.0.0.1', port: quickstart.ports[name] },
      clock: systemClock,
      onTrace: () => {},
      domain: `${name}.invalid`,
      mediaAddress: '192.0.2.1',
      registrar: new Registrar(`${name}.invalid`, accounts),
    })
    await agent.open()
    closing.push(() => agent.close())
  }

  const edit = (file: string, change: (text: string) => string) => {
    const text = change(quickstart.manifests[file] ?? '')
    writeFileSync(join(fleet?.manifests ?? '', file), text)
  }
  const statusOf = (files: readonly StatusFile[], name: string) => files.find(({ metadata }) => metadata.name === name)
  const message = (file: StatusFile | undefined, type: string) =>
    file?.status.conditions?.find((condition) => condition.type === type)?.message ?? ''
  const replicas = (files: readonly StatusFile[]) => statusOf(files, 'edge')?.status['replicas']
  const pidsOf = (replica: string) =>
    [...(fleet?.output() ?? '').matchAll(new RegExp(`${replica}: runs as process (\\d+)`, 'g'))].map(([, pid]) =>
      Number(pid),
    )

  it('shows trunks that are programmed, registered and reachable', async () => {
    await playPeer('pbx')
    await playPeer('carrier')
    const running = await start()
    await running.until('the carrier is registered and reachable', (files) => {
      const [carrier, pbx] = [statusOf(files, 'carrier'), statusOf(files, 'pbx')]
      return (
        carrier !== undefined &&
        pbx !== undefined &&
        isTrue('Registered')(carrier) &&
        isTrue('Reachable')(carrier) &&
        isTrue('Reachable')(pbx)
      )
    })
    const carrier = statusOf(running.statuses(), 'carrier')
    expect(carrier?.status).toMatchObject({ programmed: '2/2', targetsUp: '1/1', observedGeneration: 1 })
    await running.untilOutput(
      /SipTrunk voice\/carrier ready=True programmed=2\/2 registered=True reachable=True targets=1\/1/,
    )
  })

  it('programs an edited manifest on every replica', async () => {
    const running = await start()
    edit('carrier.yaml', (text) => text.replace('upIntervalSeconds: 30', 'upIntervalSeconds: 40'))
    await running.until('the new generation is programmed', (files) => {
      const carrier = statusOf(files, 'carrier')
      return carrier !== undefined && carrier.status.observedGeneration === 2 && isTrue('Programmed')(carrier)
    })
    expect(message(statusOf(running.statuses(), 'carrier'), 'Programmed')).toBe('2/2 replicas run generation 2.')
  })

  it('starts a killed replica again with its configuration, and leaves the others alone', async () => {
    const running = await start()
    const [first = 0] = pidsOf('voice/edge-0')
    process.kill(first, 'SIGKILL')
    await running.untilOutput(/edge-0: runs as process \d+[^]*edge-0: runs as process \d+/)
    // Whether a status without it is written before it is back depends on the machine.
    await expect.poll(() => connections(running)).toBe(3)
    await running.until('the status has both', (files) => {
      const { ready, programmed } = replicas(files) as { ready: number; programmed: number }
      return ready === 2 && programmed === 2
    })
    expect(pidsOf('voice/edge-0')).toHaveLength(2)
    expect(pidsOf('voice/edge-1')).toHaveLength(1)
  })

  it('keeps what ran when a manifest breaks, and says where it is broken', async () => {
    const running = await start()
    edit('pbx.yaml', (text) => text.replace('targets:', 'targets: ['))
    await running.untilOutput(/pbx\.yaml:\d+:\d+: broken YAML/)
    edit('carrier.yaml', (text) => text.replace('upIntervalSeconds: 30', 'upIntervalSeconds: 40'))
    await running.until('another manifest is still taken', (files) => {
      const carrier = statusOf(files, 'carrier')
      return carrier !== undefined && carrier.status.observedGeneration === 2 && isTrue('Programmed')(carrier)
    })
    expect(statusOf(running.statuses(), 'pbx')?.status).toMatchObject({ observedGeneration: 1, programmed: '2/2' })
    edit('pbx.yaml', (text) => text)
    await running.untilOutput(/The manifests have no problem any more\./)
  })

  it('keeps what ran when the whole directory goes away', async () => {
    const running = await start()
    rmSync(running.manifests, { recursive: true })
    await running.untilOutput(/cannot be read: it does not exist/)
    expect(statusOf(running.statuses(), 'carrier')?.status).toMatchObject({ programmed: '2/2' })
    expect(pidsOf('voice/edge-0')).toHaveLength(1)
  })

  it('says which field asks for a port that is in use, and runs the rest', async () => {
    const running = await start()
    const [port = 0] = await freePorts(1)
    const taken = await occupy('127.0.0.2', port)
    closing.push(() => taken.close())
    edit('voice-service.yaml', (text) => text.replace(`port: ${quickstart.ports.outside}`, `port: ${port}`))
    await running.until('the refusal is shown, and the other replica has it', (files) => {
      const edge = statusOf(files, 'edge')
      const { programmed } = replicas(files) as { programmed: number }
      const said = message(edge, 'Programmed')
      return said.includes('edge-1') && said.includes('in use') && programmed === 1
    })
    const place = /voice-service\.yaml:\d+:\d+: VoiceService voice\/edge spec\.listeners\[1\]\.port: edge-1: .*in use/
    await running.untilOutput(place)
    expect(message(statusOf(running.statuses(), 'edge'), 'Programmed')).toContain('spec.listeners[1].port')
    expect(replicas(running.statuses())).toEqual({ desired: 2, ready: 2, programmed: 1 })
    running.process.kill('SIGINT')
    await once(running.process, 'close')
    expect(running.output()).not.toContain('no problem any more')
  })

  it('runs more replicas, and fewer, as the manifest says', async () => {
    const running = await start()
    const withReplicas = (count: number) =>
      edit('voice-service.yaml', (text) => text.replace('replicas: 2', `replicas: ${count}`))
    const are = (count: number) => (files: readonly StatusFile[]) => {
      const { desired, ready, programmed } = replicas(files) as Record<string, number>
      return desired === count && ready === count && programmed === count
    }
    withReplicas(3)
    await running.until('three replicas run', are(3))
    withReplicas(1)
    await running.until('one replica runs', are(1))
    expect(pidsOf('voice/edge-0')).toHaveLength(1)
  })

  it('drains its replicas when it is told to stop, and leaves the last status', async () => {
    const running = await start()
    const ended = once(running.process, 'exit')
    running.process.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(message(statusOf(running.statuses(), 'edge'), 'Programmed')).toContain('None of 2 replicas is connected')
    for (const pid of [...pidsOf('voice/edge-0'), ...pidsOf('voice/edge-1')]) {
      expect(isAlive(pid)).toBe(false)
    }
  })

  it('leaves no replica behind when it is killed', async () => {
    const running = await start()
    const ended = once(running.process, 'exit')
    running.process.kill('SIGKILL')
    await ended
    for (const pid of [...pidsOf('voice/edge-0'), ...pidsOf('voice/edge-1')]) await untilGone(pid)
  })
})

/** How often replicas of the fleet have connected to the control side, as their logs say. */
function connections({ statusDir }: Fleet): number {
  const folder = join(statusDir, 'log')
  const logs = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  return logs.join('').split('connected to the control side').length - 1
}

async function occupy(address: string, port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(port, address)
  await once(socket, 'listening')
  return socket
}

/** Resolves when there is no such process, looked for every 50 ms; the test's own limit ends it otherwise. */
async function untilGone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise<void>((resolve) => systemClock.after(50, resolve))
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
