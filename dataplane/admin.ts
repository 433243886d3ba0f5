import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { LogLevel } from '#lib/log.ts'
import { type HttpDoor, openDoor } from './health.ts'

/** What the admin interface shows and does. Everything shown goes through JSON, where secrets are redacted. */
export interface AdminSources {
  readonly config: () => unknown
  readonly calls: () => unknown
  readonly trunks: () => unknown
  readonly members: () => unknown
  readonly media: () => unknown
  readonly health: () => unknown
  readonly explain: (call: ExplainedCall) => unknown
  readonly setLogLevel: (level: LogLevel) => void
  /** Begins to drain; the process goes on until it gets a signal. */
  readonly drain: () => void
}

/** A call that has not happened: where would it go, and why? */
export interface ExplainedCall {
  readonly from: string
  readonly to: string
  readonly source: { readonly address: string; readonly port: number }
  readonly listener: string
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']
const bodyBytes = 1_000

/** Serves the admin interface, on 127.0.0.1 only; port 0 takes a free one. Rejects when the port cannot be bound. */
export function serveAdmin(port: number, sources: AdminSources): Promise<HttpDoor> {
  const server = createServer((request, response) => {
    answer(request, sources).then(
      (result) => reply(response, result),
      (error: unknown) => reply(response, wrong(500, error instanceof Error ? error.message : String(error))),
    )
  })
  return openDoor(server, '127.0.0.1', port)
}

async function answer(request: IncomingMessage, sources: AdminSources): Promise<Answer> {
  // A web page that a browser on this machine shows can reach 127.0.0.1 too, but not without one of these.
  const host = request.headers.host ?? ''
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host) || request.headers.origin !== undefined) {
    return wrong(403, 'for programs on this machine only: ask 127.0.0.1 or localhost, and not from a web page')
  }
  const url = new URL(request.url ?? '/', 'http://127.0.0.1')
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /config':
      return good(sources.config())
    case 'GET /calls':
      return good(sources.calls())
    case 'GET /trunks':
      return good(sources.trunks())
    case 'GET /members':
      return good(sources.members())
    case 'GET /media':
      return good(sources.media())
    case 'GET /health':
      return good(sources.health())
    case 'GET /explain':
      return explain(url.searchParams, sources)
    case 'PUT /log-level':
      return setLogLevel(await readBody(request), sources)
    case 'POST /drain':
      sources.drain()
      return { status: 202, body: { draining: true } }
    default:
      return wrong(
        404,
        'there are GET /config, /calls, /trunks, /members, /media, /health, /explain?from=&to=&source=&listener=, PUT /log-level, POST /drain',
      )
  }
}

function explain(parameters: URLSearchParams, sources: AdminSources): Answer {
  const read = (name: string) => parameters.get(name) ?? ''
  const missing = ['from', 'to', 'source', 'listener'].filter((name) => read(name) === '')
  if (missing.length > 0)
    return wrong(400, `missing: ${missing.join(', ')}; as ?from=100&to=200&source=192.0.2.1:5060&listener=udp`)
  const source = /^\[?(.+?)\]?(?::(\d{1,5}))?$/.exec(bracketed(read('source')))
  const address = source?.[1] ?? ''
  const port = Number(source?.[2] ?? 5060)
  return good(
    sources.explain({ from: read('from'), to: read('to'), source: { address, port }, listener: read('listener') }),
  )
}

/** An IPv6 address without brackets has no port. */
function bracketed(source: string): string {
  return source.split(':').length > 2 && !source.startsWith('[') ? `[${source}]` : source
}

function setLogLevel(text: string, sources: AdminSources): Answer {
  const level = levels.find((name) => name === text.trim())
  if (level === undefined) return wrong(400, `the body must be one of ${levels.join(', ')}`)
  sources.setLogLevel(level)
  return good({ level })
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) {
    text += String(chunk)
    if (text.length > bodyBytes) throw new Error(`the body is longer than ${bodyBytes} bytes`)
  }
  return text
}

function good(body: unknown): Answer {
  return { status: 200, body }
}

function wrong(status: number, error: string): Answer {
  return { status, body: { error } }
}

function reply(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body, undefined, 2)}\n`)
}
