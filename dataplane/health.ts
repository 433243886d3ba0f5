import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readiness } from '#lib/ready.ts'
import { type Family, renderMetrics } from './metrics.ts'

export interface HealthOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly readiness: Readiness
  readonly metrics: () => readonly Family[]
}

/** An HTTP server that runs. */
export interface HttpDoor {
  readonly port: number
  close(): Promise<void>
}

/**
 * Liveness, readiness and metrics, on the event loop that carries SIP, so that a loop that hangs does not look alive.
 * `/readyz` names what is still waited for.
 */
export function serveHealth({ host, port, readiness, metrics }: HealthOptions): Promise<HttpDoor> {
  const answers: Record<string, () => { status: number; text: string }> = {
    '/livez': () => ({ status: 200, text: 'ok\n' }),
    '/readyz': () =>
      readiness.ready
        ? { status: 200, text: 'ok\n' }
        : { status: 503, text: `waiting for: ${readiness.waitingFor.join(', ')}\n` },
    '/metrics': () => ({ status: 200, text: renderMetrics(metrics()) }),
  }
  const server = createServer((request, response) => {
    const answer = Object.hasOwn(answers, request.url ?? '') ? answers[request.url ?? ''] : undefined
    const { status, text } = answer?.() ?? { status: 404, text: 'there are /livez, /readyz and /metrics\n' }
    response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text)
  })
  return openDoor(server, host, port)
}

/** Rejects with the system error when the port cannot be bound. */
export async function openDoor(server: ReturnType<typeof createServer>, host: string, port: number): Promise<HttpDoor> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
