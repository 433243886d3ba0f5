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
 * does not count.
 */
export function lockDirectory(directory: string, pid: number): Lock {
  const path = join(directory, 'pid')
  const holder = Number.parseInt(readIfThere(path))
  if (holder > 0 && holder !== pid && isAlive(holder)) return { heldBy: holder }
  try {
    mkdirSync(directory, { recursive: true })
    writeFileSync(path, `${pid}\n`)
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
