import type { SipBehaviour } from '#api/sip-behaviour.ts'
import type { SipTrunk } from '#api/sip-trunk.ts'
import type { Listener, VoiceService } from '#api/voice-service.ts'
import { isSecure } from './certificates.ts'
import { type Findings, placed, type Placed } from './check.ts'

/** What was asked for and drachtio-server cannot do, by its field. docs/engines.md has the whole list. */
type Limit = Placed<string>

/** Notes what a VoiceService asks for that its engine cannot do. Nothing is left out for it. */
export function noteFleetLimits({ spec }: VoiceService, findings: Findings): void {
  note(findings, spec.engine, [
    ...placed(spec.listeners, 'spec.listeners').flatMap(({ value, field }) => [
      ...listenerLimits(value, field),
      ...sharedLimits(value, field, spec.listeners),
    ]),
    ...timerLimits(spec.sip, 'spec.sip'),
    ...placed(spec.routes, 'spec.routes').flatMap(({ value, field }) => timerLimits(value.sip, `${field}.sip`)),
  ])
}

/** The same of a trunk. */
export function noteTrunkLimits({ spec }: SipTrunk, voiceService: VoiceService, findings: Findings): void {
  note(findings, voiceService.spec.engine, [
    ...timerLimits(spec.sip, 'spec.sip'),
    ...[
      ...placed(spec.targets, 'spec.targets'),
      ...placed(spec.registration?.registrars ?? [], 'spec.registration.registrars'),
    ].flatMap(({ value, field }) => (isSecure(value.transport) ? [uncheckedPeer(`${field}.transport`)] : [])),
  ])
}

function note(findings: Findings, engine: VoiceService['spec']['engine'], limits: readonly Limit[]): void {
  if (engine !== 'Drachtio') return
  for (const { value: message, field } of limits) findings.passes(undefined, field, [() => ({ message, limit: true })])
}

function timerLimits(sip: SipBehaviour | undefined, field: string): Limit[] {
  const { sessionTimer } = sip ?? {}
  if (sessionTimer === undefined || (sessionTimer.mode === 'Disabled' && sessionTimer.takeRefresherRole !== 'Always')) {
    return []
  }
  return [
    {
      field: `${field}.sessionTimer`,
      value:
        'drachtio-server runs session timers by itself, on each leg, and nothing of this reaches it; set mode: Disabled, or use engine: Embedded',
    },
  ]
}

function uncheckedPeer(field: string): Limit {
  return {
    field,
    value:
      'drachtio-server does not check the certificate of who it connects to, so that anyone can stand in for this peer; use engine: Embedded where that matters',
  }
}

/** What a listener by itself can ask for in vain. */
const listenerRules: readonly {
  readonly field: string
  readonly asks: (listener: Listener) => boolean
  readonly message: string
}[] = [
  {
    field: 'tls.clientCaRef',
    asks: ({ tls }) => tls?.clientCaRef !== undefined,
    message:
      'drachtio-server does not tell whose certificate a client has shown, so that replicas refuse this listener; remove clientCaRef, or use engine: Embedded',
  },
  {
    field: 'tls.additionalSecretRefs',
    asks: ({ tls }) => tls !== undefined && tls.additionalSecretRefs.length > 0,
    message: 'drachtio-server has one certificate for all names; remove them, or use engine: Embedded',
  },
  {
    field: 'advertisedPort',
    asks: ({ port, advertisedPort = port }) => advertisedPort !== port,
    message:
      'drachtio-server tells peers the port that it listens on, so that replicas refuse this listener; remove advertisedPort, or use engine: Embedded',
  },
  {
    field: 'ipFamily',
    asks: ({ ipFamily }) => ipFamily === 'IPv6',
    message:
      'drachtio-server never sends the ACK of a call over IPv6, so that replicas refuse this listener; remove it, or use engine: Embedded',
  },
]

function listenerLimits(listener: Listener, field: string): Limit[] {
  return listenerRules
    .filter(({ asks }) => asks(listener))
    .map((rule) => ({ field: `${field}.${rule.field}`, value: rule.message }))
}

/** What listeners share in one server, told at the later one. */
function sharedLimits(listener: Listener, field: string, all: readonly Listener[]): Limit[] {
  const { tls, transport, ipFamily } = listener
  const earlier = all.slice(0, all.indexOf(listener))
  const rival = earlier.find((one) => one.transport === transport && one.ipFamily === ipFamily)
  const certified = earlier.find((one) => one.tls !== undefined)
  const limits: Limit[] = []
  if (rival !== undefined) {
    const value = `drachtio-server chooses by itself which of its ${transport} sockets a request leaves from, so that it may be that of listener "${rival.name}"; keep one of each transport, or use engine: Embedded`
    limits.push({ field, value })
  }
  if (tls !== undefined && certified !== undefined && certified.tls?.secretRef.name !== tls.secretRef.name) {
    const value = `drachtio-server has one certificate, which is that of listener "${certified.name}"; give both the same Secret, or use engine: Embedded`
    limits.push({ field: `${field}.tls.secretRef`, value })
  }
  return limits
}
