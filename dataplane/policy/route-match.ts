import type { RouteConfig } from '#api/snapshot.ts'

/** A route with its patterns compiled. A pattern matches the whole number, in linear time. */
export interface CompiledRoute {
  readonly config: RouteConfig
  readonly called: ((number: string) => boolean) | undefined
  readonly calling: ((number: string) => boolean) | undefined
}

/** Who calls whom, from which trunk: numbers with their %-escapes decoded. */
export interface RoutedCall {
  readonly trunk: string
  readonly called: string
  readonly calling: string
}

/** All that is given must match. */
export function matches({ config, called, calling }: CompiledRoute, call: RoutedCall): boolean {
  return (
    (config.match.trunks?.includes(call.trunk) ?? true) &&
    (called?.(call.called) ?? true) &&
    (calling?.(call.calling) ?? true)
  )
}

/** The first condition that does not hold, for people; undefined when the call takes the route. */
export function mismatch({ config, called, calling }: CompiledRoute, call: RoutedCall): string | undefined {
  const { trunks, calledPattern, callingPattern } = config.match
  if (trunks?.includes(call.trunk) === false) return `it is for calls from ${trunks.join(', ')}`
  if (called?.(call.called) === false) return `called ${call.called} does not match ${calledPattern}`
  if (calling?.(call.calling) === false) return `calling ${call.calling} does not match ${callingPattern}`
  return undefined
}
