import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
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

/** The attempts of one route in order, and what was passed over, with a sentence for each in `because`. */
export function attemptsOf(
  route: RouteConfig,
  config: RunningConfig,
  health: TrunkHealth,
  random: () => number,
): { attempts: Attempt[]; skipped: Set<SkipCause>; because: string[] } {
  const attempts: Attempt[] = []
  const skipped = new Set<SkipCause>()
  const because: string[] = []
  const skip = (cause: SkipCause, sentence: string) => {
    skipped.add(cause)
    because.push(sentence)
  }
  for (const { trunk, sip } of rank(route.targets, random)) {
    const targets = config.trunks.get(trunk)?.targets
    if (targets === undefined) skip('gone', `trunk ${trunk} is not in the configuration`)
    for (const target of rank(targets ?? [], random)) {
      const name = `target ${trunk}/${target.name}`
      const listener = config.listeners.get(target.listener)
      const addresses = addressesOf(trunk, target, health)
      if (listener === undefined) skip('noListener', `${name} skipped: listener ${target.listener} is not open`)
      else if (!health.usable(trunk, target.name)) skip('down', `${name} skipped: keepalive found it down`)
      else if (addresses.length === 0) skip('unresolved', `${name} skipped: ${target.host} has not resolved`)
      else {
        for (const address of addresses) {
          if (isOwnListener(address, target, config)) skip('loop', `${name} skipped: ${address} is this replica itself`)
          else attempts.push({ route: route.name, trunk, target, address, listener, sip })
        }
      }
    }
  }
  return { attempts, skipped, because }
}

function addressesOf(trunk: string, target: TargetConfig, health: TrunkHealth): readonly string[] {
  return isIP(target.host) === 0 ? health.addresses(trunk, target.name) : [target.host]
}

/** A call sent to ourselves would come back as a new call, and again, until Max-Forwards runs out. */
function isOwnListener(address: string, { port, transport }: TargetConfig, config: RunningConfig): boolean {
  for (const listener of config.listeners.values()) {
    if (listener.address === address && listener.port === port && listener.transport === transport) return true
  }
  return false
}
