import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { InboundAuthenticationConfig, RegistrationConfig, TrunkConfig } from '#api/snapshot.ts'
import type { Log } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import type { OpenListener, RunningConfig } from '../../config/running.ts'
import { health, listener, route, runningConfig, target, trunk } from '../../policy/testing/configuration.ts'
import { FakeSipPort, type FakeIncoming, type FakeOutgoing } from '../../sip/fake-sip-port.ts'
import type { Body, HeaderList } from '../../sip/port.ts'
import type { CallRecord, EndCause } from '../call-record.ts'
import { Calls, type CallsOptions } from '../calls.ts'

/** Where the caller is, and the address media comes from: everything that must stay on its side of the fleet. */
export const near = { signalling: '10.66.0.5', media: '10.66.9.9', host: 'inside-pbx.corp.example' }

/** Where the callee is, and what its messages tell of that. */
export const far = {
  host: 'gateway.example',
  media: '198.51.100.99',
  headers: [
    ['Contact', '<sip:2000@198.51.100.77:5062>'],
    ['Record-Route', '<sip:198.51.100.78;lr>'],
    ['Server', 'FarGateway/2.0'],
    ['User-Agent', 'FarGateway/2.0'],
    ['Warning', '399 gateway.example "far"'],
  ] as HeaderList,
}

/** The caller's session description; `media` is what may be seen on the far side. */
export function sdp(media: string, version = 1): Body {
  const content =
    `v=0\r\no=near-user 1 ${version} IN IP4 ${near.signalling}\r\ns=near session\r\nc=IN IP4 ${near.media}\r\n` +
    `t=0 0\r\nm=audio ${media} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n`
  return { content, type: 'application/sdp' }
}

/** The callee's. */
export function farSdp(media: string, version = 1): Body {
  const content =
    `v=0\r\no=far 7 ${version} IN IP4 198.51.100.77\r\ns=far\r\nc=IN IP4 ${far.media}\r\nt=0 0\r\n` +
    `m=audio ${media} RTP/AVP 0\r\n`
  return { content, type: 'application/sdp' }
}

export interface Scenario {
  readonly sip: FakeSipPort
  readonly calls: Calls
  readonly clock: ManualClock
  readonly ended: EndCause[]
  readonly answered: CallRecord[]
  readonly errors: object[]
  running: RunningConfig | undefined
  /** The PBX calls. Headers come after those of a plain INVITE and take the place of equal names. */
  readonly invite: (options?: { headers?: HeaderList; body?: Body | 'none'; uri?: string }) => FakeIncoming
  /** A request of the caller inside its dialog. */
  readonly fromA: (
    invite: FakeIncoming,
    method: string,
    options?: { headers?: HeaderList; body?: Body },
  ) => FakeIncoming
  /** A request of the callee inside its dialog. */
  readonly fromB: (leg: FakeOutgoing, method: string, options?: { headers?: HeaderList; body?: Body }) => FakeIncoming
  readonly ack: (invite: FakeIncoming, body?: Body) => void
  /** A call that is up, with both ACKs done. */
  readonly connect: () => { invite: FakeIncoming; b: FakeOutgoing }
}

export type ScenarioAccounts = Readonly<Partial<Record<'pbx' | 'carrier', readonly RegistrationConfig[]>>>

