import { MetricRegistry } from './exposition.ts'

/** Buckets of controller-runtime, in seconds. */
const reconcileSeconds = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
]
const queueSeconds = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000]
const requestSeconds = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 45, 60]

export type KubeMetrics = ReturnType<typeof kubeMetrics>

/**
 * What this folder counts, under the names and labels of controller-runtime and client-go, so that the dashboards and
 * alerts that people have for other operators work for this one.
 */
export function kubeMetrics(registry: MetricRegistry = new MetricRegistry()) {
  return {
    registry,
    controller: {
      reconciles: registry.counter('controller_runtime_reconcile_total', 'Reconciliations per controller and result.'),
      errors: registry.counter('controller_runtime_reconcile_errors_total', 'Reconciliations that failed.'),
      terminalErrors: registry.counter(
        'controller_runtime_terminal_reconcile_errors_total',
        'Reconciliations that failed and are not tried again.',
      ),
      panics: registry.counter(
        'controller_runtime_reconcile_panics_total',
        'Reconciliations that failed by a mistake in the program.',
      ),
      timeouts: registry.counter('controller_runtime_reconcile_timeouts_total', 'Reconciliations that took too long.'),
      seconds: registry.histogram(
        'controller_runtime_reconcile_time_seconds',
        'How long a reconciliation took.',
        reconcileSeconds,
      ),
      maxConcurrent: registry.gauge(
        'controller_runtime_max_concurrent_reconciles',
        'Reconciliations that may run at once.',
      ),
      active: registry.gauge('controller_runtime_active_workers', 'Reconciliations that run now.'),
    },
    workQueue: {
      depth: registry.gauge('workqueue_depth', 'Keys that wait.'),
      adds: registry.counter('workqueue_adds_total', 'Keys that were added.'),
      retries: registry.counter('workqueue_retries_total', 'Keys that were added again with back-off.'),
      queueSeconds: registry.histogram(
        'workqueue_queue_duration_seconds',
        'How long a key waited before it was worked on.',
        queueSeconds,
      ),
      workSeconds: registry.histogram('workqueue_work_duration_seconds', 'How long a key was worked on.', queueSeconds),
      unfinished: registry.gauge(
        'workqueue_unfinished_work_seconds',
        'Sum of the times that keys now worked on have taken so far.',
      ),
      longestRunning: registry.gauge(
        'workqueue_longest_running_processor_seconds',
        'Longest time that a key now worked on has taken so far.',
      ),
    },
    rest: {
      requests: registry.counter('rest_client_requests_total', 'Requests to the API server, by answer.'),
      seconds: registry.histogram(
        'rest_client_request_duration_seconds',
        'How long the API server took to answer.',
        requestSeconds,
      ),
      retries: registry.counter('rest_client_request_retries_total', 'Requests that were sent again.'),
    },
    reflector: {
      lists: registry.counter('reflector_lists_total', 'Lists that were fetched in full.'),
      watches: registry.counter('reflector_watches_total', 'Watches that were opened.'),
      failures: registry.counter('reflector_failures_total', 'Lists and watches that failed.'),
      handlerErrors: registry.counter('reflector_handler_errors_total', 'Handlers of a change that threw.'),
    },
    leader: registry.gauge('leader_election_master_status', '1 while this process is the leader, else 0.'),
  }
}
