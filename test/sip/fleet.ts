import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'

/** How long a fleet may take to come to a state, in seconds: less than a test may take, so that it says what it was. */
const limitSeconds = 100

/** A status file of standalone mode. */
export interface StatusFile {
  readonly kind: 'VoiceService' | 'SipTrunk'
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly status: {
    readonly observedGeneration?: number
    readonly conditions?: readonly { type: string; status: string; reason: string; message: string }[]
    readonly [field: string]: unknown
  }
}

export interface Fleet {
  /** The directory of manifests; write to it to change the fleet. */
  readonly manifests: string
  readonly statusDir: string
  readonly process: ChildProcess
  /** Everything the process wrote so far. */
  output(): string
  statuses(): StatusFile[]
  /** Resolves once the condition holds for what the status files say; rejects after the limit, with what they said. */
  until(what: string, holds: (statuses: StatusFile[]) => boolean): Promise<void>
  /** Resolves once the process has written something that fits, be it before now. */
  untilOutput(pattern: RegExp): Promise<void>
  stop(): Promise<void>
}

/** Starts `sbcfleet start` on manifests of its own, and waits until every resource is Ready. */
export async function startFleet(manifests: Record<string, string>, ...args: string[]): Promise<Fleet> {
  const folder = mkdtempSync(join(tmpdir(), 'fleet-'))
  for (const [file, text] of Object.entries(manifests)) writeFileSync(join(folder, file), text)
  const statusDir = mkdtempSync(join(tmpdir(), 'fleet-status-'))
  const main = join(import.meta.dirname, '../../standalone/main.ts')
  const child = spawn(process.execPath, [main, 'start', folder, '--status-dir', statusDir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let written = ''
  const readers: (() => void)[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      written += text
      for (const look of readers.splice(0)) look()
    })

  const fleet: Fleet = {
    manifests: folder,
    statusDir,
    process: child,
    output: () => written,
    statuses: () => readStatuses(statusDir),
    until: (what, holds) => untilStatus(fleet, what, holds),
    async untilOutput(pattern) {
      while (!pattern.test(written)) await new Promise<void>((resolve) => readers.push(resolve))
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      for (const path of [folder, statusDir]) rmSync(path, { recursive: true, force: true, maxRetries: 5 })
    },
  }
  const resources =
    Object.values(manifests)
      .join('\n')
      .match(/^kind: (VoiceService|SipTrunk)$/gm)?.length ?? 0
  try {
    await fleet.until(
      'every resource is Ready',
      (statuses) => statuses.length >= resources && statuses.every(isTrue('Ready')),
    )
  } catch (error) {
    await fleet.stop()
    throw error
  }
  return fleet
}

/** Whether the condition of that type is True. */
export function isTrue(type: string): (file: StatusFile) => boolean {
  return ({ status }) =>
    status.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true
}

function readStatuses(statusDir: string): StatusFile[] {
  if (!existsSync(statusDir)) return []
  return readdirSync(statusDir)
    .filter((file) => file.endsWith('.yaml'))
    .flatMap((file) => {
      try {
        return [parse(readFileSync(join(statusDir, file), 'utf8')) as StatusFile]
      } catch (error) {
        // A resource that has gone since the folder was read.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
        throw error
      }
    })
}

function untilStatus(fleet: Fleet, what: string, holds: (statuses: StatusFile[]) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      clearTimeout(limit)
      watcher.close()
      fleet.process.off('exit', onExit)
      if (error === undefined) resolve()
      else reject(error)
    }
    const describe = () => `${JSON.stringify(fleet.statuses(), null, 1)}\n${fleet.output()}`
    const onExit = () => settle(new Error(`the fleet ended before ${what}:\n${describe()}`))
    const look = () => {
      try {
        if (holds(fleet.statuses())) settle()
      } catch (error) {
        settle(error instanceof Error ? error : new Error(String(error)))
      }
    }
    const watcher = watch(fleet.statusDir, look)
    const limit = setTimeout(
      () => settle(new Error(`not within ${limitSeconds} s: ${what}:\n${describe()}`)),
      limitSeconds * 1000,
    )
    fleet.process.once('exit', onExit)
    look()
  })
}

export interface Peer {
  readonly address: string
  readonly port: number
  readonly priority?: number
}

/** Manifests of a fleet that carries calls from one address to another, with no keepalive to disturb a SIPp. */
export function callThroughManifests(options: {
  listener: number
  transport?: 'UDP' | 'TCP'
  caller: readonly Peer[]
  called: readonly Peer[]
  replicas?: number
  ipFamily?: 'IPv4' | 'IPv6'
  /** The drachtio-server that is to be its engine. */
  drachtio?: { readonly port: number; readonly secret: string }
}): Record<string, string> {
  const transport = options.transport ?? 'UDP'
  const target = (trunk: string) => (peer: Peer, index: number) =>
    `    - { name: ${trunk}-${index}, host: "${peer.address}", port: ${peer.port}, transport: ${transport}, priority: ${peer.priority ?? 0} }`
  const { drachtio } = options
  const server = `  engine: Drachtio\n  drachtio: { secretRef: { name: drachtio }, port: ${drachtio?.port} }\n`
  const engine = drachtio === undefined ? '' : server
  return {
    'fleet.yaml': `apiVersion: sbcfleet.dev/v1alpha1
kind: VoiceService
metadata: { name: edge, namespace: voice }
spec:
  replicas: ${options.replicas ?? 1}
${engine}  listeners:
    - { name: sip, transport: ${transport}, port: ${options.listener}, ipFamily: ${options.ipFamily ?? 'IPv4'} }
  routes:
    - name: through
      match: { trunks: [caller] }
      targets: [{ trunkRef: { name: called } }]
`,
    'caller.yaml': `apiVersion: sbcfleet.dev/v1alpha1
kind: SipTrunk
metadata: { name: caller, namespace: voice }
spec:
  voiceServiceRef: { name: edge }
  keepalive: { enabled: false }
  targets:
${options.caller.map(target('caller')).join('\n')}
`,
    'called.yaml': `apiVersion: sbcfleet.dev/v1alpha1
kind: SipTrunk
metadata: { name: called, namespace: voice }
spec:
  voiceServiceRef: { name: edge }
  keepalive: { enabled: false }
  targets:
${options.called.map(target('called')).join('\n')}
`,
    ...(options.drachtio !== undefined && { 'drachtio.yaml': secretManifest(options.drachtio.secret) }),
  }
}

function secretManifest(secret: string): string {
  return `apiVersion: v1
kind: Secret
metadata: { name: drachtio, namespace: voice }
stringData: { secret: ${JSON.stringify(secret)} }
`
}
