import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type Lock =
  | { readonly release: () => void }
  /** The process that has the directory. */
  | { readonly heldBy: number }
  /** Why nothing can be written there. */
  | { readonly failure: string }

/**
 * Takes a directory for this process, so that two do not write their status into one. What a dead process left behind
 * does not count, not even when its number belongs to another process by now: the file has the time it began, too.
 */
export function lockDirectory(directory: string, pid: number): Lock {
  const path = join(directory, 'pid')
  const [number = '', began = ''] = readIfThere(path).split('\n')
  const holder = Number.parseInt(number)
  if (holder > 0 && holder !== pid && isAlive(holder) && isSame(began, beginOf(holder))) return { heldBy: holder }
  try {
    mkdirSync(directory, { recursive: true })
    writeFileSync(path, `${pid}\n${beginOf(pid)}\n`)
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) }
  }
  return { release: () => rmSync(path, { force: true }) }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, and belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Where the system does not tell, a process that lives is taken for the one that wrote. */
function isSame(written: string, found: string): boolean {
  return written === '' || found === '' || written === found
}

/** When a process began, in words that no other process with its number has; empty where nothing tells. */
function beginOf(pid: number): string {
  // Ticks since the machine was started; the name in parentheses may hold anything.
  const ticks = readIfThere(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ')[19]
  if (ticks !== undefined) return `${readIfThere('/proc/sys/kernel/random/boot_id').trim()} ${ticks}`
  const ps = spawnSync('env', ['LC_ALL=C', 'ps', '-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
  return ps.status === 0 ? ps.stdout.trim() : ''
}
