import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Secret } from '#lib/secret.ts'
import { Applier } from './apply.ts'
import { LastGood } from './last-good.ts'
import type { RunningConfig } from './running.ts'
import { trunkResource } from './testing/resources.ts'

let directory: string
let lines: string[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'last-good-'))
  lines = []
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const fleet = 'voice/edge'
const log = () => createLog({ level: 'warn', name: 'test', write: (line) => lines.push(line) })
const file = () => join(directory, 'last-good.json')

function newApplier(): Applier {
  const sockets = { open: () => Promise.reject(new Error('no sockets here')), reload: () => {}, close: async () => {} }
  return new Applier({ fleet, addresses: ['127.0.0.1'], sockets, clock: new ManualClock(), log: log() })
}

async function configOf(revision: string, ...names: string[]): Promise<RunningConfig> {
  const applier = newApplier()
  const password = new Secret('the password')
  const registration = {
    account: 'main',
    registrar: 'primary',
    number: '100',
    host: 'sip.example',
    port: 5060,
    transport: 'UDP',
    listener: 'udp',
    expiresSeconds: 3600,
    refreshPercent: 80,
    contactUser: '100',
    bulk: false,
    retry: { minSeconds: 5, maxSeconds: 120 },
    username: '100',
    password,
  } as const
  const upserts = names.map((name) => trunkResource(name, { registrations: [registration] }))
  await applier.apply({ revision, upserts, removes: [] })
  if (applier.running.current === undefined) throw new Error('nothing was applied')
  return applier.running.current
}

describe('LastGood', () => {
  it('gives back what it was given, passwords included', async () => {
    const lastGood = new LastGood(directory, log())
    lastGood.save(await configOf('one', 'a', 'b'))
    await lastGood.flush()
    const change = await new LastGood(directory, log()).load(fleet)
    const applier = newApplier()
    await applier.apply(change ?? { revision: '', upserts: [], removes: [] })
    expect(applier.running.current?.revision).toBe('one')
    expect([...(applier.running.current?.trunks.keys() ?? [])]).toEqual(['a', 'b'])
    expect(applier.running.current?.trunks.get('a')?.registrations[0]?.password.reveal()).toBe('the password')
  })

  it('writes a file that only its owner can read, and leaves no other behind', async () => {
    await writeFile(file(), 'older', { mode: 0o644 })
    await writeFile(`${file()}.tmp`, 'left by a crash', { mode: 0o644 })
    const lastGood = new LastGood(directory, log())
    lastGood.save(await configOf('one', 'a'))
    await lastGood.flush()
    expect((await stat(file())).mode & 0o777).toBe(0o600)
    expect(await readdir(directory)).toEqual(['last-good.json'])
  })

  it('writes the newest of several that wait', async () => {
    const lastGood = new LastGood(directory, log())
    for (const revision of ['one', 'two', 'three']) lastGood.save(await configOf(revision, 'a'))
    await lastGood.flush()
    expect((await lastGood.load(fleet))?.revision).toBe('three')
  })

  it('makes the directory', async () => {
    const lastGood = new LastGood(join(directory, 'new'), log())
    lastGood.save(await configOf('one', 'a'))
    await lastGood.flush()
    expect((await stat(join(directory, 'new'))).mode & 0o777).toBe(0o700)
  })

  it('has nothing at the first start, and does not complain', async () => {
    expect(await new LastGood(directory, log()).load(fleet)).toBeUndefined()
    expect(lines).toEqual([])
  })

  it.each<[string, (text: string) => string, string]>([
    ['is empty', () => '', 'damaged'],
    ['is cut off', (text) => text.slice(0, -20), 'checksum'],
    ['has a changed byte', (text) => text.replace('"a"', '"b"'), 'checksum'],
    ['is of another release', (text) => text.replace('"version":1', '"version":2'), 'first line'],
    ['is something else', () => 'a letter\nto a friend', 'damaged'],
  ])('passes over a file that %s, and says so without showing it', async (_what, damage, reason) => {
    const lastGood = new LastGood(directory, log())
    lastGood.save(await configOf('one', 'a'))
    await lastGood.flush()
    await writeFile(file(), damage(await readFile(file(), 'utf8')))
    expect(await lastGood.load(fleet)).toBeUndefined()
    expect(lines.join('')).toContain(reason)
    expect(lines.join('')).not.toContain('the password')
  })

  it('passes over the file of another fleet', async () => {
    const lastGood = new LastGood(directory, log())
    lastGood.save(await configOf('one', 'a'))
    await lastGood.flush()
    expect(await lastGood.load('voice/core')).toBeUndefined()
    expect(lines.join('')).toContain('of fleet voice/edge')
  })

  it('logs a directory that cannot be used, and goes on', async () => {
    await writeFile(join(directory, 'occupied'), '')
    const lastGood = new LastGood(join(directory, 'occupied'), log())
    lastGood.save(await configOf('one', 'a'))
    await lastGood.flush()
    expect(lines.join('')).toContain('cannot be written')
    expect(await lastGood.load(fleet)).toBeUndefined()
  })
})
