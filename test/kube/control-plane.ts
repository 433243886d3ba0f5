import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { stringify } from 'yaml'
import { freePorts } from '../sip/free-port.ts'
import { provide } from '../tools/programs.ts'
import { Process } from './process.ts'

/** A Kubernetes API of its own for a test: etcd and kube-apiserver on loopback, controllers if wanted, and no nodes. */
export interface ControlPlane {
  /** `https://127.0.0.1:…` */
  readonly server: string
  /** Certificate authority of the server, PEM. */
  readonly ca: string
  /** Bearer token of an administrator. */
  readonly token: string
  /** Path of the administrator's kubeconfig, which holds all of the above. */
  readonly kubeconfig: string
  /** A kubeconfig with the same administrator, for another way to the server. */
  kubeconfigFor(server: string): string
  /** Forgets the history of all changes so far, so that watches from before get 410 once the API server is restarted. */
  compact(): Promise<void>
  stopApiServer(): Promise<void>
  startApiServer(): Promise<void>
  /**
   * Starts kube-controller-manager: garbage collection, StatefulSets, ServiceAccounts. It looks for new kinds only twice a
   * minute, so CRDs whose objects own others are better installed before.
   */
  startControllers(): Promise<void>
  /** Kills everything and removes all of it from the disk. */
  stop(): Promise<void>
}

/** Longest time that a control plane may take to start, the very first build of its programs included. */
export const longestStart = 45 * 60_000

/**
 * With the heap of a small cluster the collector of the Go runtime is at work all the time: with its usual setting the API
 * server took more than twice the processor time for the same requests.
 */
const spacious = { GOGC: '400' }

interface Ports {
  etcd: number
  peer: number
  api: number
}

/** Starts a control plane, after the programs were built if this is the first time. Several run side by side. */
export async function startControlPlane(): Promise<ControlPlane> {
  const programs = await provide('etcd', 'kube-apiserver', 'kube-controller-manager')
  for (let attempt = 1; ; attempt++) {
    const folder = mkdtempSync(join(tmpdir(), 'sbcfleet-control-plane-'))
    const [etcd = 0, peer = 0, api = 0] = await freePorts(3)
    const plane = new RunningControlPlane(folder, programs, { etcd, peer, api })
    try {
      await plane.start()
      return plane
    } catch (error) {
      const log = plane.lastLines()
      await plane.stop()
      // Another program may have taken a port between our look and our use.
      if (attempt === 3) throw new Error(`the control plane does not start: ${String(error)}\n${log}`)
    }
  }
}

type Programs = Record<'etcd' | 'kube-apiserver' | 'kube-controller-manager', string>

class RunningControlPlane implements ControlPlane {
  readonly server: string
  readonly token = randomBytes(16).toString('hex')
  readonly kubeconfig: string
  ca = ''
  readonly #folder: string
  readonly #programs: Programs
  readonly #ports: Ports
  readonly #processes = new Map<keyof Programs, Process>()
  readonly #controllerToken = randomBytes(16).toString('hex')

  constructor(folder: string, programs: Programs, ports: Ports) {
    this.#folder = folder
    this.#programs = programs
    this.#ports = ports
    this.server = `https://127.0.0.1:${ports.api}`
    this.kubeconfig = join(folder, 'kubeconfig')
  }

