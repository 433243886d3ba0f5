import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockDirectory } from './instance-lock.ts'

describe('lockDirectory', () => {
  let directory: string
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'lock-'))))
  afterEach(() => rmSync(directory, { recursive: true }))
  const path = () => join(directory, 'pid')

  it('takes a directory, and gives it back', () => {
    const lock = lockDirectory(directory, process.pid)
    expect(readFileSync(path(), 'utf8')).toMatch(new RegExp(`^${process.pid}\\n.+\\n$`))
    if ('release' in lock) lock.release()
    expect(existsSync(path())).toBe(false)
  })

  it('says who has it', () => {
    lockDirectory(directory, process.ppid)
    expect(lockDirectory(directory, process.pid)).toEqual({ heldBy: process.ppid })
  })

  it('believes a number alone where the system has not told more', () => {
    writeFileSync(path(), `${process.ppid}\n`)
    expect(lockDirectory(directory, process.pid)).toEqual({ heldBy: process.ppid })
  })

  it('says why it cannot be written', () => {
    writeFileSync(join(directory, 'file'), '')
    expect(lockDirectory(join(directory, 'file', 'status'), process.pid)).toEqual({
      failure: expect.stringContaining('ENOTDIR'),
    })
  })

  it.each([
    ['a process that has ended', () => `${spawnSync(process.execPath, ['--version']).pid}\n`],
    ['a process whose number another one has now', () => `${process.ppid}\nlong before\n`],
    ['nobody', () => 'garbage'],
    ['itself, as processes in containers have the same number again', () => `${process.pid}\n`],
  ])('takes it from %s', (_, text) => {
    writeFileSync(path(), text())
    expect(lockDirectory(directory, process.pid)).toHaveProperty('release')
  })
})
