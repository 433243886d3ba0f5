import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { TestProject } from 'vitest/node'

/** Real peers that tests run against: the program that must be on the path, and the Debian package that has it. */
const peers = {
  sipp: 'sip-tester',
  baresip: 'baresip-core',
  rtpengine: 'rtpengine-daemon',
  kamailio: 'kamailio',
  knotd: 'knot',
  svmap: 'sipvicious',
} as const
export type Peer = keyof typeof peers

declare module 'vitest' {
  interface ProvidedContext {
    peers: Record<Peer, boolean>
  }
}

/**
 * Makes sure that the real peers are there before any test runs. On Debian as root they are installed; elsewhere their
 * tests are skipped with one loud line; with `CI` set a missing peer ends the run.
 */
export default function setup(project: TestProject): void {
  const have = Object.fromEntries(
    Object.entries(peers).map(([peer, debian]) => [peer, provide(peer, debian)]),
  ) as Record<Peer, boolean>
  const missing = Object.entries(peers).filter(([peer]) => !have[peer as Peer])
  if (missing.length > 0) {
    const what = missing.map(([peer, debian]) => `${peer} (Debian package ${debian})`).join(', ')
    if (process.env['CI'] !== undefined) throw new Error(`cannot test: ${what} is missing and could not be installed`)
    console.error(`\n*** SKIPPING THE TESTS WITH REAL PEERS: install ${what} to run them ***\n`)
  }
  project.provide('peers', have)
}

function provide(peer: string, debian: string): boolean {
  if (onPath(peer)) return true
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return false
  console.log(`installing ${debian} for ${peer} …`)
  try {
    apt('install', '-y', '--no-install-recommends', debian)
  } catch {
    try {
      apt('update')
      apt('install', '-y', '--no-install-recommends', debian)
    } catch (error) {
      console.error(error instanceof Error ? error.message : error)
    }
  }
  return onPath(peer)
}

/** A mirror that hiccups is asked again, and an apt that runs already is waited for. */
const patience = ['-o', 'Acquire::Retries=5', '-o', 'DPkg::Lock::Timeout=300']

function apt(...args: string[]): void {
  execFileSync('apt-get', ['-q', ...patience, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}

function onPath(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}
