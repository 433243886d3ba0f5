import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { LogLevel } from '#lib/log.ts'
import { Secret } from '#lib/secret.ts'
import type { DnsServer } from './dns/exchange.ts'
import { parseServer } from './dns/system-locate.ts'

/** Every variable that a replica reads, for its documentation and for the messages about wrong values. */
export const variables = {
  SBCFLEET_FLEET: 'Fleet that the replica belongs to, as namespace/name of the VoiceService. Required.',
  SBCFLEET_REPLICA: 'Name of the replica, unique in its fleet and the same after a restart, as edge-0. Required.',
  SBCFLEET_CONTROL_URLS:
    'WebSocket URLs of the control sides, with commas between them; of a host name every address is one. Required.',
  SBCFLEET_CONTROL_CA_FILE:
    'File with the certificate authorities of the control sides, PEM; read at every connection. Absent: those of the system.',
  SBCFLEET_TOKEN: 'Token that is shown to the control side. Required, unless SBCFLEET_TOKEN_FILE is set.',
  SBCFLEET_TOKEN_FILE: 'File with the token; read at every connection, so it may be renewed.',
  SBCFLEET_ADDRESSES:
    "The replica's own IP addresses, with commas between them; listeners bind the first of their family. Required.",
  SBCFLEET_DNS_SERVERS:
    'DNS servers, as 192.0.2.53 or 192.0.2.53:5353, with commas between them. Absent: those of the operating system, and its hosts file and search domains.',
  SBCFLEET_DRACHTIO_ADDRESS:
    'Address and port of the drachtio-server that speaks SIP for the replica, as 127.0.0.1:9022. Absent: the replica does.',
  SBCFLEET_DRACHTIO_SECRET: 'What is said to the drachtio-server. Required with SBCFLEET_DRACHTIO_ADDRESS.',
  SBCFLEET_STATE_DIR:
    'Directory for the last good configuration, passwords included: a file system in memory. Absent: nothing is kept.',
  SBCFLEET_LOG_LEVEL: 'trace, debug, info, warn or error. Default: info.',
  SBCFLEET_ADMIN_PORT: 'Port of the admin interface on 127.0.0.1; 0 takes a free one. Absent: no admin interface.',
  SBCFLEET_HEALTH_PORT: 'Port of liveness, readiness and metrics; 0 takes a free one. Absent: none of them.',
  SBCFLEET_HEALTH_ADDRESS: 'IP address that liveness, readiness and metrics are served on. Default: 127.0.0.1.',
  SBCFLEET_DRAIN_SECONDS: 'How long calls may go on after SIGTERM, in seconds, 0 to 86400. Default: 30.',
} as const

type Variable = keyof typeof variables
type Environment = Readonly<Record<string, string | undefined>>

/** What a replica is told by its environment. */
export interface Env {
  readonly fleet: string
  readonly replica: string
  readonly controlUrls: readonly string[]
  /** The token as it is now. Rejects when its file cannot be read. */
  readonly token: () => Promise<string>
  /** Certificate authorities of the control sides as they are now, PEM. Rejects when their file cannot be read. */
  readonly authorities: () => Promise<string | undefined>
  readonly addresses: readonly string[]
  /** Empty: those of the operating system. */
  readonly dnsServers: readonly DnsServer[]
  /** The drachtio-server to use; undefined: the engine of the replica itself. */
  readonly drachtio: { readonly host: string; readonly port: number; readonly secret: Secret } | undefined
  readonly stateDirectory: string | undefined
  readonly logLevel: LogLevel
  readonly adminPort: number | undefined
  readonly healthPort: number | undefined
  readonly healthAddress: string
  readonly drainMilliseconds: number
}

/** Variables with wrong values, each named with its value and what is expected. */
export class EnvError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'EnvError'
    this.problems = problems
  }
}

/**
 * Puts a plain copy in the place of `process.env`, which asks the C library at every look. drachtio-srf looks once for
 * every header field it meets, and that was a twentieth of the CPU time of a call.
 */
export function copyEnvironment(): void {
  process.env = { ...process.env }
}

