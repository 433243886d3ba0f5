import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { artefacts } from './artefacts.ts'
import { differences, writeArtefacts } from './output.ts'

describe('generated files', () => {
  let root = ''
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'sbcfleet-generate-'))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  it('are all written once, and then there is nothing to write', () => {
    expect(writeArtefacts(root).sort()).toEqual([...artefacts().keys()].sort())
    expect(writeArtefacts(root)).toEqual([])
    expect(differences(root)).toEqual([])
  })

  it('differ when one was edited, and the difference shows the lines', () => {
    writeArtefacts(root)
    const path = join(root, 'docs/reference/conditions.md')
    writeFileSync(path, readFileSync(path, 'utf8').replace('# Conditions', '# Edited'))
    expect(differences(root)).toEqual(['--- docs/reference/conditions.md\n- # Edited\n+ # Conditions'])
    expect(writeArtefacts(root)).toEqual(['docs/reference/conditions.md'])
  })

  it('differ when one is there that nothing makes, and it is removed', () => {
    writeArtefacts(root)
    writeFileSync(join(root, 'crds/old.yaml'), 'x')
    expect(differences(root)).toEqual(['crds/old.yaml: is made from nothing any more'])
    writeArtefacts(root)
    expect(differences(root)).toEqual([])
  })
})
