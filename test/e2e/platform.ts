import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder, provide } from '../tools/programs.ts'

const root = join(import.meta.dirname, '../..')

/** The cluster that the tests run on. */
export interface Platform {
  readonly kubeconfig: string
  /** Makes an image of a folder of `dist` known to the cluster, under this name. */
  load(target: 'operator' | 'replica', image: string): void
  /** Words before a command that make it run in the cluster's network, with the address of a node. */
  readonly exec: readonly string[]
  end(): void
}

/**
 * Where to run, from the environment. With `SBCFLEET_CLUSTER_SCRIPTS`, a folder with scripts that run a single-node cluster
 * without Docker (`setup`, `up`, `down`, `node-rootfs`, `image`, `load`, `exec`), a cluster of its own. Else the cluster of
 * `KUBECONFIG`, where `SBCFLEET_E2E_LOAD` is called with `operator` or `replica` and the name of the image to load, and
 * `SBCFLEET_E2E_EXEC` stands before commands that run in the cluster's network.
 */
export async function platformOf(environment: NodeJS.ProcessEnv): Promise<Platform> {
  const { SBCFLEET_CLUSTER_SCRIPTS: scripts, KUBECONFIG: kubeconfig } = environment
  const { SBCFLEET_E2E_LOAD: load, SBCFLEET_E2E_EXEC: exec } = environment
  if (scripts !== undefined && scripts !== '') {
    await provide('etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl', 'helm')
    return new SingleNode(scripts)
  }
  if (kubeconfig === undefined || load === undefined || exec === undefined) {
    throw new Error(
      'nowhere to run: set KUBECONFIG, SBCFLEET_E2E_LOAD and SBCFLEET_E2E_EXEC, or SBCFLEET_CLUSTER_SCRIPTS; ' +
        'npm run test:kind makes a cluster of its own',
    )
  }
  const [program = '', ...args] = words(load)
  return {
    kubeconfig,
    load: (target, image) => void execFileSync(program, [...args, target, image], { stdio: 'inherit' }),
    exec: words(exec),
    end: () => undefined,
  }
}

/** A cluster by scripts, with images made of a bundle and Node. */
class SingleNode implements Platform {
  readonly kubeconfig: string
  readonly exec: readonly string[]
  readonly #scripts: string
  readonly #name = `e2e-${process.pid}`
  readonly #folder = mkdtempSync(join(tmpdir(), 'sbcfleet-e2e-'))

  constructor(scripts: string) {
    this.#scripts = scripts
    if (!existsSync(join(scripts, 'up'))) throw new Error(`${scripts} has no script "up"`)
    this.#run('setup', [])
    const lines = this.#run('up', ['--name', this.#name]).trim().split('\n')
    this.kubeconfig = lines.at(-1) ?? ''
    this.exec = [join(scripts, 'exec'), '--name', this.#name]
    this.#run('node-rootfs', [join(this.#folder, 'node')])
  }

  load(target: 'operator' | 'replica', image: string): void {
    const tar = join(this.#folder, `${target}.tar`)
    const layers = `${join(this.#folder, 'node')}:${join(root, 'dist', target)}`
    this.#run('image', [tar, image, layers, '["/usr/local/bin/node", "/app/main.mjs"]'])
    this.#run('load', ['--name', this.#name, tar])
  }

  end(): void {
    this.#run('down', ['--name', this.#name])
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #run(script: string, args: readonly string[]): string {
    const programs = join(homedir(), '.cache/sbcfleet-cluster/bin')
    const PATH = `${programs}:${process.env['PATH'] ?? ''}`
    return execFileSync(join(this.#scripts, script), args, {
      encoding: 'utf8',
      // What other tests have built need not be built again.
      env: { K8S_BIN_DIR: cacheFolder(), ...process.env, PATH },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  }
}

function words(command: string): string[] {
  return command.split(' ').filter((word) => word !== '')
}