/** A fleet between a PBX (10.66.0.5) and a carrier with three targets (198.51.100.1 to .3), hunted in that order. */
export function createScenario(
  options: {
    /** Behaviour of both legs; of leg B alone where `inbound` is given. */
    sip?: Partial<ResolvedSipBehaviour>
    inbound?: ResolvedSipBehaviour
    targets?: number
    /** What carries anchored media. */
    engines?: CallsOptions['engines']
    /** With which the challenges of the PBX and of the carrier are answered. */
    accounts?: ScenarioAccounts
    /** What the PBX has to prove. */
    authentication?: InboundAuthenticationConfig
    /** Another trunk, which no route leads to, with a listener of its own. */
    besides?: { trunk: TrunkConfig; listener: OpenListener }
  } = {},
): Scenario {
  const behaviour = { ...builtInBehaviour, ...options.sip }
  const carrierTargets = Array.from({ length: options.targets ?? 3 }, (_, index) =>
    target({ name: `t${index + 1}`, host: `198.51.100.${index + 1}`, priority: index }),
  )
  const { besides } = options
  const running = runningConfig({
    ...(besides && { listeners: [listener({ name: 'udp' }), besides.listener] }),
    trunks: [
      ...(besides === undefined ? [] : [besides.trunk]),
      trunk({
        name: 'pbx',
        targets: [target({ name: 'main', host: near.signalling })],
        registrations: [...(options.accounts?.pbx ?? [])],
        ...(options.authentication && { authentication: options.authentication }),
      }),
      trunk({ name: 'carrier', targets: carrierTargets, registrations: [...(options.accounts?.carrier ?? [])] }),
    ],
    routes: [
      route({
        name: 'out',
        match: { trunks: ['pbx'], calledPattern: '[0-9+]+' },
        targets: [{ trunk: 'carrier', sip: behaviour }],
        inbound: { pbx: options.inbound ?? behaviour },
      }),
    ],
  })
  const sip = new FakeSipPort()
  const clock = new ManualClock()
  const ended: EndCause[] = []
  const answered: CallRecord[] = []
  const errors: object[] = []
  const state = { running: running as RunningConfig | undefined }
  const calls = new Calls({
    sip,
    ...(options.engines && { engines: options.engines }),
    running: {
      get current() {
        return state.running
      },
      onChange: () => {},
    },
    health: health(running),
    clock,
    log: quietLog(errors),
    random: () => 0.5,
    events: { answered: (call) => answered.push(call), ended: (_call, cause) => ended.push(cause) },
  })
  calls.start()
  return {
    sip,
    calls,
    clock,
    ended,
    answered,
    errors,
    get running() {
      return state.running
    },
    set running(next) {
      state.running = next
    },
    ...actions(sip),
  }
}

function actions(sip: FakeSipPort): Pick<Scenario, 'invite' | 'fromA' | 'fromB' | 'ack' | 'connect'> {
  const invite: Scenario['invite'] = ({ headers = [], body = sdp('4000'), uri = 'sip:2000@203.0.113.1' } = {}) =>
    sip.receive({
      method: 'INVITE',
      uri,
      headers: [...nearHeaders.filter(([name]) => !headers.some(([given]) => given === name)), ...headers],
      ...(body !== 'none' && { body }),
      source: { address: near.signalling, port: 5060, transport: 'UDP' },
      receivedOn: { address: '203.0.113.1', port: 5060 },
    })
  const ack: Scenario['ack'] = (request, body) =>
    void sip.receive({
      method: 'ACK',
      dialogId: request.openedDialog,
      transactionId: request.transactionId,
      ...(body !== undefined && { body }),
    })
  return {
    invite,
    ack,
    fromA: (request, method, options = {}) =>
      sip.receive({
        method,
        dialogId: request.openedDialog,
        ...options,
        headers: [...nearInDialog, ...(options.headers ?? [])],
      }),
    fromB: (leg, method, options = {}) => sip.receive({ method, dialogId: leg.dialogId, ...options }),
    connect() {
      const request = invite()
      const b = sip.last('INVITE')
      b.respond(200, { body: farSdp('5000') })
      ack(request)
      return { invite: request, b }
    },
  }
}

/** What tells of the near side in every request of the PBX. */
const nearInDialog: HeaderList = [
  ['Via', `SIP/2.0/UDP ${near.signalling}:5060;branch=z9hG4bKnear-branch;received=10.66.0.6`],
  ['From', `"Alice" <sip:1000@${near.host}>;tag=near-tag`],
  ['Call-ID', `near-call-id@${near.host}`],
  ['Contact', `<sip:1000@${near.signalling}:5061;transport=udp>`],
  ['Record-Route', '<sip:10.66.0.8;lr>'],
  ['User-Agent', 'NearPBX/1.0'],
  ['Server', 'NearPBX/1.0'],
  ['Warning', `399 ${near.host} "near"`],
  ['Call-Info', `<http://${near.host}/photo.png>;purpose=icon`],
  ['X-Near', near.host],
  ['In-Reply-To', `near-call-id@${near.host}`],
]

const nearHeaders: HeaderList = [...nearInDialog, ['To', `<sip:2000@${near.host}>`], ['Max-Forwards', '70']]

function quietLog(errors: object[]): Log {
  const nothing = () => {}
  const log: Log = {
    level: 'error',
    trace: nothing,
    debug: nothing,
    info: nothing,
    warn: nothing,
    error: (fields) => void errors.push(fields),
    child: () => log,
  }
  return log
}
