import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { carryOver, resourcesOf, type Manifests } from './manifests.ts'
import { formatPath, parsePath } from './locate.ts'
import { readManifests } from './read-manifests.ts'

const trunk = (name: string, host = '192.0.2.1') =>
  `apiVersion: sbcfleet.dev/v1alpha1\nkind: SipTrunk\nmetadata: { name: ${name} }\nspec:\n  voiceServiceRef: { name: edge }\n  targets: [{ name: main, host: ${host} }]\n`

describe('carryOver', () => {
  let root = ''
  let before: Manifests
  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'sbcfleet-carry-'))
    write('two.yaml', `${trunk('one')}---\n${trunk('two')}`)
    write('three.yaml', trunk('three'))
    before = await readManifests(root)
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  function write(name: string, text: string): void {
    writeFileSync(join(root, name), text)
  }

  async function after(): Promise<string[]> {
    const { trunks } = resourcesOf(carryOver(before, await readManifests(root)))
    return trunks.map(({ metadata, spec }) => `${metadata.name} ${spec.targets[0]?.host}`).sort()
  }

  it('takes what is new and good', async () => {
    write('three.yaml', trunk('three', '192.0.2.3'))
    expect(await after()).toEqual(['one 192.0.2.1', 'three 192.0.2.3', 'two 192.0.2.1'])
  })

  it('keeps a resource that is refused now, and takes the others of its file', async () => {
    write('two.yaml', `${trunk('one').replace('host', 'hots')}---\n${trunk('two', '192.0.2.2')}`)
    expect(await after()).toEqual(['one 192.0.2.1', 'three 192.0.2.1', 'two 192.0.2.2'])
  })

  it('keeps what stood in a file that is broken now', async () => {
    write('two.yaml', `${trunk('one', '192.0.2.9')}---\n{`)
    expect(await after()).toEqual(['one 192.0.2.9', 'three 192.0.2.1', 'two 192.0.2.1'])
  })

  it.each([
    ['kind', 'SipTrunk', 'SipTrnk'],
    ['apiVersion', 'sbcfleet.dev', 'sbcfleet.dv'],
    ['name', 'name: three', 'nmae: three'],
    ['namespace', 'name: three', 'name: three, namspace: default'],
    ['name that is no name', 'name: three', 'name: Three'],
  ])('keeps what stood in a file whose %s is mistyped now', async (_what, from, to) => {
    write('three.yaml', trunk('three').replace(from, to))
    expect(await after()).toEqual(['one 192.0.2.1', 'three 192.0.2.1', 'two 192.0.2.1'])
  })

  it('keeps what stood in a file that is empty now, as while an editor writes it', async () => {
    write('three.yaml', '')
    expect(await after()).toEqual(['one 192.0.2.1', 'three 192.0.2.1', 'two 192.0.2.1'])
    write('three.yaml', '# nothing any more\n')
    expect(await after()).toEqual(['one 192.0.2.1', 'two 192.0.2.1'])
  })

  it('lets go of what was taken out of a file, and of a file that was removed', async () => {
    write('two.yaml', trunk('one'))
    rmSync(join(root, 'three.yaml'))
    expect(await after()).toEqual(['one 192.0.2.1'])
  })

  it('keeps everything when the directory cannot be read', async () => {
    rmSync(root, { recursive: true })
    expect(await after()).toEqual(['one 192.0.2.1', 'three 192.0.2.1', 'two 192.0.2.1'])
  })

  it('keeps on keeping while a file stays broken', async () => {
    write('two.yaml', '{')
    before = carryOver(before, await readManifests(root))
    expect(await after()).toEqual(['one 192.0.2.1', 'three 192.0.2.1', 'two 192.0.2.1'])
  })
})

describe('paths', () => {
  it.each([
    [['spec', 'targets', 0, 'port'], 'spec.targets[0].port'],
    [['data', 'tls.crt'], 'data["tls.crt"]'],
    [['items', 3], 'items[3]'],
    [[], ''],
  ])('%j is written %s, and read back', (path, text) => {
    expect(formatPath(path)).toBe(text)
    expect(parsePath(text)).toEqual(path)
  })
})
