import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { KubeClient } from '../../operator/kube/client.ts'
import type { KubeObject } from '../../operator/kube/resource.ts'
import type { ControlPlane } from '../kube/control-plane.ts'
import { Process } from '../kube/process.ts'
import { configMaps, until } from '../kube/cluster.ts'

const root = join(import.meta.dirname, '../..')
export const operatorNamespace = 'sbcfleet'
const pods = { group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true } as const

/** The programs of the product as processes beside a control plane without nodes. Nothing of it outlives `stop`. */
export class Programs {
  readonly #plane: ControlPlane
  readonly #client: KubeClient
  readonly #operator: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'sbcfleet-programs-'))
  readonly #processes: Process[] = []
  #isStopped = false

  /** `operator` is the program, where it is not the source. */
  constructor(plane: ControlPlane, client: KubeClient, operator = join(root, 'operator/main.ts')) {
    this.#plane = plane
    this.#client = client
    this.#operator = operator
  }

  /** An operator replica, which listens for fleet replicas on this port; an administrator, unless told otherwise. */
  operator(
    name: string,
    controlPort: number,
    probePort: number,
    environment: Record<string, string> = {},
    { server = this.#plane.server, token = this.#plane.token }: { server?: string; token?: string } = {},
  ): Process {
    const kubeconfig = join(this.#folder, `${name}.kubeconfig`)
    // Plain HTTP, which the client only takes from those who do not ask for TLS.
    const text = this.#plane.kubeconfigFor(server).replace(this.#plane.token, token)
    const plain = text.replace(/certificate-authority-data: .*/, 'insecure-skip-tls-verify: true')
    writeFileSync(kubeconfig, server.startsWith('http:') ? plain : text, { mode: 0o600 })
    return this.#run(name, [this.#operator], {
      KUBECONFIG: kubeconfig,
      SBCFLEET_POD_NAME: name,
      SBCFLEET_POD_NAMESPACE: operatorNamespace,
      SBCFLEET_ADDRESS: '127.0.0.1',
      SBCFLEET_CONTROL_SERVICE: 'sbcfleet-control',
      SBCFLEET_CONTROL_PORT: String(controlPort),
      SBCFLEET_PROBE_PORT: String(probePort),
      SBCFLEET_REPLICA_IMAGE: 'none',
      ...environment,
    })
  }

  /** An operator replica that is started again whenever it ends, as a node does with a container. */
  supervised(...args: Parameters<Programs['operator']>): void {
    const process = this.operator(...args)
    void process.ended.then(() => {
      if (!this.#isStopped) this.supervised(...args)
    })
  }

  /** Does for a pod what its node would: makes its token, mounts its volume, and runs its container. */
  async replica(fleet: string, pod: string, address: string, controlPorts: readonly number[]): Promise<Process> {
    const [namespace = ''] = fleet.split('/')
    await until(this.#client, pods, { namespace, name: pod }, (object) => object !== undefined)
    const control = await this.mount(fleet, pod)
    const urls = controlPorts.map((port) => `wss://sbcfleet-control.${operatorNamespace}.svc:${port}/replicas`)
    const preload = pathToFileURL(join(import.meta.dirname, 'loopback-names.ts')).href
    return this.#run(pod, [`--import=${preload}`, join(root, 'dataplane/main.ts')], {
      SBCFLEET_FLEET: fleet,
      SBCFLEET_REPLICA: pod,
      SBCFLEET_CONTROL_URLS: urls.join(','),
      SBCFLEET_CONTROL_CA_FILE: join(control, 'ca.crt'),
      SBCFLEET_TOKEN_FILE: join(control, 'token'),
      SBCFLEET_ADDRESSES: address,
      SBCFLEET_STATE_DIR: join(control, 'state'),
      SBCFLEET_DRAIN_SECONDS: '0',
    })
  }

  /** Writes the volume of a pod as it should be now, as its node does from time to time, and returns its folder. */
  async mount(fleet: string, pod: string): Promise<string> {
    const [namespace = '', name = ''] = fleet.split('/')
    const control = join(this.#folder, `${namespace}-${pod}`)
    mkdirSync(control, { recursive: true })
    writeFileSync(join(control, 'token'), await this.token(namespace, `${name}-replica`, pod), { mode: 0o600 })
    const config = await until(this.#client, configMaps, { namespace, name: `${name}-control` }, (object) => {
      return object !== undefined
    })
    writeFileSync(join(control, 'ca.crt'), config?.data?.['ca.crt'] ?? '')
    return control
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#processes.map((process) => process.kill()))
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** What the programs said last, for a test that fails. */
  lastLines(): string {
    return this.#processes.map((process) => process.lastLines()).join('\n---\n')
  }

  #run(name: string, args: readonly string[], environment: Record<string, string>): Process {
    const log = join(this.#folder, `${name}.log`)
    const variables = Object.entries(environment).map(([variable, value]) => `${variable}=${value}`)
    const process = new Process('env', [...variables, globalThis.process.execPath, ...args], log)
    this.#processes.push(process)
    return process
  }

  /** A token as a projected volume has it: for us, and bound to the pod. */
  async token(namespace: string, account: string, pod: string): Promise<string> {
    const tokens = {
      group: '',
      version: 'v1',
      kind: 'TokenRequest',
      plural: `serviceaccounts/${account}/token`,
      namespaced: true,
    } as const
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name: '', namespace },
      spec: { audiences: ['sbcfleet.dev/control'], boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: pod } },
    }
    const made = (await this.#client.create(tokens, request)) as KubeObject & { status?: { token?: string } }
    return made.status?.token ?? ''
  }
}
