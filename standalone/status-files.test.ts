import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { type StatusDocument, StatusFiles } from './status-files.ts'

describe('StatusFiles', () => {
  let root: string
  let errors: string[]
  let files: StatusFiles

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'status-'))
    errors = []
    files = new StatusFiles(join(root, 'status'), (error) => errors.push(error.message))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  const trunk = (targetsUp: string): StatusDocument => ({
    kind: 'SipTrunk',
    namespace: 'voice',
    name: 'carrier',
    generation: 3,
    createdAt: Date.UTC(2026, 0, 1),
    status: { observedGeneration: 3, targetsUp },
  })
  const path = () => join(root, 'status', 'siptrunk-voice-carrier.yaml')

  it('writes a resource as Kubernetes shows it', () => {
    files.write([trunk('1/1')])
    expect(parse(readFileSync(path(), 'utf8'))).toEqual({
      apiVersion: 'sbcfleet.dev/v1alpha1',
      kind: 'SipTrunk',
      metadata: { name: 'carrier', namespace: 'voice', generation: 3, creationTimestamp: '2026-01-01T00:00:00.000Z' },
      status: { observedGeneration: 3, targetsUp: '1/1' },
    })
    expect(readdirSync(join(root, 'status'))).toEqual(['siptrunk-voice-carrier.yaml'])
  })

  it('replaces a file only when its content changed, and then as a whole', () => {
    files.write([trunk('1/1')])
    const first = statSync(path()).ino
    files.write([trunk('1/1')])
    expect(statSync(path()).ino).toBe(first)
    files.write([trunk('0/1')])
    expect(statSync(path()).ino).not.toBe(first)
    expect(parse(readFileSync(path(), 'utf8'))).toMatchObject({ status: { targetsUp: '0/1' } })
  })

  it('removes files of resources that have gone, also those of an earlier run, and nothing else', () => {
    files.write([trunk('1/1')])
    writeFileSync(join(root, 'status', 'voiceservice-voice-old.yaml'), '')
    writeFileSync(join(root, 'status', 'notes.yaml'), '')
    mkdirSync(join(root, 'status', 'log'))
    files.write([])
    expect(readdirSync(join(root, 'status'))).toEqual(['log', 'notes.yaml'])
  })

  it('tells once that it cannot write, and writes when it can again', () => {
    writeFileSync(join(root, 'status'), 'a file in the place of the directory')
    files.write([trunk('1/1')])
    files.write([trunk('0/1')])
    expect(errors).toHaveLength(1)
    rmSync(join(root, 'status'))
    files.write([trunk('0/1')])
    expect(statSync(path()).isFile()).toBe(true)
  })
})
