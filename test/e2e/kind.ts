import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** Makes a cluster with kind, builds the images with Docker, and plays the scenes in it. */
const root = join(import.meta.dirname, '../..')
const cluster = 'sbcfleet-e2e'

const missing = ['docker', 'kind'].filter((program) => spawnSync(program, ['version']).error !== undefined)
if (missing.length > 0 || spawnSync('docker', ['info']).status !== 0) {
  const what = missing.length > 0 ? `${missing.join(' and ')} not found` : 'the Docker daemon does not answer'
  console.error(`test:kind needs Docker and kind (https://kind.sigs.k8s.io): ${what}.`)
  process.exit(1)
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { cwd: root, stdio: 'inherit' })
}

function output(program: string, ...args: string[]): string {
  return execFileSync(program, args, { cwd: root, encoding: 'utf8' })
}

// `kind.ts load operator sbcfleet-operator:e2e` is what the scenes call for an image.
const [command, target, image] = process.argv.slice(2)
if (command === 'load' && target !== undefined && image !== undefined) {
  run('docker', 'build', '--target', target, '-t', image, '.')
  run('kind', 'load', 'docker-image', image, '--name', cluster)
} else {
  const kubeconfig = join(root, 'dist/kind.kubeconfig')
  run('docker', 'build', '--target', 'peers', '-t', 'sbcfleet-peers:e2e', '.')
  run('kind', 'create', 'cluster', '--name', cluster, '--kubeconfig', kubeconfig, '--wait', '120s')
  try {
    const node = output('kind', 'get', 'nodes', '--name', cluster).trim().split('\n')[0] ?? ''
    const exec = `docker run --rm -i --network container:${node} -v ${root}:${root}:ro -w /tmp sbcfleet-peers:e2e`
    const { status } = spawnSync(process.execPath, [join(root, 'test/e2e/main.ts')], {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        KUBECONFIG: kubeconfig,
        SBCFLEET_E2E_LOAD: `${process.execPath} ${import.meta.filename} load`,
        SBCFLEET_E2E_EXEC: exec,
      },
    })
    process.exitCode = status ?? 1
  } finally {
    run('kind', 'delete', 'cluster', '--name', cluster, '--kubeconfig', kubeconfig)
  }
}
