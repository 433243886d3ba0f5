import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import { LastMembers } from './last-members.ts'

let directory: string
const lines: string[] = []
const log = createLog({ level: 'error', name: 'test', write: (line) => void lines.push(line) })
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'members-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

it('gives back the newest members of the fleet, and of no other', async () => {
  const members = new LastMembers(join(directory, 'state'), log)
  members.save('voice/edge', ['edge-0'])
  members.save('voice/edge', ['edge-0', 'edge-1'])
  await members.flush()
  expect(await new LastMembers(join(directory, 'state'), log).load('voice/edge')).toEqual(['edge-0', 'edge-1'])
  expect(await members.load('voice/other')).toBeUndefined()
})

it('takes a file that is missing or damaged for none', async () => {
  const members = new LastMembers(directory, log)
  expect(await members.load('voice/edge')).toBeUndefined()
  await writeFile(join(directory, 'last-members.json'), '{"fleet":"voice/edge","replicas":[]}')
  expect(await members.load('voice/edge')).toBeUndefined()
  await writeFile(join(directory, 'last-members.json'), '{')
  expect(await members.load('voice/edge')).toBeUndefined()
})

it('logs a disk that fails, and goes on', async () => {
  const file = join(directory, 'file')
  await writeFile(file, '')
  const members = new LastMembers(join(file, 'state'), log)
  members.save('voice/edge', ['edge-0'])
  await members.flush()
  expect(lines.at(-1)).toContain('the last members cannot be written')
})
