import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatProblem, placeOf, resourcesOf } from './manifests.ts'
import { readManifests } from './read-manifests.ts'

const service = `apiVersion: sbcfleet.dev/v1alpha1
kind: VoiceService
metadata: { name: edge, namespace: voice }
spec:
  listeners:
    - { name: udp, transport: UDP, port: 5060 }
`
const trunk = `apiVersion: sbcfleet.dev/v1alpha1
kind: SipTrunk
metadata: { name: carrier, namespace: voice }
spec:
  voiceServiceRef: { name: edge }
  targets:
    - name: main
      host: 192.0.2.1
`

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sbcfleet-manifests-'))
})
afterEach(() => rmSync(root, { recursive: true }))

function put(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
}

/** The problems of one file, without the directory in front. */
async function problemsOf(files: Record<string, string>): Promise<string[]> {
  put(files)
  const { problems } = await readManifests(root)
  return problems.map((problem) => formatProblem(problem).replaceAll(`${root}/`, ''))
}

async function idsIn(path = root): Promise<string[]> {
  return (await readManifests(path)).entries.map(({ id }) => id)
}

describe('readManifests', () => {
  it('reads YAML and JSON files below a directory in the order of their names, several documents each', async () => {
    put({
      'b/trunks.yml': `# only a comment\n---\n${trunk}---\n${trunk.replace('name: carrier', 'name: pbx')}---\n`,
      'a.yaml': service,
      'c.json':
        '{\n\t"apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "password": "x" }\n}',
      'notes.txt': 'not ours: [',
    })
    const manifests = await readManifests(root)
    expect(manifests.problems).toEqual([])
    expect(manifests.entries.map(({ id }) => id)).toEqual([
      'VoiceService voice/edge',
      'SipTrunk voice/carrier',
      'SipTrunk voice/pbx',
      'Secret default/s',
    ])
    const { voiceServices, trunks, secrets } = resourcesOf(manifests)
    expect([voiceServices.length, trunks.length, secrets.length]).toEqual([1, 2, 1])
    expect(trunks[0]?.spec.targets[0]).toEqual({
      name: 'main',
      host: '192.0.2.1',
      transport: 'UDP',
      priority: 0,
      weight: 1,
    })
  })

  it('reads a single file', async () => {
    put({ 'a.yaml': service, 'b.yaml': trunk })
    expect(await idsIn(join(root, 'b.yaml'))).toEqual(['SipTrunk voice/carrier'])
  })

  it('passes over hidden files and follows links once', async () => {
    put({ '..data/a.yaml': service, '.git/x.yaml': 'broken: [' })
    symlinkSync('..data/a.yaml', join(root, 'a.yaml'))
    symlinkSync('.', join(root, 'loop'))
    expect(await idsIn()).toEqual(['VoiceService voice/edge'])
    expect((await readManifests(root)).problems).toEqual([])
  })

  it('reads what kubectl prints for several objects', async () => {
    const list = {
      apiVersion: 'v1',
      kind: 'List',
      items: [0, 1].map((index) => ({
        apiVersion: 'sbcfleet.dev/v1alpha1',
        kind: 'SipTrunk',
        metadata: { name: `t${index}`, creationTimestamp: null },
        spec: { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'a', host: 'h', prt: 1 }] },
      })),
    }
    const text = JSON.stringify(list, null, 2)
    put({ 'list.json': text })
    const { entries, problems } = await readManifests(root)
    expect(entries.map(({ id }) => id)).toEqual(['SipTrunk default/t0', 'SipTrunk default/t1'])
    expect(problems.map(({ field }) => field)).toEqual(['spec.targets[0].prt', 'spec.targets[0].prt'])
    const found = text.split('\n').flatMap((line, index) => (line.includes('"prt"') ? [index + 1] : []))
    expect(problems.map(({ line }) => line)).toEqual(found)
  })

  it('passes over kinds of others', async () => {
    const others = [
      'v1\nkind: Namespace',
      'apps/v1\nkind: Deployment',
      'v1\nkind: Service',
      'bitnami.com/v1alpha1\nkind: SealedSecret',
      'kustomize.config.k8s.io/v1beta1\nresources: []',
    ]
    expect(await problemsOf({ 'a.yaml': others.map((other) => `apiVersion: ${other}\n`).join('---\n') })).toEqual([])
  })

  it('says where a field stands, or what is around it', async () => {
    put({ 'a.yaml': trunk })
    const manifests = await readManifests(root)
    const at = (field: string) => {
      const place = placeOf(manifests, { kind: 'SipTrunk', namespace: 'voice', name: 'carrier' }, field)
      return `${place?.line}:${place?.column}`
    }
    expect(at('spec.targets[0].host')).toBe('8:13')
    expect(at('spec.targets[0].transport')).toBe('7:7')
    expect(at('spec.targets[7]')).toBe('7:5')
    expect(at('spec.registration.accounts[0].secretRef.name')).toBe('5:3')
    expect(at('metadata.name')).toBe('3:19')
    expect(placeOf(manifests, { kind: 'SipTrunk', namespace: 'voice', name: 'gone' }, 'spec')).toBeUndefined()
  })
})

