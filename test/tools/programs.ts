import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const modules = { kubernetes: import.meta.dirname, kstatus: join(import.meta.dirname, 'kstatus') }

/** The programs that tests run against a real Kubernetes API, and the Go package that each is built from, in its module. */
export const packages = {
  etcd: [modules.kubernetes, 'go.etcd.io/etcd/server/v3'],
  'kube-apiserver': [modules.kubernetes, 'k8s.io/kubernetes/cmd/kube-apiserver'],
  'kube-controller-manager': [modules.kubernetes, 'k8s.io/kubernetes/cmd/kube-controller-manager'],
  kubectl: [modules.kubernetes, 'k8s.io/kubernetes/cmd/kubectl'],
  helm: [modules.kubernetes, 'helm.sh/helm/v3/cmd/helm'],
  kubeconform: [modules.kubernetes, 'github.com/yannh/kubeconform/cmd/kubeconform'],
  kstatus: [modules.kstatus, '.'],
} as const
export type Program = keyof typeof packages

const goMod = readFileSync(join(modules.kubernetes, 'go.mod'), 'utf8')
const sources = [join(modules.kstatus, 'go.mod'), join(modules.kstatus, 'main.go')]

/** The Kubernetes version that is built, as `v1.36.2`. */
export const kubernetesVersion = /k8s\.io\/kubernetes (v\S+)/.exec(goMod)?.[1] ?? 'unknown'

/** Where built programs are kept: outside the clone, and apart for every set of pinned versions. */
export function cacheFolder(): string {
  const caches = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const content = [goMod, ...sources.map((path) => readFileSync(path, 'utf8'))]
  const pins = createHash('sha256').update(content.join()).digest('hex').slice(0, 8)
  return join(caches, 'sbcfleet', `kubernetes-${kubernetesVersion}-${pins}`)
}

/** Path of a program that needs no building: from `KUBEBUILDER_ASSETS`, else from the cache. */
export function find(program: Program): string | undefined {
  const assets = process.env['KUBEBUILDER_ASSETS'] ?? ''
  const folders = assets === '' ? [cacheFolder()] : [assets, cacheFolder()]
  return folders.map((folder) => join(folder, program)).find(isExecutable)
}

/** What stands in the way of having the programs, as a phrase with the way out; undefined when nothing does. */
export function obstacle(programs: readonly Program[]): string | undefined {
  const missing = programs.filter((program) => find(program) === undefined)
  if (missing.length === 0 || haveGo()) return undefined
  return (
    `${missing.join(', ')} not found, and no Go to build them: install Go 1.21 or newer (https://go.dev/dl), ` +
    'or set KUBEBUILDER_ASSETS to a folder that has them'
  )
}

/**
 * Paths of the programs. Those that are missing are built, once: later runs find them in the cache. Several processes
 * may ask at the same time; one builds, the others wait. Throws when a build fails, with the end of its output.
 */
export async function provide<P extends Program>(...programs: P[]): Promise<Record<P, string>> {
  if (programs.some((program) => find(program) === undefined)) {
    const problem = obstacle(programs)
    if (problem !== undefined) throw new Error(problem)
    await alone(async () => {
      const missing = programs.filter((program) => find(program) === undefined)
      if (missing.length > 0) say(`building ${missing.join(', ')} from the Go module proxy into ${cacheFolder()}`)
      if (missing.length > 0) say('this is done once, and takes about 10 minutes on two cores')
      for (const program of missing) await build(program)
    })
  }
  return Object.fromEntries(programs.map((program) => [program, find(program)])) as Record<P, string>
}

async function build(program: Program): Promise<void> {
  const began = Date.now()
  const built = join(cacheFolder(), program)
  const [, minor] = kubernetesVersion.split('.')
  const stamp = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((at) => [
    `-X ${at}.gitVersion=${kubernetesVersion}`,
    `-X ${at}.gitMajor=1 -X ${at}.gitMinor=${minor} -X ${at}.gitTreeState=clean`,
  ])
  const flags = ['-mod=readonly', '-trimpath', '-ldflags', `-s -w ${stamp.join(' ')}`]
  say(`building ${program} …`)
  const [module, path] = packages[program]
  await run(module, 'nice', ['go', 'build', ...flags, '-o', `${built}.new`, path])
  renameSync(`${built}.new`, built)
  say(`built ${program} in ${Math.round((Date.now() - began) / 1000)} s`)
}

async function run(module: string, command: string, args: string[]): Promise<void> {
  const child = spawn(command, args, {
    cwd: module,
    env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const keep = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000))
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed with ${code}:\n${output}`)
}

/** Runs `work` in one process at a time on this machine. The lock of a process that is gone does not count. */
async function alone(work: () => Promise<void>): Promise<void> {
  const lock = join(cacheFolder(), 'building')
  mkdirSync(dirname(lock), { recursive: true })
  while (!take(lock)) await delay(500)
  try {
    await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function take(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    const holder = holderOf(lock)
    if (holder > 0 && !isAlive(holder)) rmSync(lock, { force: true })
    return false
  }
}

/** Zero where it was given back meanwhile, or its holder has not yet said who it is. */
function holderOf(lock: string): number {
  try {
    return Number(readFileSync(lock, 'utf8'))
  } catch {
    return 0
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function haveGo(): boolean {
  return spawnSync('go', ['version']).status === 0
}

function say(line: string): void {
  process.stderr.write(`[kubernetes ${kubernetesVersion}] ${line}\n`)
}

// `node test/tools/programs.ts kubectl helm` provides these, or all, and prints where they are, a path a line.
if (import.meta.main) {
  const asked = process.argv.slice(2)
  const unknown = asked.filter((name) => !(name in packages))
  if (unknown.length > 0) {
    throw new Error(`unknown: ${unknown.join(', ')}; there are ${Object.keys(packages).join(', ')}`)
  }
  const wanted = asked.length > 0 ? asked : Object.keys(packages)
  for (const path of Object.values(await provide(...(wanted as Program[])))) console.log(path)
}
