import { describe, expect, it } from 'vitest'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { countGenerations, type Known } from './generations.ts'
import { readManifests } from './manifests/read-manifests.ts'

const trunk = (port: number, generation = '') => `
apiVersion: sbcfleet.dev/v1alpha1
kind: SipTrunk
metadata: { name: pbx, namespace: voice, annotations: { port: "${port}" }${generation} }
spec:
  voiceServiceRef: { name: edge }
  targets: [{ name: a, host: 127.0.0.1, port: ${port} }]
`

describe('countGenerations', () => {
  /** Generation and time of creation after each reading. */
  async function generationsOf(texts: readonly string[]): Promise<string[]> {
    const directory = mkdtempSync(join(tmpdir(), 'generations-'))
    let known: ReadonlyMap<string, Known> = new Map()
    const counted: string[] = []
    for (const [now, text] of texts.entries()) {
      writeFileSync(join(directory, 'a.yaml'), text)
      const next = countGenerations(await readManifests(directory), known, now)
      known = next.known
      const [entry] = next.manifests.entries
      const createdAt = known.get('SipTrunk voice/pbx')?.createdAt
      counted.push(`${entry?.manifest?.metadata.generation ?? 'none'} since ${createdAt}`)
    }
    rmSync(directory, { recursive: true })
    return counted
  }

  it('counts changes of the spec', async () =>
    expect(await generationsOf([trunk(1), trunk(2), trunk(2), trunk(1)])).toEqual([
      '1 since 0',
      '2 since 0',
      '2 since 0',
      '3 since 0',
    ]))

  it('does not count what is not the spec, nor what a file says itself', async () =>
    expect(await generationsOf([trunk(1), `# moved\n${trunk(1, ', generation: 7')}`])).toEqual([
      '1 since 0',
      '1 since 0',
    ]))

  it('begins again for a resource that was removed and came back', async () =>
    expect(await generationsOf([trunk(1), trunk(2), '', trunk(2)])).toEqual([
      '1 since 0',
      '2 since 0',
      'none since undefined',
      '1 since 3',
    ]))
})
