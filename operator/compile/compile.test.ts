import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments, stringify } from 'yaml'
import { describe, expect, it } from 'vitest'
import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { Snapshot } from '#api/snapshot.ts'
import { VoiceService } from '#api/voice-service.ts'
import { Secret, stringifyWithSecrets } from '#lib/secret.ts'
import { compileFleets } from './compile.ts'
import type { Resources } from './world.ts'

/**
 * Every file is one case: a sentence on top, manifests, `=====`, and what they compile to. `UPDATE=1` writes the second
 * half anew; a changed file is read before it is committed.
 */
const folder = join(import.meta.dirname, 'testdata')
const separator = '\n=====\n'

describe('compile', () => {
  it.each(readdirSync(folder))('gives what %s says', (name) => {
    const path = join(folder, name)
    const [input = '', expected] = readFileSync(path, 'utf8').split(separator)
    const result = compileFleets(resourcesIn(input))
    for (const { snapshot } of result.fleets) Snapshot.parse(JSON.parse(stringifyWithSecrets(snapshot)))
    const actual = golden(result)
    if (process.env['UPDATE'] !== undefined) writeFileSync(path, input + separator + actual)
    else expect(actual).toBe(expected)
  })

  it('gives one revision whatever the order of the manifests', () => {
    const resources = resourcesIn(inputOf('the-quickstart.yaml'))
    const reversed = {
      voiceServices: resources.voiceServices.toReversed(),
      trunks: resources.trunks.toReversed(),
      secrets: resources.secrets.toReversed(),
      nonceRoot: resources.nonceRoot,
    }
    expect(golden(compileFleets(reversed))).toBe(golden(compileFleets(resources)))
  })

  it('gives a new version to what changed, and to nothing else', () => {
    const input = inputOf('the-quickstart.yaml')
    const before = versions(input)
    const after = versions(input.replace('example-password-change-me', 'another'))
    expect(after['revision']).not.toBe(before['revision'])
    expect(after['Trunk/carrier']).not.toBe(before['Trunk/carrier'])
    const { revision: _r1, 'Trunk/carrier': _t1, ...restBefore } = before
    const { revision: _r2, 'Trunk/carrier': _t2, ...restAfter } = after
    expect(restAfter).toEqual(restBefore)
  })

  it('does not count a new generation or label as a change', () => {
    const input = inputOf('the-quickstart.yaml')
    const touched = input.replaceAll('namespace: voice', 'namespace: voice\n  generation: 7\n  labels: { a: b }')
    expect(versions(touched)).toEqual(versions(input))
  })

  it('makes the same nonce key for a trunk everywhere, another one for every other trunk and root, and none without', () => {
    const resources = resourcesIn(inputOf('trunk-that-proves-who-it-is.yaml'))
    const keys = (nonceRoot: Secret | undefined) =>
      compileFleets({ ...resources, nonceRoot }).fleets.flatMap(({ snapshot }) =>
        snapshot.resources.flatMap(({ body }) =>
          body.type === 'Trunk' ? [body.authentication?.nonceKey?.reveal()] : [],
        ),
      )
    const all = [...keys(new Secret('a root')), ...keys(new Secret('another'))]
    expect(new Set(all).size).toBe(4)
    expect(keys(new Secret('a root'))).toEqual(all.slice(0, 2))
    expect(keys(undefined)).toEqual([undefined, undefined])
  })

  it('never shows a password in what can be printed', () => {
    const result = compileFleets(resourcesIn(inputOf('the-quickstart.yaml')))
    expect(JSON.stringify(result.fleets.map(({ snapshot }) => snapshot))).not.toContain('example-password')
  })
})

function inputOf(name: string): string {
  return readFileSync(join(folder, name), 'utf8').split(separator)[0] ?? ''
}

function resourcesIn(text: string): Resources {
  const documents = parseAllDocuments(text)
  const values = Array.isArray(documents)
    ? documents.map((document) => document.toJS() as { kind?: string } | null)
    : []
  const of = (kind: string) => values.filter((value) => value?.kind === kind)
  return {
    voiceServices: of('VoiceService').map((value) => VoiceService.parse(value)),
    trunks: of('SipTrunk').map((value) => SipTrunk.parse(value)),
    secrets: of('Secret').map((value) => SecretManifest.parse(value)),
    nonceRoot: new Secret('a root'),
  }
}

function golden({ fleets, strays }: ReturnType<typeof compileFleets>): string {
  const verdicts = [...fleets, strays].flatMap(({ conditions, problems }) =>
    conditions.map(({ resource, accepted, resolvedRefs }) => ({
      resource: `${resource.kind} ${resource.namespace}/${resource.name}`,
      conditions: [accepted, resolvedRefs].map(
        ({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`,
      ),
      problems: problems.filter((one) => one.resource === resource).map(({ field, message }) => `${field}: ${message}`),
    })),
  )
  const plain = JSON.parse(JSON.stringify({ snapshots: fleets.map(({ snapshot }) => snapshot), verdicts })) as unknown
  return stringify(plain, { lineWidth: 0, aliasDuplicateObjects: false })
}

function versions(input: string): Record<string, string> {
  const [fleet] = compileFleets(resourcesIn(input)).fleets
  if (fleet === undefined) throw new Error('no fleet in the input')
  const { revision, resources } = fleet.snapshot
  return { revision, ...Object.fromEntries(resources.map(({ key, version }) => [key, version])) }
}
