import { builtInBehaviour, type ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { InboundAuthenticationConfig, RegistrationConfig } from '#api/snapshot.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { createLog } from '#lib/log.ts'
import { Calls, type CallsOptions } from '../../dataplane/call/calls.ts'
import type { RunningConfig } from '../../dataplane/config/running.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { formatUri } from '../../dataplane/engine/message/uri.ts'
import { parseNameAddr } from '../../dataplane/engine/message/name-addr.ts'
import { admitSource } from '../../dataplane/policy/inbound-trunk.ts'
import { health, listener, route, runningConfig, target, trunk } from '../../dataplane/policy/testing/configuration.ts'
import { answerWith, requestText, SipPeer, type Arrival } from '../engine/sip-peer.ts'
import { type ConnectedPort, type EngineUnderTest, engineUnderTest } from '../engine/under-test.ts'

/** The real thing in one process: engine and calls, between a PBX and the targets of a carrier. */
export class Bridge {
  readonly clock: ManualClock
  readonly engine: EngineUnderTest
  readonly sip: ConnectedPort
  readonly calls: Calls
  readonly config: RunningConfig
  readonly pbx: SipPeer
  readonly carriers: readonly SipPeer[]
  /** Lines that were logged. */
  readonly log: readonly string[]

  private constructor(parts: {
    clock: ManualClock
    engine: EngineUnderTest
    sip: ConnectedPort
    calls: Calls
    config: RunningConfig
    pbx: SipPeer
    carriers: readonly SipPeer[]
    log: readonly string[]
  }) {
    this.clock = parts.clock
    this.engine = parts.engine
    this.sip = parts.sip
    this.calls = parts.calls
    this.config = parts.config
    this.pbx = parts.pbx
    this.carriers = parts.carriers
    this.log = parts.log
  }

  static async begin(
    options: {
      targets?: number
      transport?: 'UDP' | 'TCP'
      address?: string
      /** Behaviour of both legs, where it is not what is built in. */
      sip?: Partial<ResolvedSipBehaviour>
      /** What carries anchored media. */
      engines?: CallsOptions['engines']
      /** With which challenges are answered, of either peer. */
      accounts?: readonly RegistrationConfig[]
      /** What the PBX has to prove. */
      authentication?: InboundAuthenticationConfig
    } = {},
  ): Promise<Bridge> {
    const { targets = 1, transport = 'UDP', address = '127.0.0.1' } = options
    const clock = new ManualClock()
    const lines: string[] = []
    const log = createLog({ level: 'info', name: 'test', write: (line) => lines.push(line) })
    const [pbx, ...carriers] = await Promise.all(
      Array.from({ length: targets + 1 }, () => (transport === 'UDP' ? SipPeer.udp(address) : SipPeer.tcp(address))),
    )
    if (pbx === undefined) throw new Error('no peer')
    const state: { current: RunningConfig | undefined } = { current: undefined }
    const running = {
      get current() {
        return state.current
      },
      onChange: () => {},
    }
    const engine = engineUnderTest({
      clock,
      log,
      admit: (source) => state.current !== undefined && admitSource(running, health(state.current), source),
    })
    const inside = await engine.open('inside', transport, address)
    const outside = await engine.open('outside', transport, address)
    const unused = await engine.open('unused', transport, address)
    const config = configuration({
      unused: unused.port,
      inside: inside.port,
      outside: outside.port,
      transport,
      address,
      pbx,
      carriers,
      sip: { ...builtInBehaviour, ...options.sip },
      accounts: options.accounts ?? [],
      ...(options.authentication && { authentication: options.authentication }),
    })
    state.current = config
    const sip = await engine.connect(log)
    const calls = new Calls({
      ...(options.engines && { engines: options.engines }),
      sip,
      running,
      health: health(config),
      clock,
      log,
      random: () => 0.5,
    })
    calls.start()
    return new Bridge({ clock, engine, sip, calls, config, pbx, carriers, log: lines })
  }

  async end(): Promise<void> {
    this.sip.close()
    await this.engine.stop()
    await Promise.all([this.pbx, ...this.carriers].map((peer) => peer.close()))
  }

  get carrier(): SipPeer {
    const [first] = this.carriers
    if (first === undefined) throw new Error('no carrier')
    return first
  }

  portOf(name: 'inside' | 'outside' | 'unused'): number {
    return this.config.listeners.get(name)?.port ?? 0
  }

  uriOf(name: 'inside' | 'outside', user: string): string {
    const { address = '', port = 0 } = this.config.listeners.get(name) ?? {}
    return formatUri({ scheme: 'sip', user, host: address, port })
  }

  /** Resolves when no call is left. */
  async noCalls(): Promise<void> {
    while (this.calls.count > 0) await new Promise<void>((resolve) => this.calls.onCountChange(() => resolve()))
  }
}

/** One end of a dialog, played by a bare socket: it knows the tags and where to send. */
export class Party {
  readonly peer: SipPeer
  readonly callId: string
  readonly localTag: string
  readonly #port: number
  readonly #transport: 'UDP' | 'TCP'
  remoteTag: string | undefined
  target: string
  cseq = 1

  constructor(parts: {
    peer: SipPeer
    port: number
    callId: string
    localTag: string
    target: string
    transport?: 'UDP' | 'TCP'
  }) {
    this.peer = parts.peer
    this.#port = parts.port
    this.#transport = parts.transport ?? 'UDP'
    this.callId = parts.callId
    this.localTag = parts.localTag
    this.target = parts.target
  }

  /** The callee of an INVITE that has arrived. */
  static called({ message }: Arrival, peer: SipPeer, port: number, localTag: string, transport?: 'UDP' | 'TCP'): Party {
    const { callId } = message
    const party = new Party({
      peer,
      port,
      callId,
      localTag,
      target: contactOf(message),
      ...(transport && { transport }),
    })
    party.remoteTag = message.fromTag
    return party
  }

  send(
    method: string,
    options: { headers?: readonly string[]; body?: string; cseq?: number; branch?: string; contact?: false } = {},
  ): void {
    const cseq = options.cseq ?? (method === 'ACK' || method === 'CANCEL' ? this.cseq : ++this.cseq)
    this.peer.send(this.#text(method, { ...options, cseq }), this.#port)
  }

  /** The first INVITE, with CSeq 1. */
  invite(options: { headers?: readonly string[]; body?: string; branch?: string } = {}): void {
    this.peer.send(this.#text('INVITE', { ...options, cseq: 1 }), this.#port)
  }

  /** Takes the tag and the target of the answer. */
  learn({ message }: Arrival): void {
    this.remoteTag = message.toTag
    if (message.has('Contact')) this.target = contactOf(message)
  }

  /** Acknowledges a reliable provisional answer. */
  prack({ message }: Arrival, options: { body?: string } = {}): void {
    this.send('PRACK', { headers: [`RAck: ${message.get('RSeq')} ${message.cseq} INVITE`], ...options })
  }

  #text(
    method: string,
    options: { headers?: readonly string[]; body?: string; cseq: number; branch?: string; contact?: false },
  ): string {
    const { remoteTag } = this
    return requestText(this.peer, {
      method,
      uri: this.target,
      callId: this.callId,
      fromTag: this.localTag,
      transport: this.#transport,
      ...(remoteTag !== undefined && method !== 'CANCEL' && { toTag: remoteTag }),
      ...options,
    })
  }
}

/** What makes a provisional answer reliable. */
export const reliable = (rseq = 1) =>
  [
    ['Require', '100rel'],
    ['RSeq', String(rseq)],
  ] as const

/** Early media that both sides agree on by PRACK; `headers` are those of the callee's 183. */
export async function agreeEarly(
  bridge: Bridge,
  a: Party,
  invite: Arrival,
  options: { body: string; headers?: readonly (readonly [string, string])[] },
): Promise<Arrival> {
  const { body, headers = [] } = options
  answer(invite, bridge.carrier, 183, { body, headers: [...reliable(), ...headers] })
  const progress = await bridge.pbx.response(183, 'INVITE')
  a.learn(progress)
  a.prack(progress)
  answer(await bridge.carrier.request('PRACK'), bridge.carrier, 200)
  await bridge.pbx.response(200, 'PRACK')
  return progress
}

/** Answers an INVITE or another request of a dialog, with the Contact of the peer. */
export function answer(
  arrival: Arrival,
  peer: SipPeer,
  status: number,
  options: { tag?: string; body?: string; headers?: readonly (readonly [string, string])[] } = {},
): void {
  const { tag = 'callee', body = '', headers = [] } = options
  const type = body === '' ? [] : [['Content-Type', 'application/sdp'] as const]
  const contact = ['Contact', `<sip:callee@${peer.hostPort}>`] as const
  answerWith(arrival, { status, toTag: tag, headers: [contact, ...headers, ...type], body })
}

function contactOf(message: SipMessage): string {
  return parseNameAddr(message.get('Contact') ?? '')?.uri ?? ''
}

function configuration(parts: {
  unused: number
  inside: number
  outside: number
  transport: 'UDP' | 'TCP'
  address: string
  pbx: SipPeer
  carriers: readonly SipPeer[]
  sip: ResolvedSipBehaviour
  accounts: readonly RegistrationConfig[]
  authentication?: InboundAuthenticationConfig
}): RunningConfig {
  const { transport, address, pbx, carriers, sip } = parts
  const registrations = [...parts.accounts]
  const family = { transport, address, ipFamily: address.includes(':') ? 'IPv6' : 'IPv4' } as const
  const place = (peer: SipPeer, listenerName: string, index: number) =>
    target({
      name: `t${index}`,
      host: peer.address,
      port: peer.port,
      transport,
      listener: listenerName,
      priority: index,
    })
  return runningConfig({
    listeners: [
      listener({ name: 'inside', port: parts.inside, ...family }),
      listener({ name: 'outside', port: parts.outside, ...family }),
      // No trunk is on it: whoever sends there is a stranger.
      listener({ name: 'unused', port: parts.unused, ...family }),
    ],
    trunks: [
      trunk({
        name: 'pbx',
        sip,
        registrations,
        ...(parts.authentication && { authentication: parts.authentication }),
        listeners: ['inside'],
        targets: [place(pbx, 'inside', 0)],
      }),
      trunk({
        name: 'carrier',
        sip,
        registrations,
        listeners: ['outside'],
        targets: carriers.map((peer, at) => place(peer, 'outside', at)),
      }),
    ],
    routes: [
      route({ name: 'out', match: { trunks: ['pbx'] }, targets: [{ trunk: 'carrier', sip }] }),
      route({ name: 'in', match: { trunks: ['carrier'] }, targets: [{ trunk: 'pbx', sip }] }),
    ],
  })
}
