import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '#lib/clock.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { DirectoryWatch } from './watch.ts'

/** Without the beat: what is seen, an event has told. */
const withoutBeat: Clock = {
  ...systemClock,
  after: (milliseconds, run) =>
    milliseconds < 500 ? systemClock.after(milliseconds, run) : { cancel: () => undefined },
}

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

  describe('by events alone', () => {
    let reads = 0
    let onRead: (() => void) | undefined

    const watchOver = (path: string) => {
      reads = 0
      watch = new DirectoryWatch({
        directory: path,
        clock: withoutBeat,
        onChange: () => {
          reads++
          onRead?.()
        },
      })
    }
    const readOf = (act: () => void) =>
      new Promise<void>((resolve) => {
        onRead = resolve
        act()
      })
    const replace = (file: string, text: string) => {
      writeFileSync(join(root, 'new'), text)
      renameSync(join(root, 'new'), file)
    }

    it('sees every one of several replacements of a file, as editors and git make them', async () => {
      watchOver(directory)
      const file = join(directory, 'fleet.yaml')
      for (let count = 0; count < 3; count++) await readOf(() => replace(file, `a: ${count}\n`))
      await readOf(() => writeFileSync(file, 'a: 1\n'))
      expect(reads).toBe(4)
    })

    it('sees replacements in a folder, in one that came later, and in one that was made anew', async () => {
      watchOver(directory)
      await readOf(() => replace(join(directory, 'trunks', 'carrier.yaml'), 'a: 1\n'))
      await readOf(() => replace(join(directory, 'trunks', 'carrier.yaml'), 'a: 2\n'))
      await readOf(() => mkdirSync(join(directory, 'later', 'deep'), { recursive: true }))
      for (const text of ['a: 1\n', 'a: 2\n'])
        await readOf(() => replace(join(directory, 'later', 'deep', 'x.yaml'), text))
      await readOf(() => {
        rmSync(join(directory, 'later'), { recursive: true })
        mkdirSync(join(directory, 'later'))
      })
      for (const text of ['a: 3\n', 'a: 4\n']) await readOf(() => replace(join(directory, 'later', 'x.yaml'), text))
    })

    it('sees a single file replaced, and nothing of its neighbours', async () => {
      const file = join(directory, 'fleet.yaml')
      watchOver(file)
      writeFileSync(join(directory, 'neighbour.yaml'), 'a: 1\n')
      for (let count = 0; count < 3; count++) await readOf(() => replace(file, `a: ${count}\n`))
      expect(reads).toBe(3)
    })
  })

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
