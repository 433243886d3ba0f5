import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { Readiness } from '#lib/ready.ts'
import { MetricRegistry } from './exposition.ts'
import { serveProbes } from './probes.ts'

it('tells the kubelet whether we live and are ready, what we wait for, and Prometheus the metrics', async () => {
  const readiness = new Readiness()
  const synced = readiness.task('first list of SipTrunks')
  const registry = new MetricRegistry()
  registry.counter('changes_total', 'Changes.').add()
  const probes = await serveProbes({ host: '127.0.0.1', port: 0, readiness, registry })
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${probes.port}${path}`)
    return [response.status, await response.text()]
  }
  expect(await ask('/healthz')).toEqual([200, 'ok\n'])
  expect(await ask('/readyz')).toEqual([503, 'waiting for: first list of SipTrunks\n'])
  synced()
  expect(await ask('/readyz')).toEqual([200, 'ok\n'])
  expect(await ask('/metrics')).toEqual([200, registry.render()])
  expect((await ask('/'))[0]).toBe(404)
  await probes.close()
})

it('does not start on a port that is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const options = { host: '127.0.0.1', port, readiness: new Readiness(), registry: new MetricRegistry() }
  await expect(serveProbes(options)).rejects.toThrow('EADDRINUSE')
  other.close()
})
