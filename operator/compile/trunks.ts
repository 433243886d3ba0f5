import { answersHere } from '#api/session-behaviour.ts'
import type { SecretManifest, SipTrunk, Target } from '#api/sip-trunk.ts'
import type { Transport } from '#api/fields.ts'
import type { TargetConfig, TrunkConfig } from '#api/snapshot.ts'
import type { Listener, VoiceService } from '#api/voice-service.ts'
import { didYouMean } from '#lib/nearest.ts'
import { canonicalBlock, canonicalHost } from './address.ts'
import { compileAuthentication } from './authentication.ts'
import { compileTrunkTls, isSecure } from './certificates.ts'
import { Findings, isFault, placed, type Check, type Part } from './check.ts'
import { Claims, sourceClaims, targetClaims } from './claims.ts'
import { located, type Located } from './located.ts'
import { noteTrunkLimits } from './engine-limits.ts'
import { hasListener, hostIsWellFormed, listenerTowards, type TrunkContext } from './listeners.ts'
import { goodTrunk } from './last-good.ts'
import type { Memory } from './memory.ts'
import { compileRegistrations } from './registrations.ts'
import { engineBehaviour, resolveBehaviour } from './resolve-behaviour.ts'
import { verdict, type Verdict } from './verdict.ts'
import { fullName, idOf, type World } from './world.ts'

type ListenerPart = Part<string, { readonly fleet: string; readonly listeners: readonly Listener[] }>
type SourcePart = Part<string, TrunkContext>
type TargetPart = Part<Located<Target>, TrunkContext>
interface MediaPart {
  readonly trunk: SipTrunk
  readonly voiceService: VoiceService
}
interface ProbesPart {
  readonly trunk: SipTrunk
  readonly targets: readonly Target[]
  readonly listeners: readonly Listener[]
}

const listenerChecks: readonly Check<ListenerPart>[] = [
  listenerExists, // a name that is not in the VoiceService binds nothing
]

const targetChecks: readonly Check<TargetPart>[] = [
  hostIsWellFormed, // what is neither an address nor a name never answers
  hasListener, // calls have to leave from somewhere
  targetIsNew, // the same peer twice is probed twice and gets twice its share
  targetIsUnclaimed, // calls from the peer could be of either trunk
]

const probeChecks: readonly Check<ProbesPart>[] = [
  probesHaveListener, // OPTIONS of another transport than calls have to leave from somewhere, too
]

const dnsChecks: readonly Check<SipTrunk>[] = [
  pointersAreAsked, // a wish that nothing comes of is a mistake
]

const mediaChecks: readonly Check<MediaPart>[] = [
  mediaHasEngine, // calls whose media nobody carries are refused
]

const midcallChecks: readonly Check<MediaPart>[] = [
  midcallHasMedia, // offers cannot be answered here where media is not
]

const updateChecks: readonly Check<MediaPart>[] = [
  earlyOffersHaveMedia, // nor can those before the call is answered
]

const sourceChecks: readonly Check<SourcePart>[] = [
  sourceIsBlock, // what is no address lets nobody in
  sourceIsUnclaimed, // calls from there could be of either trunk
]

export interface CompiledTrunk extends Verdict {
  readonly trunk: SipTrunk
  /** Undefined when nothing of the trunk could be used. */
  readonly config: TrunkConfig | undefined
  /** Whether nothing is wrong with `trunk` itself. */
  readonly isGood: boolean
}

/** What came of compiling one manifest, and what of it nobody else may claim should it be used. */
interface Attempt extends CompiledTrunk {
  readonly findings: Findings['list']
  readonly claim: () => void
}

/** Compiles the trunks of a fleet, oldest first, so that of two that claim one source the older keeps it. */
export function compileTrunks(
  world: World,
  secrets: ReadonlyMap<string, SecretManifest>,
  memory: Memory,
): CompiledTrunk[] {
  const claims = new Claims()
  return world.trunks
    .toSorted(bySeniority)
    .map((trunk) => memory.trunk(trunk, claims, () => compileOrKeep(trunk, world, secrets, claims)))
}

/** A bad manifest never replaces a good one: of a trunk that has turned invalid, the last good version is used. */
function compileOrKeep(
  trunk: SipTrunk,
  world: World,
  secrets: ReadonlyMap<string, SecretManifest>,
  claims: Claims,
): CompiledTrunk {
  const asked = compileTrunk(trunk, world, secrets, claims)
  const good = asked.findings.some(isFault)
    ? goodTrunk(trunk, world.lastGood?.trunks.get(trunk.metadata.name))
    : undefined
  const kept = good && compileTrunk(good, world, secrets, claims)
  const { claim, findings: _, ...compiled } = kept?.config === undefined ? asked : kept
  claim()
  if (good === undefined || kept?.config === undefined) return compiled
  const instead = good.metadata.generation ?? 0
  return { ...compiled, isGood: true, ...verdict(idOf(trunk), asked.findings, { instead }) }
}

