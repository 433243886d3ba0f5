import type { ResolvedSipBehaviour } from '#api/sip-behaviour.ts'
import type { TrunkConfig } from '#api/snapshot.ts'
import type { RunningConfig } from '../config/running.ts'
import type { TrunkHealth } from '../trunks/health.ts'
import { findInboundTrunk, type Origin, type Source } from './inbound-trunk.ts'
import { nextMaxForwards } from './max-forwards.ts'
import { type CompiledRoute, mismatch, type RoutedCall } from './route-match.ts'
import { type Attempt, attemptsOf, type Chance, type SkipCause } from './targets.ts'

/** What a call is decided by. Numbers have their %-escapes decoded. */
export interface CallRequest {
  readonly source: Source
  /** User part of the Request-URI, or the number of a tel: URI. */
  readonly called: string
  /** User part of the From URI, or the number of a tel: URI. */
  readonly calling: string
  /** Value of Max-Forwards; undefined when it is missing. */
  readonly maxForwards: string | undefined
}

export type Verdict =
  | {
      readonly kind: 'Route'
      readonly trunk: TrunkConfig
      /** Behaviour of the leg the call came in on. */
      readonly inbound: ResolvedSipBehaviour
      /** At least one, in the order in which they are tried. */
      readonly attempts: readonly [Attempt, ...Attempt[]]
    }
  | {
      readonly kind: 'Reject'
      readonly trunk: TrunkConfig
      readonly status: number
      /** Set when every target is down: what the answer has besides the status. */
      readonly errors?: ResolvedSipBehaviour['errors']
    }
  /** No trunk's source: it gets no answer. */
  | { readonly kind: 'Ignore' }

export interface Decision {
  readonly verdict: Verdict
  /** Every step that led there, a sentence each. */
  readonly because: readonly string[]
}

/** At 4 s without a response each, as built in, more could not be tried while the caller waits. */
const mostAttempts = 32

export interface DecideOptions {
  /** Gives a number in [0, 1), for the weights. */
  readonly random?: () => number
  /** Counts the calls to a trunk, for hunting in turn; the first is always taken when left out. */
  readonly turn?: (trunk: string) => number
  /** The trunk that the call comes from, where that is known. */
  readonly origin?: Origin
  /** Says of every route that does not match why not. Costs a sentence a route, so calls do without. */
  readonly everyRoute?: boolean
}

/**
 * Where a call goes, and why. All matching routes count, in their order: when every target of one is down or refuses,
 * the next takes the call.
 */
export function decide(
  call: CallRequest,
  config: RunningConfig,
  health: TrunkHealth,
  { random = Math.random, turn = () => 0, everyRoute = false, origin }: DecideOptions = {},
): Decision {
  const { trunk, because: where } = origin ?? findInboundTrunk(call.source, config, health)
  const because = [where]
  if (trunk === undefined) return { verdict: { kind: 'Ignore' }, because }
  if (origin === undefined && trunk.authentication !== undefined) {
    because.push(`it has to have the password of a user of realm "${trunk.authentication.realm}"`)
  }
  const reject = (status: number, sentence: string): Decision => {
    because.push(`${sentence}: ${status}`)
    return { verdict: { kind: 'Reject', trunk, status }, because }
  }
  if (nextMaxForwards(call.maxForwards, 70) === undefined) return reject(483, 'Max-Forwards is 0')
  const routed = { trunk: trunk.name, called: call.called, calling: call.calling }
  const routes = config.routes.matching(routed)
  because.push(
    ...(everyRoute
      ? explainRoutes(config.routes.inOrder, routed)
      : [`${routes.length} of ${config.routes.inOrder.length} routes match`]),
  )
  const first = routes[0]
  if (first === undefined) return reject(404, `no route for ${call.called}`)
  const inbound = first.config.inbound[trunk.name] ?? trunk.sip
  const { attempts, skipped } = gatherAttempts(routes, config, health, { random, turn: oncePerCall(turn) }, because)
  const [attempt, ...others] = attempts
  if (attempt !== undefined) {
    return { verdict: { kind: 'Route', trunk, inbound, attempts: [attempt, ...others] }, because }
  }
  if (!skipped.has('down')) return reject(...refusal(skipped))
  // Feature item 10: the answer is that of the trunk or route the call comes in by.
  const { errors } = inbound
  because.push(`every target is down: ${errors.keepaliveFailure}`)
  return { verdict: { kind: 'Reject', trunk, status: errors.keepaliveFailure, errors }, because }
}

/** Several routes of a call may lead to one trunk: that is one turn. */
function oncePerCall(turn: (trunk: string) => number): (trunk: string) => number {
  let taken: Map<string, number> | undefined
  return (trunk) => {
    taken ??= new Map()
    const known = taken.get(trunk) ?? turn(trunk)
    taken.set(trunk, known)
    return known
  }
}

function explainRoutes(routes: readonly CompiledRoute[], call: RoutedCall): string[] {
  return routes.map((route) => {
    const why = mismatch(route, call)
    return `route ${route.config.name} ${why === undefined ? 'matches' : `does not match: ${why}`}`
  })
}

function gatherAttempts(
  routes: readonly CompiledRoute[],
  config: RunningConfig,
  health: TrunkHealth,
  chance: Chance,
  because: string[],
) {
  const attempts: Attempt[] = []
  const skipped = new Set<SkipCause>()
  const seen = new Set<string>()
  for (const { config: route } of routes) {
    const found = attemptsOf(route, config, health, chance)
    because.push(...found.because)
    for (const cause of found.skipped) skipped.add(cause)
    for (const attempt of found.attempts) {
      const place = `${attempt.trunk}/${attempt.target.name} ${attempt.address}`
      const endpoint = `${place} ${attempt.port}`
      if (seen.has(endpoint) || attempts.length === mostAttempts) continue
      seen.add(endpoint)
      attempts.push(attempt)
      because.push(`number ${attempts.length}: target ${place} by route ${route.name}`)
    }
  }
  return { attempts, skipped }
}

function refusal(skipped: ReadonlySet<SkipCause>): [status: number, sentence: string] {
  if (skipped.has('loop')) return [482, 'the call would come back to this replica']
  return [503, 'no target can be reached']
}
