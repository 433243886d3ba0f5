import { randomUUID } from 'node:crypto'
import { type ResolvedSipBehaviour, builtInBehaviour } from '#api/sip-behaviour.ts'
import type { RegistrationConfig, RouteConfig, TrunkConfig } from '#api/snapshot.ts'
import { type Clock, systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { Calls } from '../../dataplane/call/calls.ts'
import type { Running, RunningConfig } from '../../dataplane/config/running.ts'
import { compileContacts } from '../../dataplane/policy/registered-contact.ts'
import { compileRoutes } from '../../dataplane/policy/route-order.ts'
import type { Locate } from '../../dataplane/dns/locate.ts'
import { createLocate } from '../../dataplane/dns/system-locate.ts'
import { configOf, listener, target, trunk } from '../../dataplane/trunks/trunks-fixture.ts'
import { Trunks } from '../../dataplane/trunks/trunks.ts'
import { requestText, SipPeer } from '../engine/sip-peer.ts'
import { engineUnderTest } from '../engine/under-test.ts'

const log = createLog({ level: 'error', name: 'test' })

/** A target that answers OPTIONS with 503 is found to be down in a fraction of a second; a busy machine takes none down. */
export const quickKeepalive: TrunkConfig['keepalive'] = {
  enabled: true,
  upIntervalSeconds: 0.2,
  downIntervalSeconds: 0.2,
  failureThreshold: 1,
  timeoutSeconds: 60,
  scope: 'Fleet',
  failureCodes: [503, 505],
}

interface Peer {
  /** Address or name. */
  readonly address: string
  /** Absent: the DNS tells. */
  readonly port?: number
}

/** One replica in this process, with real sockets: calls of a PBX go to one trunk after the other. */
export async function openFleet(options: {
  trunks: Readonly<Record<string, readonly Peer[]>>
  /** Behaviour towards the trunks. */
  sip?: Partial<ResolvedSipBehaviour>
  /** Behaviour towards the PBX. */
  inbound?: Partial<ResolvedSipBehaviour>
  keepalive?: TrunkConfig['keepalive']
  registrations?: readonly RegistrationConfig[]
  /** The DNS; that of this machine when left out. */
  locate?: Locate
  /** Time of the loops; that of this machine when left out. */
  clock?: Clock
  /** A number in [0, 1) for hunting; 0 when left out. */
  random?: () => number
}) {
  const { keepalive = { ...quickKeepalive, enabled: false }, registrations = [] } = options
  const engine = engineUnderTest({ clock: systemClock, log, admit: () => true })
  const udp = await engine.open('udp', 'UDP', '127.0.0.1')
  const sip = await engine.connect(log)
  const pbx = await SipPeer.udp()
  const behaviour = { ...builtInBehaviour, ...options.sip }
  const trunks = Object.entries(options.trunks).map(([name, peers]) =>
    trunk({
      name,
      keepalive,
      registrations: [...registrations],
      targets: peers.map((peer, index) => ({
        ...target({ name: `t${index}`, host: peer.address, priority: index }),
        port: peer.port,
      })),
    }),
  )
  const inside = trunk({
    name: 'pbx',
    keepalive: { ...keepalive, enabled: false },
    targets: [target({ name: 'main', host: pbx.address, port: pbx.port })],
    sip: { ...builtInBehaviour, ...options.inbound },
  })
  const routes = trunks.map(({ name }, index): RouteConfig => ({
    type: 'Route',
    name: `to-${name}`,
    match: { trunks: ['pbx'] },
    priority: index,
    targets: [{ trunk: name, priority: 0, weight: 1, sip: behaviour }],
    inbound: {},
  }))
  const all = [inside, ...trunks]
  const config: RunningConfig = {
    ...configOf(all, [listener({ address: '127.0.0.1', port: udp.port })]),
    contacts: compileContacts(all),
    routes: compileRoutes(routes),
  }
  const running: Running = { current: config, onChange() {} }
  const { locate = createLocate(systemClock), clock = systemClock, random = () => 0 } = options
  const loops = new Trunks({ sip, running, replica: 'edge-0', locate, clock, log, random: () => 0 })
  const calls = new Calls({ sip, running, health: loops, clock: systemClock, log, random })
  calls.start()
  loops.start()
  loops.setMembers(1, ['edge-0'])
  const uri = `sip:200@127.0.0.1:${udp.port}`
  const hangUp = async (callId: string, toTag: string) => {
    pbx.send(requestText(pbx, { method: 'ACK', uri, callId, toTag }), udp.port)
    pbx.send(requestText(pbx, { method: 'BYE', uri, callId, toTag, cseq: 2 }), udp.port)
    await pbx.response(200, 'BYE')
  }
  return {
    pbx,
    loops,
    port: udp.port,
    /** Calls, and resolves with the final answer. What fails is acknowledged as a proxy does it. */
    call: async (
      user = '200',
      callId: string = randomUUID(),
    ): Promise<{ status: number; get: (name: string) => string | undefined }> => {
      const invite = { uri: uri.replace('200@', `${user}@`), callId, branch: `z9hG4bK-${randomUUID()}` }
      pbx.send(requestText(pbx, { method: 'INVITE', ...invite }), udp.port)
      const { message } = await pbx.next(
        (one) => one.branch === invite.branch && one.method === 'INVITE' && (one.status ?? 0) >= 200,
      )
      const { toTag } = message
      if (message.status === 200) await hangUp(callId, toTag)
      else pbx.send(requestText(pbx, { method: 'ACK', ...invite, toTag }), udp.port)
      return { status: message.status ?? 0, get: (name) => message.get(name) }
    },
    /** Resolves as soon as it holds. */
    until(holds: () => boolean): Promise<void> {
      return new Promise((resolve) => {
        const check = () => holds() && resolve()
        loops.onChange(check)
        check()
      })
    },
    async close() {
      await calls.endAll('the test is over')
      await loops.stop()
      sip.close()
      await engine.stop()
      await pbx.close()
    },
  }
}