function compileTrunk(
  trunk: SipTrunk,
  { voiceService, nonceRoot }: World,
  secrets: ReadonlyMap<string, SecretManifest>,
  claims: Claims,
): Attempt {
  const { spec, metadata } = trunk
  const fleet = fullName(voiceService)
  const findings = new Findings()
  const listeners = listenersOf(trunk, fleet, voiceService.spec.listeners, findings)
  const registers = spec.registration !== undefined
  const context: TrunkContext = { namespace: metadata.namespace, fleet, listeners, secrets, claims, registers }
  // Without a listener every other part would fail for the same cause; one message says it.
  if (listeners.length === 0) return leftOut(trunk, findings)

  const tls = compileTrunkTls(trunk, context, findings)
  const mayUse = ({ transport }: { transport: Transport }) => tls !== undefined || !isSecure(transport)
  const targets = findings
    .sift(
      placed(spec.targets, 'spec.targets').map((part) => ({ ...part, value: located(part.value, spec.dns.mode) })),
      context,
      targetChecks,
    )
    .filter(({ value }) => mayUse(value))
  const sources = findings.sift(placed(spec.access.allowedSources, 'spec.access.allowedSources'), context, sourceChecks)
  const registrations = compileRegistrations(trunk, context, findings).filter(mayUse)
  const authentication = compileAuthentication(trunk, { ...context, nonceRoot }, findings)
  if (targets.length === 0) return leftOut(trunk, findings)

  const claim = () => {
    for (const { value } of targets) claims.add(metadata.name, targetClaims(value, listeners), context)
    for (const { value } of sources) claims.add(metadata.name, sourceClaims(value, listeners), { registers: false })
  }
  findings.passes(
    { trunk, targets: targets.map(({ value }) => value), listeners },
    'spec.keepalive.transport',
    probeChecks,
  )
  findings.passes(trunk, 'spec.dns.mode', dnsChecks)
  findings.passes({ trunk, voiceService }, 'spec.sip.media.mode', mediaChecks)
  findings.passes({ trunk, voiceService }, 'spec.sip.midcall.mode', midcallChecks)
  findings.passes({ trunk, voiceService }, 'spec.sip.update.early', updateChecks)
  noteTrunkLimits(trunk, voiceService, findings)
  const { transport, ...keepalive } = spec.keepalive
  const config: TrunkConfig = {
    type: 'Trunk',
    name: metadata.name,
    listeners: listeners.map(({ name }) => name),
    targets: targets.map(({ value }) => targetConfig(value, transport, listeners)),
    allowedSources: sources.map(({ value }) => canonicalBlock(value) ?? value),
    ...authentication,
    registrations,
    registrationPolicy: spec.registration?.policy ?? 'All',
    keepalive,
    ...(spec.admission && { admission: spec.admission }),
    ...(tls !== undefined && listeners.some(({ transport: one }) => isSecure(one)) && { tls }),
    sip: resolveBehaviour(engineBehaviour(voiceService), spec.sip, voiceService.spec.sip),
  }
  const isGood = !findings.list.some(isFault)
  return { trunk, config, isGood, ...verdict(idOf(trunk), findings.list, true), findings: findings.list, claim }
}

function leftOut(trunk: SipTrunk, { list: findings }: Findings): Attempt {
  return {
    trunk,
    config: undefined,
    isGood: false,
    ...verdict(idOf(trunk), findings, false),
    findings,
    claim: () => {},
  }
}

/** A target whose probes could leave from no listener is probed as calls go. */
function targetConfig(
  target: Located<Target>,
  probeTransport: Transport | undefined,
  listeners: readonly Listener[],
): TargetConfig {
  const config = { ...target, listener: listenerTowards(target, listeners)?.name ?? '' }
  if (probeTransport === undefined || probeTransport === target.transport) return config
  const listener = listenerTowards({ ...target, transport: probeTransport }, listeners)
  return listener === undefined ? config : { ...config, probe: { transport: probeTransport, listener: listener.name } }
}

function listenersOf(trunk: SipTrunk, fleet: string, all: readonly Listener[], findings: Findings): Listener[] {
  if (trunk.spec.listeners === undefined) return [...all]
  const names = placed(trunk.spec.listeners, 'spec.listeners')
  return findings
    .sift(names, { fleet, listeners: all }, listenerChecks)
    .flatMap(({ value }) => all.find(({ name }) => name === value) ?? [])
}