  async start(): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    this.#write('sa.key', privateKey)
    this.#write('sa.pub', publicKey)
    this.#write(
      'tokens.csv',
      `${this.token},admin,admin,system:masters\n${this.#controllerToken},system:kube-controller-manager,kcm,\n`,
    )
    this.#startEtcd()
    await this.startApiServer()
    this.#write('kubeconfig', this.#kubeconfigText(this.server, this.token))
  }

  kubeconfigFor(server: string): string {
    return this.#kubeconfigText(server, this.token)
  }

  #startEtcd(): void {
    const client = `http://127.0.0.1:${this.#ports.etcd}`
    const peer = `http://127.0.0.1:${this.#ports.peer}`
    this.#run('etcd', [
      `--data-dir=${join(this.#folder, 'etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
    ])
  }

  async startApiServer(): Promise<void> {
    const file = (name: string) => join(this.#folder, name)
    const server = this.#run('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${this.#ports.etcd}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${this.#ports.api}`,
      `--cert-dir=${file('certificates')}`,
      `--token-auth-file=${file('tokens.csv')}`,
      '--authorization-mode=RBAC',
      `--service-account-issuer=${this.server}`,
      `--service-account-key-file=${file('sa.pub')}`,
      `--service-account-signing-key-file=${file('sa.key')}`,
      '--service-cluster-ip-range=10.0.0.0/24',
      '--allow-privileged=true',
      '--shutdown-delay-duration=0s',
    ])
    await waitFor('kube-apiserver', server, 60_000, async () => {
      this.ca = readFileSync(file('certificates/apiserver.crt'), 'utf8')
      return (await this.#get('/readyz')) === 200
    })
  }

  async stopApiServer(): Promise<void> {
    await this.#processes.get('kube-apiserver')?.kill()
  }

  async startControllers(): Promise<void> {
    this.#write('controllers.kubeconfig', this.#kubeconfigText(this.server, this.#controllerToken))
    const kubeconfig = join(this.#folder, 'controllers.kubeconfig')
    const manager = this.#run('kube-controller-manager', [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      '--leader-elect=false',
      '--secure-port=0',
      `--service-account-private-key-file=${join(this.#folder, 'sa.key')}`,
      '--use-service-account-credentials=true',
      '--kube-api-qps=500',
      '--kube-api-burst=1000',
    ])
    await waitFor('kube-controller-manager', manager, 60_000, async () => {
      return (await this.#get('/api/v1/namespaces/default/serviceaccounts/default')) === 200
    })
  }

  async compact(): Promise<void> {
    const etcd = `http://127.0.0.1:${this.#ports.etcd}/v3/kv`
    const ask = async (path: string, body: object) => {
      const response = await fetch(`${etcd}/${path}`, { method: 'POST', body: JSON.stringify(body) })
      if (!response.ok) throw new Error(`etcd answered ${response.status}: ${await response.text()}`)
      return (await response.json()) as { header?: { revision?: string } }
    }
    const { header } = await ask('range', { key: 'AA==', limit: '1' })
    await ask('compaction', { revision: header?.revision, physical: true })
  }

  async stop(): Promise<void> {
    for (const process of this.#processes.values()) await process.kill()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }

  lastLines(): string {
    return [...this.#processes].map(([name, process]) => `--- ${name}\n${process.lastLines()}`).join('\n')
  }

  #run(name: keyof Programs, args: string[]): Process {
    const process = new Process(this.#programs[name], args, join(this.#folder, `${name}.log`), spacious)
    this.#processes.set(name, process)
    return process
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), text, { mode: 0o600 })
  }

  #kubeconfigText(server: string, token: string): string {
    const cluster = { server, 'certificate-authority-data': Buffer.from(this.ca).toString('base64') }
    return stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster }],
      users: [{ name: 'test', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    })
  }

  async #get(path: string): Promise<number | undefined> {
    const headers = { authorization: `Bearer ${this.token}` }
    return new Promise((resolve, reject) => {
      request(`${this.server}${path}`, { ca: this.ca, headers, agent: false, timeout: 5000 }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
  }
}

/** Asks until the answer is yes: there is nothing to wait for in programs that only answer. */
async function waitFor(what: string, process: Process, milliseconds: number, ready: () => Promise<boolean>) {
  const end = Date.now() + milliseconds
  while (!(await ready().catch(() => false))) {
    if (process.hasEnded) throw new Error(`${what} has ended`)
    if (Date.now() > end) throw new Error(`${what} is not ready after ${milliseconds / 1000} s`)
    await delay(100)
  }
}
