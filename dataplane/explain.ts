import type { ExplainedCall } from './admin.ts'
import type { RunningConfig } from './config/running.ts'
import { decide } from './policy/decide.ts'
import type { TrunkHealth } from './trunks/health.ts'

/** Where a call would go and why, by the same decision that calls take; without the behaviour of the legs. */
export function explain(call: ExplainedCall, config: RunningConfig | undefined, health: TrunkHealth): unknown {
  if (config === undefined) return { verdict: 'Ignore', because: ['no configuration runs yet'] }
  const { from, to, source, listener } = call
  const { verdict, because } = decide(
    { source: { ...source, listener }, called: to, calling: from, maxForwards: undefined },
    config,
    health,
    { everyRoute: true },
  )
  switch (verdict.kind) {
    case 'Ignore':
      return { verdict: 'Ignore', because }
    case 'Reject':
      return { verdict: 'Reject', trunk: verdict.trunk.name, status: verdict.status, because }
    case 'Route': {
      const attempts = verdict.attempts.map(({ route, trunk, target, address, port, listener: leaving }) => ({
        route,
        trunk,
        target: target.name,
        address: `${target.transport} ${address} port ${port}`,
        listener: leaving.name,
      }))
      return { verdict: 'Route', trunk: verdict.trunk.name, attempts, because }
    }
  }
}
