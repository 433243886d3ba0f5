import type { HuntingScheme, ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { RouteConfig, TargetConfig } from '#api/snapshot.ts'
import { isIP } from 'node:net'
import type { OpenListener, RunningConfig } from '../config/running.ts'
import { byPriority, lastOf, shuffled, type Weighted } from '../dns/selection.ts'
import type { CallEndpoint, TrunkHealth } from '../trunks/health.ts'

/** One place a call may be sent to. */
export interface Attempt {
  readonly route: string
  readonly trunk: string
  readonly target: TargetConfig
  /** IP address the target's host resolved to, IPv6 without brackets. */
  readonly address: string
  readonly port: number
  /** Listener the request leaves from. */
  readonly listener: OpenListener
  readonly sip: ResolvedSipBehaviour
}

/** Why a target was passed over. */
export type SkipCause = 'down' | 'unresolved' | 'loop' | 'noListener' | 'gone'

/**
 * The order in which to try them: all of a lower priority value first; among equals a weighted draw (RFC 2782), and
 * weight 0 only after all others. `random` gives a number in [0, 1).
 */
export function rank<T extends Weighted>(items: readonly T[], random: () => number): T[] {
  return byPriority(items, (equals) => draw(equals, random))
}

function draw<T extends Weighted>(items: readonly T[], random: () => number): T[] {
  const left = items.filter(({ weight }) => weight > 0)
  const order: T[] = []
  while (left.length > 0) {
    let mark = random() * left.reduce((sum, { weight }) => sum + weight, 0)
    const index = left.findIndex(({ weight }) => (mark -= weight) < 0)
    order.push(...left.splice(Math.max(0, index), 1))
  }
  return [...order, ...items.filter(({ weight }) => weight === 0)]
}

/** What the order of targets depends on besides the configuration. */
export interface Chance {
  /** Gives a number in [0, 1). */
  readonly random: () => number
  /** Counts the calls to a trunk: how many there were before this one. */
  readonly turn: (trunk: string) => number
}

/** The targets of a trunk in the order in which its scheme of hunting tries them (feature item 9). */
export function arrange<T extends Weighted>(
  targets: readonly T[],
  scheme: HuntingScheme,
  chance: Chance,
  trunk: string,
): T[] {
  if (targets.length < 2) return [...targets]
  switch (scheme) {
    case 'Priority':
      return rank(targets, chance.random)
    case 'Weighted':
      return draw(targets, chance.random)
    case 'Random':
      return shuffled(targets, chance.random)
    case 'RoundRobin': {
      const first = chance.turn(trunk) % targets.length
      return [...targets.slice(first), ...targets.slice(0, first)]
    }
  }
}

/** The attempts of one route in order, and what was passed over, with a sentence for each in `because`. */
export function attemptsOf(
  route: RouteConfig,
  config: RunningConfig,
  health: TrunkHealth,
  chance: Chance,
): { attempts: Attempt[]; skipped: Set<SkipCause>; because: string[] } {
  const attempts: Attempt[] = []
  const skipped = new Set<SkipCause>()
  const because: string[] = []
  const skip: Skip = (cause, sentence) => {
    skipped.add(cause)
    because.push(sentence)
  }
  for (const { trunk, sip } of rank(route.targets, chance.random)) {
    const targets = config.trunks.get(trunk)?.targets
    if (targets === undefined) skip('gone', `trunk ${trunk} is not in the configuration`)
    const ready = (targets ?? []).flatMap(
      (target) => readyTarget(trunk, target, config, health, chance.random, skip) ?? [],
    )
    // Arranged without those that are passed over: the next in turn would get their share as well as its own.
    const order = arrange(ready, sip.hunting.scheme, chance, trunk)
    for (const one of lastOf(order, isPassedOver)) {
      attempts.push(...attemptsAt({ route: route.name, trunk, sip }, one, config, skip))
    }
  }
  return { attempts, skipped, because }
}

type Skip = (cause: SkipCause, sentence: string) => void

/** An attempt for each endpoint of a target that is ready. */
function attemptsAt(
  place: Pick<Attempt, 'route' | 'trunk' | 'sip'>,
  { target, listener, endpoints }: ReadyTarget,
  config: RunningConfig,
  skip: Skip,
): Attempt[] {
  return endpoints.flatMap(({ address, port }) => {
    if (!isOwnListener(address, port, target, config)) return [{ ...place, target, address, port, listener }]
    skip('loop', `target ${place.trunk}/${target.name} skipped: ${address} is this replica itself`)
    return []
  })
}

/** The attempts at one target, and why there is none. */
export function attemptsAtTarget(
  place: Pick<Attempt, 'route' | 'trunk' | 'target' | 'sip'>,
  config: RunningConfig,
  health: TrunkHealth,
  random: () => number,
): { attempts: Attempt[]; because: string[] } {
  const because: string[] = []
  const skip: Skip = (_cause, sentence) => void because.push(sentence)
  const { target, ...elsewhere } = place
  const ready = readyTarget(place.trunk, target, config, health, random, skip)
  return { attempts: ready === undefined ? [] : attemptsAt(elsewhere, ready, config, skip), because }
}

interface ReadyTarget extends Weighted {
  readonly target: TargetConfig
  readonly listener: OpenListener
  readonly endpoints: readonly CallEndpoint[]
}

function readyTarget(
  trunk: string,
  target: TargetConfig,
  { listeners }: RunningConfig,
  health: TrunkHealth,
  random: () => number,
  skip: Skip,
): ReadyTarget | undefined {
  const name = `target ${trunk}/${target.name}`
  const { host, priority, weight } = target
  const listener = listeners.get(target.listener)
  if (listener === undefined) skip('noListener', `${name} skipped: listener ${target.listener} is not open`)
  else if (!health.usable(trunk, target.name)) skip('down', `${name} skipped: keepalive found it down`)
  else {
    const endpoints = endpointsOf(trunk, target, health, random)
    if (endpoints.length > 0) return { target, listener, endpoints, priority, weight }
    skip('unresolved', `${name} skipped: ${host} has not resolved`)
  }
  return undefined
}

/** Endpoints of a target in the order in which a call tries them; an address is one by itself. */
export function endpointsOf(
  trunk: string,
  { name, host, port }: TargetConfig,
  health: TrunkHealth,
  random: () => number,
): readonly CallEndpoint[] {
  const known = health.endpoints(trunk, name, random)
  if (known.length > 0 || isIP(host) === 0 || port === undefined) return known
  return [{ address: host, port, isPassedOver: false }]
}

/** Where calls failed of late, others are better (RFC 3263 section 4.3). */
function isPassedOver({ endpoints }: ReadyTarget): boolean {
  return endpoints.every((endpoint) => endpoint.isPassedOver)
}

/** A call sent to ourselves would come back as a new call, and again, until Max-Forwards runs out. */
function isOwnListener(address: string, port: number, { transport }: TargetConfig, config: RunningConfig): boolean {
  for (const listener of config.listeners.values()) {
    if (listener.transport !== transport) continue
    if (listener.address === address && listener.port === port) return true
    if (listener.bound?.address === address && listener.bound.port === port) return true
  }
  return false
}
