import { existsSync, readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { delimiter, dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { type Environment, surroundings } from './env.ts'

const text = z.string().optional()
const variable = z.object({ name: z.string(), value: z.string() })

/** A program that gives credentials (`client.authentication.k8s.io`). */
const ExecPlugin = z.object({
  apiVersion: z.string().default('client.authentication.k8s.io/v1'),
  command: z.string('expected the command of a credential plugin').min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(variable).nullish(),
  installHint: text,
  provideClusterInfo: z.boolean().optional(),
})
export type ExecPlugin = z.output<typeof ExecPlugin>

const ClusterEntry = z.object({
  server: z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }),
  'certificate-authority': text,
  'certificate-authority-data': text,
  'insecure-skip-tls-verify': z.boolean().optional(),
  'tls-server-name': text,
  'proxy-url': z.url({ protocol: /^https?$/, error: 'expected an http or https URL; SOCKS is not spoken' }).optional(),
})
type ClusterEntry = z.output<typeof ClusterEntry>

const UserEntry = z.object({
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  'client-certificate': text,
  'client-certificate-data': text,
  'client-key': text,
  'client-key-data': text,
  as: text,
  'as-uid': text,
  'as-groups': z.array(z.string()).optional(),
  exec: ExecPlugin.optional(),
  'auth-provider': z
    .undefined('is not spoken, and kubectl has dropped most of them; use an exec plugin, as kubelogin for OIDC')
    .optional(),
})
type UserEntry = z.output<typeof UserEntry>

const ContextEntry = z.object({ cluster: z.string(), user: z.string().default(''), namespace: text })

const Kubeconfig = z.object({
  clusters: z.array(z.object({ name: z.string(), cluster: ClusterEntry })).nullish(),
  users: z.array(z.object({ name: z.string(), user: UserEntry.nullish() })).nullish(),
  contexts: z.array(z.object({ name: z.string(), context: ContextEntry })).nullish(),
  'current-context': text,
})
type Kubeconfig = z.output<typeof Kubeconfig>

/** PEM that is given, or a file that holds it and may change. */
export type Pem = { readonly pem: string } | { readonly file: string }

/** Where an API server is, and who we are there. */
export interface KubeConfig {
  readonly server: URL
  /** Of the context, or of the pod. */
  readonly namespace: string
  /** Authorities that the server's certificate is checked against; absent: those of the system. */
  readonly authorities?: Pem
  /** The server's certificate is not checked at all. */
  readonly insecure: boolean
  /** The name that the certificate must be for, where it is not that of the URL. */
  readonly serverName?: string
  readonly proxy?: string
  readonly user: KubeUser
}

export interface KubeUser {
  readonly token?: string
  /** Read again as it changes; wins over `token`. */
  readonly tokenFile?: string
  readonly basic?: { readonly username: string; readonly password: string }
  readonly certificate?: { readonly certificate: Pem; readonly key: Pem }
  readonly exec?: ExecPlugin
  /** Headers of impersonation. */
  readonly impersonation: Readonly<Record<string, string | readonly string[]>>
}

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * From the files of `KUBECONFIG`, from `~/.kube/config`, or from the ServiceAccount of the pod, whichever is there first.
 * Throws an error that names file, field and way out.
 */
