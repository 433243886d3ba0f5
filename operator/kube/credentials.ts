import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { z } from 'zod'
import type { Clock } from '#lib/clock.ts'
import { surroundings } from './env.ts'
import type { ExecPlugin, KubeConfig, KubeUser, Pem } from './kubeconfig.ts'

/** What a connection to the API server is made with. */
export interface TlsIdentity {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** What one request shows of who we are. */
export interface Shown {
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  /** The same object as before when nothing of it has changed. */
  readonly tls: TlsIdentity
}

const ExecCredential = z.object({
  status: z.object({
    token: z.string().optional(),
    clientCertificateData: z.string().optional(),
    clientKeyData: z.string().optional(),
    expirationTimestamp: z.iso.datetime({ offset: true }).optional(),
  }),
})
type ExecStatus = z.output<typeof ExecCredential>['status']

/** Files are read again so often, as client-go does: nodes renew the tokens of their pods. In milliseconds. */
const fileLifetime = 60_000
/** Credentials that lapse are asked for anew so long before, in milliseconds. */
const margin = 10_000
const execTimeout = 30_000

/** Who we are at an API server: files and plugins are asked again as they go out of date, or when we were refused. */
export class Credentials {
  readonly #config: KubeConfig
  readonly #clock: Clock
  #shown: { readonly value: Promise<Shown>; readonly until: number } | undefined
  #tls: TlsIdentity = {}
  /** What the plugin gave, until when on the wall clock. */
  #given: { readonly status: ExecStatus; readonly until: number } | undefined

  constructor(config: KubeConfig, clock: Clock) {
    this.#config = config
    this.#clock = clock
  }

  /** Rejects with the words of the system or the plugin when a file or a plugin gives nothing. */
  async show(): Promise<Shown> {
    const known = this.#shown
    if (known !== undefined && known.until > this.#clock.now() && this.#givenHolds()) return known.value
    const asked = { value: this.#ask(), until: this.#clock.now() + fileLifetime }
    this.#shown = asked
    asked.value.catch(() => {
      if (this.#shown === asked) this.#shown = undefined
    })
    return asked.value
  }

  /** The API server did not know us: the next request asks files and plugins again. */
  refused(): void {
    this.#shown = undefined
    this.#given = undefined
  }

  #givenHolds(): boolean {
    return this.#given === undefined || this.#given.until > this.#clock.wallTime()
  }

  async #ask(): Promise<Shown> {
    const { authorities, user } = this.#config
    const given: ExecStatus = user.exec === undefined ? {} : await this.#askPlugin(user.exec)
    const [ca, cert, key, fromFile] = await Promise.all([
      contentOf(authorities),
      given.clientCertificateData ?? contentOf(user.certificate?.certificate),
      given.clientKeyData ?? contentOf(user.certificate?.key),
      contentOf(user.tokenFile === undefined ? undefined : { file: user.tokenFile }),
    ])
    const token = fromFile?.trim() ?? given.token ?? user.token
    const authorization = token === undefined ? basicOf(user) : `Bearer ${token}`
    return {
      headers: { ...user.impersonation, ...(authorization !== undefined && { authorization }) },
      tls: this.#keep({
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && key !== undefined && { cert, key }),
      }),
    }
  }

  /** Connections are kept as long as they would be made the same way again. */
  #keep(tls: TlsIdentity): TlsIdentity {
    const known = this.#tls
    if (known.ca !== tls.ca || known.cert !== tls.cert || known.key !== tls.key) this.#tls = tls
    return this.#tls
  }

  async #askPlugin(plugin: ExecPlugin): Promise<ExecStatus> {
    if (this.#given !== undefined && this.#givenHolds()) return this.#given.status
    const status = await run(plugin, this.#config)
    const { expirationTimestamp } = status
    const until =
      expirationTimestamp === undefined ? Number.POSITIVE_INFINITY : Date.parse(expirationTimestamp) - margin
    this.#given = { status, until }
    return status
  }
}

async function contentOf(pem: Pem | undefined): Promise<string | undefined> {
  if (pem === undefined) return undefined
  return 'pem' in pem ? pem.pem : readFile(pem.file, 'utf8')
}

function basicOf({ basic }: KubeUser): string | undefined {
  return basic && `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`
}

/** Asks a plugin as kubectl does (KEP-541). */
async function run(plugin: ExecPlugin, { server, authorities, serverName, insecure }: KubeConfig): Promise<ExecStatus> {
  const { apiVersion, command, args, env, installHint, provideClusterInfo } = plugin
  const ca = provideClusterInfo === true ? await contentOf(authorities) : undefined
  const cluster = {
    server: server.href,
    ...(ca !== undefined && { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    ...(serverName !== undefined && { 'tls-server-name': serverName }),
    ...(insecure && { 'insecure-skip-tls-verify': true }),
  }
  const spec = { interactive: false, ...(provideClusterInfo === true && { cluster }) }
  const own = Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]))
  const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec })
  const hint = installHint === undefined ? '' : ` (${installHint.trim()})`
  try {
    const options = { env: { ...surroundings(), ...own, KUBERNETES_EXEC_INFO: info }, timeout: execTimeout }
    const { stdout } = await promisify(execFile)(command, args ?? [], options)
    return ExecCredential.parse(JSON.parse(stdout)).status
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error && String(error.stderr).trim()
    // Never what it printed: that may be half a credential.
    const reason =
      said || (error instanceof Error && 'code' in error ? String(error.code) : 'it gave no ExecCredential')
    throw new Error(`the credential plugin ${command} failed: ${reason}${hint}`, { cause: error })
  }
}
