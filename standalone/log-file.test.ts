import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LogFile } from './log-file.ts'

describe('LogFile', () => {
  let root: string
  let errors: string[]

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'log-'))
    errors = []
  })
  afterEach(() => rmSync(root, { recursive: true }))

  const open = (limitBytes?: number) =>
    new LogFile(join(root, 'log', 'edge-0.log'), (error) => errors.push(error.message), limitBytes)
  const read = (name: string) => readFileSync(join(root, 'log', name), 'utf8')

  it('goes on where an earlier run stopped', () => {
    for (const line of ['first\n', 'second\n']) {
      const log = open()
      log.append(line)
      log.close()
    }
    expect(read('edge-0.log')).toBe('first\nsecond\n')
  })

  it('is put aside when it is full, and loses nothing on the way', () => {
    const log = open(10)
    for (const line of ['aaaaaaaaa\n', 'bbbb\n', 'cccc\n', 'dddd\n']) log.append(line)
    log.close()
    expect(read('edge-0.log.1')).toBe('bbbb\ncccc\n')
    expect(read('edge-0.log')).toBe('dddd\n')
    expect(readdirSync(join(root, 'log')).sort()).toEqual(['edge-0.log', 'edge-0.log.1'])
    expect(errors).toEqual([])
  })

  it('is done without when it cannot be written, which is told', () => {
    writeFileSync(join(root, 'log'), 'a file in the place of the directory')
    const log = open()
    log.append('lost\n')
    log.close()
    expect(errors).toHaveLength(1)
  })

  it('is done without when its place is taken by a directory', () => {
    mkdirSync(join(root, 'log', 'edge-0.log'), { recursive: true })
    const log = open()
    log.append('lost\n')
    log.close()
    expect(errors).toEqual([expect.stringContaining('EISDIR')])
  })
})