function listenerExists({ value, context }: ListenerPart) {
  const names = context.listeners.map(({ name }) => name)
  if (names.includes(value)) return undefined
  return {
    unresolved: 'ListenerNotFound' as const,
    message: `VoiceService ${context.fleet} has no listener "${value}"${didYouMean(value, names) || `; it has ${names.join(', ')}`}`,
  }
}

function probesHaveListener({ trunk, targets, listeners }: ProbesPart) {
  const { transport } = trunk.spec.keepalive
  if (transport === undefined) return undefined
  const without = targets.filter((target) => listenerTowards({ ...target, transport }, listeners) === undefined)
  if (without.length === 0) return undefined
  return {
    message: `no listener of the trunk has ${transport} towards ${without.map(({ name }) => name).join(', ')}, so OPTIONS go there as calls do; add a ${transport} listener to the VoiceService, or remove keepalive.transport`,
  }
}

function pointersAreAsked({ spec }: SipTrunk) {
  if (spec.dns.mode !== 'NaptrSrvA') return undefined
  const peers = [...spec.targets, ...(spec.registration?.registrars ?? [])]
  if (peers.some((peer) => located(peer, 'NaptrSrvA').port === undefined)) return undefined
  return {
    message:
      'no NAPTR record is ever asked for, since every target and registrar is an address or has a port; remove the port of a name, or use SrvThenA',
  }
}

function mediaHasEngine({ trunk, voiceService }: MediaPart) {
  if (trunk.spec.sip?.media?.mode !== 'Anchor' || voiceService.spec.media.engines.length > 0) return undefined
  return {
    message: `VoiceService ${fullName(voiceService)} has no media engines, so calls of this trunk get 503; add one to its spec.media.engines, or use Bypass`,
  }
}

function midcallHasMedia({ trunk, voiceService }: MediaPart) {
  const { midcall, media } = resolveBehaviour(trunk.spec.sip, voiceService.spec.sip)
  if (!answersHere(midcall.mode) || media.mode === 'Anchor') return undefined
  return {
    message: `${midcall.mode} answers offers inside a call in the name of the other peer, which needs media.mode Anchor; with ${media.mode} every one that changes something gets 488`,
  }
}

function earlyOffersHaveMedia({ trunk, voiceService }: MediaPart) {
  const { update, media } = resolveBehaviour(trunk.spec.sip, voiceService.spec.sip)
  if (update.early === 'PassThrough' || media.mode === 'Anchor') return undefined
  return {
    message: `${update.early} answers offers before the call is up in the name of the other peer, which needs media.mode Anchor; with ${media.mode} every one gets 488`,
  }
}

function targetIsNew({ value, earlier }: TargetPart) {
  const same = earlier.find(({ value: other }) => peerOf(other) === peerOf(value))
  if (same === undefined) return undefined
  return {
    message: `the same peer as ${same.field} ("${same.value.name}": ${peerOf(value)}); remove one, and set its weight instead`,
  }
}

function targetIsUnclaimed({ value, context }: TargetPart) {
  const owner = context.claims.owner(targetClaims(value, context.listeners), context)
  if (owner === undefined) return undefined
  return {
    message: `calls from ${peerOf(value)} are taken for SipTrunk ${context.namespace}/${owner}, which has the same target on the same listener; give one of the trunks a listener of its own, or let both register, so that the Contact tells`,
  }
}

function sourceIsBlock({ value }: SourcePart) {
  if (canonicalBlock(value) !== undefined) return undefined
  return { message: `"${value}" is not an IP address or a block such as 192.0.2.0/24 or 2001:db8::/32` }
}

function sourceIsUnclaimed({ value, context }: SourcePart) {
  const owner = context.claims.owner(sourceClaims(value, context.listeners), { registers: false })
  if (owner === undefined) return undefined
  return {
    message: `calls from ${value} are taken for SipTrunk ${context.namespace}/${owner}, which allows the same source on the same listener; remove it from one of them, or give one of the trunks a listener of its own`,
  }
}

function peerOf({ host, port, transport }: Target): string {
  const name = host.includes(':') ? `[${canonicalHost(host)}]` : canonicalHost(host)
  return `${transport} ${name}${port === undefined ? '' : `:${port}`}`
}

/** Oldest first. A resource that no API server has stored has no age yet and comes last. */
function bySeniority(a: SipTrunk, b: SipTrunk): number {
  const age = compareText(a.metadata.creationTimestamp ?? 'never', b.metadata.creationTimestamp ?? 'never')
  return age === 0 ? compareText(a.metadata.name, b.metadata.name) : age
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