describe('a bad field', () => {
  const id = 'SipTrunk voice/carrier'
  it.each([
    [
      'is named with the nearest one',
      trunk + '      prot: 5070\n',
      `9:7: ${id} spec.targets[0].prot: unknown field "prot"; did you mean "port"?`,
    ],
    [
      'is told where it belongs',
      trunk + '  upIntervalSeconds: 60\n',
      `9:3: ${id} spec.upIntervalSeconds: unknown field "upIntervalSeconds"; it belongs at spec.keepalive.upIntervalSeconds`,
    ],
    [
      'is told what there is',
      trunk + '      codec: opus\n',
      `9:7: ${id} spec.targets[0].codec: unknown field "codec"; known here: name, host, port, transport, priority, weight`,
    ],
    [
      'in metadata is a problem too',
      trunk.replace('namespace:', 'namspace:'),
      `3:28: SipTrunk default/carrier metadata.namspace: unknown field "namspace"; did you mean "namespace"?`,
    ],
    [
      'beside spec is a problem too',
      trunk + 'specs: {}\n',
      `9:1: ${id} specs: unknown field "specs"; did you mean "spec"?`,
    ],
    [
      'of the wrong type says what is expected',
      trunk + '      port: "5070"\n',
      `9:13: ${id} spec.targets[0].port: must be a number, but is "5070"`,
    ],
    [
      'with digits for a text says how to write it',
      trunk.replace('host: 192.0.2.1', 'host: 42'),
      `8:13: ${id} spec.targets[0].host: must be a text, but is the number 42; put it in quotes: "42"`,
    ],
    [
      'out of bounds says which',
      trunk + '      port: 70000\n',
      `9:13: ${id} spec.targets[0].port: must be at most 65535, but is 70000`,
    ],
    [
      'that is empty is pointed at by its key',
      trunk + '  access:\n',
      `9:3: ${id} spec.access: must be a mapping of fields, but is empty`,
    ],
    [
      'with an unknown value lists the known ones',
      trunk + '      transport: udp\n',
      `9:18: ${id} spec.targets[0].transport: must be UDP or TCP or TLS or WS or WSS, but is "udp"; did you mean "UDP"?`,
    ],
    [
      'of the wrong form says the form',
      trunk.replace('name: main', 'name: Main'),
      `7:13: ${id} spec.targets[0].name: must be lower-case letters, digits and "-", and start and end with a letter or digit, but is "Main"`,
    ],
    [
      'that is missing is looked for where it belongs',
      trunk.replace('      host: 192.0.2.1\n', ''),
      `7:7: ${id} spec.targets[0].host: is required: a text`,
    ],
    [
      'that breaks a rule between fields says the rule',
      trunk + '  keepalive:\n    timeoutSeconds: 30\n',
      `10:21: ${id} spec.keepalive.timeoutSeconds: timeoutSeconds must be less than upIntervalSeconds and downIntervalSeconds`,
    ],
    [
      'in a list that is too short says so',
      trunk.replace(/targets:[^]*$/, 'targets: []\n'),
      `6:12: ${id} spec.targets: needs at least 1 entry, but has 0`,
    ],
    [
      'with a name used twice says so',
      trunk + '    - { name: main, host: 192.0.2.2 }\n',
      `9:15: ${id} spec.targets[1].name: the name "main" is used twice in this list`,
    ],
  ])('%s', async (_name, text, problem) => {
    expect(await problemsOf({ 'a.yaml': text })).toEqual([`a.yaml:${problem}`])
  })

  it('does not hide the good manifests beside it, and the refused one is still known', async () => {
    put({ 'a.yaml': `${trunk}      prot: 1\n---\n${service}` })
    const manifests = await readManifests(root)
    expect(manifests.entries.map(({ id: name, manifest }) => [name, manifest !== undefined])).toEqual([
      ['SipTrunk voice/carrier', false],
      ['VoiceService voice/edge', true],
    ])
  })

  it('of two listeners on one port is the second', async () => {
    const text = `${service}    - { name: other, transport: UDP, port: 5060 }\n`
    expect(await problemsOf({ 'a.yaml': text })).toEqual([
      'a.yaml:7:44: VoiceService voice/edge spec.listeners[1].port: two listeners may not share port and IP family, unless one of them is UDP and the other is not',
    ])
  })

  it('of a Secret is named without its value', async () => {
    const text =
      'apiVersion: v1\nkind: Secret\nmetadata: { name: s }\nstringData: { password: 4711 }\ndata: { username: "al!ce" }\nstringdata: {}\n'
    const problems = await problemsOf({ 'a.yaml': text })
    expect(problems).toEqual([
      'a.yaml:5:19: Secret default/s data.username: must be Base64; plain text goes under stringData',
      'a.yaml:4:25: Secret default/s stringData.password: must be a text; put it in quotes',
      'a.yaml:6:1: Secret default/s stringdata: unknown field "stringdata"; did you mean "stringData"?',
    ])
    expect(problems.join()).not.toMatch(/4711|al!ce/)
  })
})

