import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '#lib/clock.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { DirectoryWatch } from './watch.ts'

describe('DirectoryWatch', () => {
  let root: string
  let directory: string
  let watch: DirectoryWatch | undefined

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'watch-'))
    directory = join(root, 'manifests')
    mkdirSync(join(directory, 'trunks'), { recursive: true })
    writeFileSync(join(directory, 'fleet.yaml'), 'a: 1\n')
  })
  afterEach(() => {
    watch?.close()
    rmSync(root, { recursive: true })
  })

  /** Runs `act` once the watch is on, and resolves when a read is called for. */
  const readAfter = (act: () => void) =>
    new Promise<void>((resolve) => {
      watch = new DirectoryWatch({ directory, clock: systemClock, onChange: resolve })
      act()
    })

  it('calls for a read when a file is edited in place', () =>
    readAfter(() => writeFileSync(join(directory, 'fleet.yaml'), 'a: 2\n')))

  it('calls for a read when a file is replaced by another', () =>
    readAfter(() => {
      writeFileSync(join(directory, '.fleet.yaml.swp'), 'a: 2\n')
      renameSync(join(directory, '.fleet.yaml.swp'), join(directory, 'fleet.yaml'))
    }))

  it('calls for a read when a file appears in a folder', () =>
    readAfter(() => writeFileSync(join(directory, 'trunks', 'carrier.yaml'), 'a: 1\n')))

  it('calls for a read when a file is removed', () => readAfter(() => rmSync(join(directory, 'fleet.yaml'))))

  it('calls for one read after a burst of changes', async () => {
    let reads = 0
    await new Promise<void>((resolve) => {
      watch = new DirectoryWatch({
        directory,
        clock: systemClock,
        onChange: () => {
          reads++
          resolve()
        },
      })
      for (let count = 0; count < 20; count++) writeFileSync(join(directory, 'fleet.yaml'), `a: ${count}\n`)
    })
    expect(reads).toBe(1)
  })

  it('reads again every 5 s, events or not', () => {
    const clock = new ManualClock()
    let reads = 0
    watch = new DirectoryWatch({ directory, clock, onChange: () => reads++ })
    clock.advance(4_999)
    expect(reads).toBe(0)
    clock.advance(1)
    expect(reads).toBe(1)
    clock.advance(10_000)
    expect(reads).toBe(3)
  })

  it('waits for a directory that is not there yet, and watches it from then on', async () => {
    rmSync(directory, { recursive: true })
    const clock = new ManualClock()
    let reads = 0
    watch = new DirectoryWatch({ directory, clock, onChange: () => reads++ })
    clock.advance(500)
    expect(reads).toBe(1)
    mkdirSync(directory)
    clock.advance(500)
    expect(reads).toBe(2)
    clock.advance(4_999)
    expect(reads, 'the beat is slow again').toBe(2)
  })

  it('takes up a directory again that was removed and made anew', async () => {
    const clock = new ManualClock()
    watch = new DirectoryWatch({ directory, clock, onChange: () => {} })
    renameSync(directory, join(root, 'old'))
    mkdirSync(directory)
    clock.advance(5_000)
    watch.close()
    expect(clock.pending).toBe(0)
    chmodSync(directory, 0o700)
    await readAfter(() => writeFileSync(join(directory, 'new.yaml'), 'a: 1\n'))
  })

  it('leaves no timer when it is closed', () => {
    const clock = new ManualClock()
    watch = new DirectoryWatch({ directory, clock, onChange: () => {} })
    watch.close()
    expect(clock.pending).toBe(0)
  })
})