/** Reads all variables. Throws an `EnvError` that names every wrong one. */
export function readEnv(environment: Environment = process.env): Env {
  const problems: string[] = []
  const read = <T>(name: Variable, parse: Parse<T>, fallback?: T): T => {
    const value = environment[name]
    if ((value === undefined || value === '') && fallback !== undefined) return fallback
    const result = parse(value ?? '')
    if ('expected' in result) {
      problems.push(
        `${name} is ${value === undefined ? 'not set' : JSON.stringify(value)}: expected ${result.expected}`,
      )
      return fallback as T
    }
    return result.value
  }
  const isSet = (name: Variable) => environment[name] !== undefined && environment[name] !== ''
  const env: Env = {
    fleet: read('SBCFLEET_FLEET', pattern(/^[^/\s]+\/[^/\s]+$/, 'namespace/name of a VoiceService')),
    replica: read('SBCFLEET_REPLICA', pattern(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'a name such as edge-0')),
    controlUrls: read('SBCFLEET_CONTROL_URLS', list(isWebSocketUrl, 'URLs that begin with ws:// or wss://')),
    token: tokenOf(environment, problems),
    authorities: authoritiesOf(environment),
    addresses: read(
      'SBCFLEET_ADDRESSES',
      list((text) => isIP(text) !== 0, 'IP addresses, IPv6 without brackets'),
    ),
    dnsServers: isSet('SBCFLEET_DNS_SERVERS') ? read('SBCFLEET_DNS_SERVERS', dnsServers) : [],
    drachtio: drachtioOf(environment, problems),
    stateDirectory: isSet('SBCFLEET_STATE_DIR') ? environment['SBCFLEET_STATE_DIR'] : undefined,
    logLevel: read('SBCFLEET_LOG_LEVEL', logLevel, 'info'),
    adminPort: isSet('SBCFLEET_ADMIN_PORT') ? read('SBCFLEET_ADMIN_PORT', integer(0, 65535)) : undefined,
    healthPort: isSet('SBCFLEET_HEALTH_PORT') ? read('SBCFLEET_HEALTH_PORT', integer(0, 65535)) : undefined,
    healthAddress: read('SBCFLEET_HEALTH_ADDRESS', ipAddress, '127.0.0.1'),
    drainMilliseconds: read('SBCFLEET_DRAIN_SECONDS', integer(0, 86_400), 30) * 1000,
  }
  if (problems.length > 0) throw new EnvError(problems)
  return env
}

type Parse<T> = (text: string) => { readonly value: T } | { readonly expected: string }

function tokenOf(environment: Environment, problems: string[]): () => Promise<string> {
  const { SBCFLEET_TOKEN: token = '', SBCFLEET_TOKEN_FILE: file = '' } = environment
  if (token === '' && file === '') problems.push('SBCFLEET_TOKEN is not set: expected a token, or SBCFLEET_TOKEN_FILE')
  if (token !== '' && file !== '') {
    problems.push('SBCFLEET_TOKEN and SBCFLEET_TOKEN_FILE are both set: expected one of them')
  }
  if (file !== '') return async () => (await readFile(file, 'utf8')).trim()
  const secret = new Secret(token)
  return () => Promise.resolve(secret.reveal())
}

function drachtioOf(environment: Environment, problems: string[]): Env['drachtio'] {
  const { SBCFLEET_DRACHTIO_ADDRESS: address = '', SBCFLEET_DRACHTIO_SECRET: secret = '' } = environment
  if (address === '') return undefined
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(address) ?? []
  if (isIP(host) === 0 || Number(port) > 65_535 || Number(port) === 0) {
    problems.push(
      `SBCFLEET_DRACHTIO_ADDRESS is ${JSON.stringify(address)}: expected an IP address and a port, as 127.0.0.1:9022`,
    )
  }
  // It ends a field of drachtio-server's protocol.
  if (secret === '' || secret.includes('|')) {
    problems.push('SBCFLEET_DRACHTIO_SECRET is not set, or holds a "|": expected the secret of the drachtio-server')
  }
  return { host, port: Number(port), secret: new Secret(secret) }
}

function authoritiesOf({ SBCFLEET_CONTROL_CA_FILE: file = '' }: Environment): () => Promise<string | undefined> {
  return file === '' ? () => Promise.resolve(undefined) : () => readFile(file, 'utf8')
}

function pattern(form: RegExp, expected: string): Parse<string> {
  return (text) => (form.test(text) ? { value: text } : { expected })
}

function list(isGood: (item: string) => boolean, what: string): Parse<readonly string[]> {
  return (text) => {
    const items = text.split(',').map((item) => item.trim())
    return items.every(isGood) ? { value: items } : { expected: `one or more ${what}, with commas between them` }
  }
}

function dnsServers(text: string): { value: readonly DnsServer[] } | { expected: string } {
  const items = text.split(',').map((item) => parseServer(item.trim()))
  const value = items.filter((item) => item !== undefined)
  const expected = 'one or more IP addresses, with or without a port, with commas between them'
  return value.length === items.length ? { value } : { expected }
}

function integer(least: number, most: number): Parse<number> {
  return (text) => {
    const value = Number(text)
    return /^\d+$/.test(text) && value >= least && value <= most
      ? { value }
      : { expected: `a whole number from ${least} to ${most}` }
  }
}

function ipAddress(text: string) {
  return isIP(text) === 0 ? { expected: 'an IP address, IPv6 without brackets' } : { value: text }
}

function logLevel(text: string): { value: LogLevel } | { expected: string } {
  const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error']
  const value = levels.find((level) => level === text)
  return value === undefined ? { expected: levels.join(', ') } : { value }
}

function isWebSocketUrl(text: string): boolean {
  return URL.canParse(text) && /^wss?:$/.test(new URL(text).protocol)
}
