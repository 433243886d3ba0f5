import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { MetricRegistry } from './kube/exposition.ts'

/** What this process uses, under the names that Prometheus clients have for it. */
export function addProcessMetrics(registry: MetricRegistry): void {
  registry.gauge('process_cpu_seconds_total', 'Processor time, user and system.').compute({}, () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  registry
    .gauge('process_resident_memory_bytes', 'Memory that is resident now.')
    .compute({}, () => process.memoryUsage.rss())
  registry
    .gauge('process_resident_memory_peak_bytes', 'Most memory that was resident so far.')
    .compute({}, () => process.resourceUsage().maxRSS * 1024)
  // Who leads must renew its Lease in 10 s: this says whether a leader that was lost had stood still.
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  registry
    .gauge('nodejs_eventloop_lag_max_seconds', 'Longest time that the event loop has stood still so far.')
    .compute({}, () => delay.max / 1e9)
}