describe('a bad document', () => {
  it.each([
    ['kind: SipTrunk\n', '1:1: apiVersion: is required, as sbcfleet.dev/v1alpha1 for kind SipTrunk'],
    ['apiVersion: sbcfleet.dev/v1alpha1\n', '1:1: kind: is required: VoiceService or SipTrunk'],
    [
      trunk.replace('SipTrunk', 'SIPTrunks'),
      '2:7: kind: unknown kind "SIPTrunks" in sbcfleet.dev/v1alpha1; did you mean "SipTrunk"?',
    ],
    [
      trunk.replace('SipTrunk', 'Gateway'),
      '2:7: kind: unknown kind "Gateway" in sbcfleet.dev/v1alpha1; known: VoiceService, SipTrunk',
    ],
    [
      trunk.replace('v1alpha1', 'v1'),
      '1:13: apiVersion: "sbcfleet.dev/v1" has no SipTrunk; it is sbcfleet.dev/v1alpha1',
    ],
    [
      trunk.replace('sbcfleet.dev', 'sbcflet.dev'),
      '1:13: apiVersion: "sbcflet.dev/v1alpha1" has no SipTrunk; it is sbcfleet.dev/v1alpha1',
    ],
    ['apiVersion: v1\nkind: Secrets\n', '2:7: kind: unknown kind "Secrets" in v1; did you mean "Secret"?'],
    ['just words\n', '1:1: not a Kubernetes object: a mapping with apiVersion, kind and metadata is expected'],
    ['- a\n', '1:1: not a Kubernetes object: a mapping with apiVersion, kind and metadata is expected'],
    ['a: 1\n\tb: 2\n', '2:1: broken YAML: Tabs are not allowed as indentation; indent with spaces'],
    ['a: 1\na: 2\n', '2:1: broken YAML: Map keys must be unique; remove one of the two'],
    ['a: *nobody\n', '1:1: broken YAML: Unresolved alias (the anchor must be set before the alias): nobody'],
  ])('%j is a problem', async (text, problem) => {
    expect(await problemsOf({ 'a.yaml': text })).toEqual([`a.yaml:${problem}`])
  })

  it('leaves the documents around it as they are', async () => {
    put({ 'a.yaml': `${service}---\na: 1\na: 2\n---\n${trunk}` })
    const manifests = await readManifests(root)
    expect(manifests.entries.map(({ id }) => id)).toEqual(['VoiceService voice/edge', 'SipTrunk voice/carrier'])
    expect(manifests.unread).toEqual([join(root, 'a.yaml')])
  })

  it('does not blow up by aliases', async () => {
    const levels = Array.from(
      { length: 9 },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array(9).fill(`*l${level}`).join(', ')}]`,
    )
    const problems = await problemsOf({ 'a.yaml': `l0: &l0 x\n${levels.join('\n')}\n`, 'b.yaml': service })
    expect(problems).toEqual(['a.yaml:1:1: broken YAML: Excessive alias count indicates a resource exhaustion attack'])
    expect(await idsIn()).toEqual(['VoiceService voice/edge'])
  })

  it.each([
    '\u0000',
    '%YAML',
    '{',
    '"',
    '&',
    '!!binary ====',
    '? : ?',
    '---\n...\n---\n- -',
    '<<: 1',
    'a: !!js/function x',
  ])('never throws: %j', async (text) => {
    put({ 'a.yaml': text, 'b.yaml': service })
    expect(await idsIn()).toEqual(['VoiceService voice/edge'])
  })

  it('that defines a resource again names the other place, and the first is used', async () => {
    put({ 'a.yaml': trunk, 'b.yaml': `---\n${trunk.replace('192.0.2.1', '192.0.2.2')}` })
    const manifests = await readManifests(root)
    expect(manifests.problems.map(formatProblem)).toEqual([
      `${root}/b.yaml:4:19: SipTrunk voice/carrier metadata.name: defined twice: it stands at ${root}/a.yaml:1 too, which is used; remove or rename one`,
    ])
    expect(resourcesOf(manifests).trunks.map(({ spec }) => spec.targets[0]?.host)).toEqual(['192.0.2.1'])
  })
})

describe('what cannot be read', () => {
  it('is a directory that does not exist', async () => {
    const { problems, unread } = await readManifests(join(root, 'gone'))
    expect(problems.map(formatProblem)).toEqual([`${root}/gone:1:1: cannot be read: it does not exist`])
    expect(unread).toEqual([join(root, 'gone')])
  })

  it('is a directory without manifests', async () => {
    expect(await problemsOf({ 'notes.txt': 'x' })).toEqual([
      `${root}:1:1: holds no manifest; put *.yaml, *.yml or *.json files there`,
    ])
  })

  it('is a link that leads nowhere, and the rest is read', async () => {
    put({ 'b.yaml': service })
    symlinkSync('nowhere', join(root, 'a.yaml'))
    expect(await problemsOf({})).toEqual(['a.yaml:1:1: cannot be read: it does not exist'])
    expect(await idsIn()).toEqual(['VoiceService voice/edge'])
  })

  it('is a file of more than 16 MiB', async () => {
    expect(await problemsOf({ 'a.yaml': `#${'x'.repeat(16 * 1024 * 1024)}` })).toEqual([
      'a.yaml:1:1: cannot be read: larger than 16 MiB; split it',
    ])
  })

  it.skipIf(process.platform === 'win32')('is a pipe, which is not waited for, and the rest is read', async () => {
    put({ 'b.yaml': service })
    execFileSync('mkfifo', [join(root, 'a.yaml')])
    expect(await problemsOf({})).toEqual(['a.yaml:1:1: cannot be read: it is no regular file; remove it or rename it'])
    expect(await idsIn()).toEqual(['VoiceService voice/edge'])
  })

  it.each([
    ['Latin-1', Buffer.from(`# caf\xe9\n${trunk}`, 'latin1')],
    ['UTF-16', Buffer.from(`\ufeff${trunk}`, 'utf16le')],
    ['UTF-8 with a NUL in it', Buffer.from(`${trunk}\0`)],
  ])('is text in %s', async (_encoding, bytes) => {
    writeFileSync(join(root, 'a.yaml'), bytes)
    expect(await problemsOf({})).toEqual(['a.yaml:1:1: cannot be read: it is not UTF-8 text; save it as UTF-8'])
  })

  it.skipIf(process.getuid?.() === 0)('is a file without permission, and the rest is read', async () => {
    put({ 'a.yaml': trunk, 'b.yaml': service })
    chmodSync(join(root, 'a.yaml'), 0)
    expect(await problemsOf({})).toEqual([
      'a.yaml:1:1: cannot be read: permission denied; make it readable for the user that runs this',
    ])
    expect(await idsIn()).toEqual(['VoiceService voice/edge'])
  })
})
