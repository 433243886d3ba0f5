import type { HuntingScheme, ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { RouteConfig, TargetConfig } from '#api/snapshot.ts'
import { isIP } from 'node:net'
import type { OpenListener, RunningConfig } from '../config/running.ts'
import type { TrunkHealth } from '../trunks/health.ts'

/** One place a call may be sent to. */
export interface Attempt {
  readonly route: string
  readonly trunk: string
  readonly target: TargetConfig
  /** IP address the target's host resolved to, IPv6 without brackets. */
  readonly address: string
  /** Listener the request leaves from. */
  readonly listener: OpenListener
  readonly sip: ResolvedSipBehaviour
}

/** Why a target was passed over. */
export type SkipCause = 'down' | 'unresolved' | 'loop' | 'noListener' | 'gone'

export interface Ranked {
  readonly priority: number
  readonly weight: number
}

/**
 * The order in which to try them: all of a lower priority value first; among equals a weighted draw (RFC 2782), and
 * weight 0 only after all others. `random` gives a number in [0, 1).
 */
export function rank<T extends Ranked>(items: readonly T[], random: () => number): T[] {
  if (items.length < 2) return [...items]
  const priorities = [...new Set(items.map(({ priority }) => priority))].sort((a, b) => a - b)
  return priorities.flatMap((priority) =>
    draw(
      items.filter((item) => item.priority === priority),
      random,
    ),
  )
}

function draw<T extends Ranked>(items: readonly T[], random: () => number): T[] {
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
export function arrange<T extends Ranked>(
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
    case 'Random': {
      const left = [...targets]
      return targets.flatMap(() => left.splice(Math.floor(chance.random() * left.length), 1))
    }
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
    const ready = (targets ?? []).filter((target) => isReady(trunk, target, config, health, skip))
    // Arranged without those that are passed over: the next in turn would get their share as well as its own.
    for (const target of arrange(ready, sip.hunting.scheme, chance, trunk)) {
      attempts.push(...attemptsAt({ route: route.name, trunk, target, sip }, config, health, skip))
    }
  }
  return { attempts, skipped, because }
}

type Skip = (cause: SkipCause, sentence: string) => void

/** An attempt for each address of a target that is ready. */
function attemptsAt(
  place: Pick<Attempt, 'route' | 'trunk' | 'target' | 'sip'>,
  config: RunningConfig,
  health: TrunkHealth,
  skip: Skip,
): Attempt[] {
  const { trunk, target } = place
  const listener = config.listeners.get(target.listener)
  if (listener === undefined) return []
  return addressesOf(trunk, target, health).flatMap((address) => {
    if (!isOwnListener(address, target, config)) return [{ ...place, address, listener }]
    skip('loop', `target ${trunk}/${target.name} skipped: ${address} is this replica itself`)
    return []
  })
}

/** The attempts at one target, and why there is none. */
export function attemptsAtTarget(
  place: Pick<Attempt, 'route' | 'trunk' | 'target' | 'sip'>,
  config: RunningConfig,
  health: TrunkHealth,
): { attempts: Attempt[]; because: string[] } {
  const because: string[] = []
  const skip: Skip = (_cause, sentence) => void because.push(sentence)
  const ready = isReady(place.trunk, place.target, config, health, skip)
  return { attempts: ready ? attemptsAt(place, config, health, skip) : [], because }
}

function isReady(trunk: string, target: TargetConfig, config: RunningConfig, health: TrunkHealth, skip: Skip): boolean {
  const name = `target ${trunk}/${target.name}`
  if (!config.listeners.has(target.listener))
    skip('noListener', `${name} skipped: listener ${target.listener} is not open`)
  else if (!health.usable(trunk, target.name)) skip('down', `${name} skipped: keepalive found it down`)
  else if (addressesOf(trunk, target, health).length === 0)
    skip('unresolved', `${name} skipped: ${target.host} has not resolved`)
  else return true
  return false
}

/** IP addresses of a target. */
export function addressesOf(trunk: string, target: TargetConfig, health: TrunkHealth): readonly string[] {
  return isIP(target.host) === 0 ? health.addresses(trunk, target.name) : [target.host]
}

/** A call sent to ourselves would come back as a new call, and again, until Max-Forwards runs out. */
function isOwnListener(address: string, { port, transport }: TargetConfig, config: RunningConfig): boolean {
  for (const listener of config.listeners.values()) {
    if (listener.transport !== transport) continue
    if (listener.address === address && listener.port === port) return true
    if (listener.bound?.address === address && listener.bound.port === port) return true
  }
  return false
}
