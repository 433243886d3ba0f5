import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readiness } from '#lib/ready.ts'
import type { MetricRegistry } from './exposition.ts'

export interface ProbesOptions {
  /** Address to listen on. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly readiness: Readiness
  readonly registry: MetricRegistry
}

/** The door for the kubelet and for Prometheus. */
export interface Probes {
  readonly port: number
  close(): Promise<void>
}

/**
 * Serves `/healthz`, which a process whose event loop hangs does not answer, `/readyz`, which names what is still waited
 * for, and `/metrics`. Rejects with the system's error when the port cannot be had.
 */
export async function serveProbes({ host, port, readiness, registry }: ProbesOptions): Promise<Probes> {
  const server = createServer((request, response) => {
    if (request.url === '/healthz') return answer(response, 200, 'ok\n')
    if (request.url === '/metrics') return answer(response, 200, registry.render())
    if (request.url !== '/readyz') return answer(response, 404, 'there are /healthz, /readyz and /metrics\n')
    if (readiness.ready) return answer(response, 200, 'ok\n')
    answer(response, 503, `waiting for: ${readiness.waitingFor.join(', ')}\n`)
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function answer(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text)
}
