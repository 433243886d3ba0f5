import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { builtInBehaviour, type ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import { systemClock as clock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { Calls } from '../dataplane/call/calls.ts'
import type { RunningConfig } from '../dataplane/config/running.ts'
import { createEngine } from '../dataplane/engine/engine.ts'
import { admitSource } from '../dataplane/policy/inbound-trunk.ts'
import { health, listener, route, runningConfig, target, trunk } from '../dataplane/policy/testing/configuration.ts'
import { takenMethods } from '../dataplane/call/header-relay.ts'
import { EnginePort } from '../dataplane/sip/engine-port.ts'
import type { Seen } from './session-dialog.ts'
import type { PeersOrder } from './session-peers.ts'

/** The product in this process, between callers and callees in another one. */
export interface SessionLoad {
  readonly calls: Calls
  /** Port that callers send to. */
  readonly port: number
  tell(order: PeersOrder): void
  seen(): Promise<Seen>
  end(): Promise<void>
}

export async function beginSessionLoad(session: Partial<ResolvedSipBehaviour['sessionTimer']>): Promise<SessionLoad> {
  const peers = fork(join(import.meta.dirname, 'session-peers.ts'))
  const ports = (await nextMessage(peers)) as { caller: number; callee: number }
  const log = createLog({ level: 'warn', name: 'load' })
  const state: { current: RunningConfig | undefined } = { current: undefined }
  const running = {
    get current() {
      return state.current
    },
    onChange: () => {},
  }
  const admit: Parameters<typeof createEngine>[0]['admit'] = (source) =>
    state.current !== undefined && admitSource(running, health(state.current), source)
  const engine = createEngine({ clock, log, admit })
  const udp = { transport: 'UDP', address: '127.0.0.1', port: 0 } as const
  const inside = await engine.open({ name: 'inside', ...udp })
  const outside = await engine.open({ name: 'outside', ...udp })
  const sip = { ...builtInBehaviour, sessionTimer: { ...builtInBehaviour.sessionTimer, ...session } }
  const place = (name: string, port: number) => [target({ name, host: '127.0.0.1', port, listener: name })]
  const config = runningConfig({
    listeners: [
      listener({ name: 'inside', address: '127.0.0.1', port: inside.port }),
      listener({ name: 'outside', address: '127.0.0.1', port: outside.port }),
    ],
    trunks: [
      trunk({ name: 'callers', listeners: ['inside'], targets: place('inside', ports.caller), sip }),
      trunk({ name: 'callees', listeners: ['outside'], targets: place('outside', ports.callee), sip }),
    ],
    routes: [route({ name: 'out', match: { trunks: ['callers'] }, targets: [{ trunk: 'callees', sip }] })],
  })
  state.current = config
  const port = new EnginePort(engine, takenMethods, log)
  const calls = new Calls({ sip: port, running, health: health(config), clock, log, random: Math.random })
  calls.start()
  return {
    calls,
    port: inside.port,
    tell: (order) => void peers.send(order),
    async seen() {
      const answer = nextMessage(peers)
      peers.send({ order: 'seen' } satisfies PeersOrder)
      return (await answer) as Seen
    },
    async end() {
      peers.disconnect()
      peers.kill()
      port.close()
      await engine.stop()
    },
  }
}

/** Resolves when so many calls are up, and the time a call takes to come up has passed for all. */
export async function untilUp(load: SessionLoad, calls: number, limitSeconds: number): Promise<Seen> {
  const limit = performance.now() + limitSeconds * 1000
  for (;;) {
    const seen = await load.seen()
    if (seen.up >= calls) return seen
    if (performance.now() > limit) throw new Error(`${seen.up} of ${calls} calls are up after ${limitSeconds} s`)
    await pause(500)
  }
}

async function nextMessage(peers: ChildProcess): Promise<unknown> {
  const [message] = (await once(peers, 'message')) as [unknown]
  return message
}