export function configFromSurroundings(environment: Environment = surroundings(), account = accountFolder): KubeConfig {
  const listed = (environment['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '')
  if (listed.length > 0) return configFromFiles(listed)
  const own = join(environment['HOME'] ?? '', '.kube/config')
  if (environment['HOME'] !== undefined && existsSync(own)) return configFromFiles([own])
  if (existsSync(join(account, 'token'))) return configFromAccount(environment, account)
  throw new Error('no Kubernetes configuration: set KUBECONFIG, or run in a pod that has a ServiceAccount token')
}

/** Reads the text of a kubeconfig; paths in it are relative to `folder`. Throws an error that names field and cause. */
export function configFromText(content: string, folder = '.'): KubeConfig {
  return chosen(read(content, folder, 'the kubeconfig'))
}

/** As kubectl does: of two entries with one name the first counts, and so does the first current-context. */
function configFromFiles(files: readonly string[]): KubeConfig {
  const all = files.map((file) => read(readFileSync(file, 'utf8'), dirname(file), file))
  return chosen({
    clusters: all.flatMap(({ clusters }) => clusters ?? []),
    users: all.flatMap(({ users }) => users ?? []),
    contexts: all.flatMap(({ contexts }) => contexts ?? []),
    'current-context': all.map((one) => one['current-context']).find((name) => (name ?? '') !== ''),
  })
}

function configFromAccount(environment: Environment, account: string): KubeConfig {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = environment
  if (host === undefined) throw new Error('KUBERNETES_SERVICE_HOST is not set, though this seems to be a pod')
  const namespaceFile = join(account, 'namespace')
  return {
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    namespace: existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : 'default',
    authorities: { file: join(account, 'ca.crt') },
    insecure: false,
    user: { tokenFile: join(account, 'token'), impersonation: {} },
  }
}

function read(content: string, folder: string, name: string): Kubeconfig {
  const result = Kubeconfig.safeParse(parse(content) ?? {})
  if (!result.success) {
    const [issue] = result.error.issues
    const path = issue?.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('')
    throw new Error(`${name}: ${path?.slice(1) ?? ''}: ${issue?.message ?? 'cannot be read'}`)
  }
  return absolute(result.data, folder)
}

const paths = ['certificate-authority', 'tokenFile', 'client-certificate', 'client-key'] as const

/** With all paths made absolute. */
function absolute(config: Kubeconfig, folder: string): Kubeconfig {
  const anchored = <T extends object>(entry: T): T => ({
    ...entry,
    ...Object.fromEntries(
      Object.entries(entry)
        .filter(([key, value]) => (paths as readonly string[]).includes(key) && typeof value === 'string')
        .map(([key, value]) => [key, resolve(folder, value as string)]),
    ),
  })
  return {
    ...config,
    clusters: config.clusters?.map(({ name, cluster }) => ({ name, cluster: anchored(cluster) })),
    users: config.users?.map(({ name, user }) => ({ name, user: anchored(user ?? {}) })),
  }
}

/** What the current context stands for. */
function chosen({ clusters, users, contexts, 'current-context': current = '' }: Kubeconfig): KubeConfig {
  const context = contexts?.find(({ name }) => name === current)?.context
  if (context === undefined) throw new Error(`the kubeconfig has no usable current-context ("${current}")`)
  const cluster = clusters?.find(({ name }) => name === context.cluster)?.cluster
  if (cluster === undefined) throw new Error(`the kubeconfig has no cluster "${context.cluster}"`)
  const user = users?.find(({ name }) => name === context.user)?.user ?? {}
  const server = new URL(cluster.server)
  const insecure = cluster['insecure-skip-tls-verify'] === true
  if (server.protocol === 'http:' && !insecure) {
    throw new Error(`${cluster.server} would be spoken to without TLS; say insecure-skip-tls-verify if you mean it`)
  }
  const authorities = pemOf(cluster['certificate-authority-data'], cluster['certificate-authority'])
  const { 'tls-server-name': serverName, 'proxy-url': proxy } = cluster
  return {
    server,
    namespace: context.namespace ?? 'default',
    insecure,
    user: userOf(user),
    ...(authorities !== undefined && { authorities }),
    ...(serverName !== undefined && { serverName }),
    ...(proxy !== undefined && { proxy }),
  }
}

function userOf(user: UserEntry): KubeUser {
  const { token, tokenFile, username, password = '', exec } = user
  const certificate = pemOf(user['client-certificate-data'], user['client-certificate'])
  const key = pemOf(user['client-key-data'], user['client-key'])
  return {
    ...(token !== undefined && { token }),
    ...(tokenFile !== undefined && { tokenFile }),
    ...(username !== undefined && { basic: { username, password } }),
    ...(certificate !== undefined && key !== undefined && { certificate: { certificate, key } }),
    ...(exec !== undefined && { exec }),
    impersonation: {
      ...(user.as !== undefined && { 'impersonate-user': user.as }),
      ...(user['as-uid'] !== undefined && { 'impersonate-uid': user['as-uid'] }),
      ...(user['as-groups'] !== undefined && { 'impersonate-group': user['as-groups'] }),
    },
  }
}

function pemOf(data: string | undefined, file: string | undefined): Pem | undefined {
  if (data !== undefined && data !== '') return { pem: Buffer.from(data, 'base64').toString() }
  return file === undefined || file === '' ? undefined : { file }
}
