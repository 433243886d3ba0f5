import { expect, it } from 'vitest'
import { MetricRegistry } from './exposition.ts'

it('writes counters, gauges and histograms as Prometheus reads them', () => {
  const registry = new MetricRegistry()
  const calls = registry.counter('calls_total', 'Calls so far.')
  calls.add({ trunk: 'a "b"\\\n' })
  calls.add({ trunk: 'a "b"\\\n' }, 2)
  let depth = 1
  registry.gauge('depth', 'Waiting.').compute({ name: 'fleet' }, () => depth)
  registry.gauge('depth', 'Waiting.').set({ name: 'other' }, -1)
  const seconds = registry.histogram('seconds', 'How long.', [0.1, 1])
  for (const value of [0.1, 0.5, 7]) seconds.observe({}, value)
  seconds.observe({ verb: 'GET' }, 0.01)
  depth = 5
  expect(registry.render()).toBe(
    [
      '# HELP calls_total Calls so far.',
      '# TYPE calls_total counter',
      'calls_total{trunk="a \\"b\\"\\\\\\n"} 3',
      '# HELP depth Waiting.',
      '# TYPE depth gauge',
      'depth{name="other"} -1',
      'depth{name="fleet"} 5',
      '# HELP seconds How long.',
      '# TYPE seconds histogram',
      'seconds_bucket{le="0.1"} 1',
      'seconds_bucket{le="1"} 2',
      'seconds_bucket{le="+Inf"} 3',
      'seconds_sum 7.6',
      'seconds_count 3',
      'seconds_bucket{verb="GET",le="0.1"} 1',
      'seconds_bucket{verb="GET",le="1"} 1',
      'seconds_bucket{verb="GET",le="+Inf"} 1',
      'seconds_sum{verb="GET"} 0.01',
      'seconds_count{verb="GET"} 1',
      '',
    ].join('\n'),
  )
})

it('does not make a counter of a name that is a gauge', () => {
  const registry = new MetricRegistry()
  registry.gauge('depth', 'Waiting.')
  expect(() => registry.counter('depth', 'Waiting.')).toThrow('the metric depth exists, as something else')
})
