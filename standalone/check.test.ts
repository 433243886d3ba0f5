import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCheck } from './check.ts'

const quickstart = join(import.meta.dirname, '../examples/quickstart')

const examples = join(import.meta.dirname, '../examples')

it.each(readdirSync(examples))('the example %s has no problem', async (name) => {
  const lines: string[] = []
  expect(await runCheck(join(examples, name), (line) => lines.push(line))).toBe(0)
  expect(lines.at(-1)).toBe('1 fleet, no problem')
})

describe('check', () => {
  let root = ''
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'sbcfleet-check-'))
    cpSync(quickstart, root, { recursive: true })
  })
  afterEach(() => rmSync(root, { recursive: true }))

  function edit(name: string, from: string, to: string): void {
    const text = readFileSync(join(root, name), 'utf8')
    expect(text).toContain(from)
    writeFileSync(join(root, name), text.replace(from, to))
  }

  async function run(): Promise<{ code: number; lines: string[] }> {
    const lines: string[] = []
    const code = await runCheck(root, (line) => lines.push(line.replaceAll(`${root}/`, '')))
    return { code, lines }
  }

  it('finds nothing in the quickstart and sums it up', async () => {
    const { code, lines } = await run()
    expect(code).toBe(0)
    expect(lines).toEqual([
      expect.stringMatching(/^voice\/edge: 2 trunks, 2 routes, revision [0-9a-f]{16}$/),
      '1 fleet, no problem',
    ])
  })

  it('warns of what the chosen engine cannot do, and finds no problem in it', async () => {
    edit('voice-service.yaml', 'spec:\n', 'spec:\n  engine: Drachtio\n  drachtio: { secretRef: { name: drachtio } }\n')
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'drachtio', namespace: 'voice' } }
    writeFileSync(join(root, 'drachtio.yaml'), JSON.stringify({ ...secret, stringData: { secret: 'cymru' } }))
    const { code, lines } = await run()
    expect(code).toBe(0)
    expect(lines[0]).toMatch(
      /^voice-service\.yaml:\d+:\d+: warning: VoiceService voice\/edge spec\.listeners\[1\]: drachtio-server chooses/,
    )
    expect(lines.at(-1)).toBe('1 fleet, no problem, 1 warning')
  })

  it('gives what the compiler finds its place in the files', async () => {
    edit('voice-service.yaml', 'trunkRef: { name: carrier }', 'trunkRef: { name: carier }')
    edit('carrier-account.yaml', 'password: ', 'passwort: ')
    const { code, lines } = await run()
    expect(code).toBe(1)
    expect(lines).toEqual([
      expect.stringMatching(
        /^carrier\.yaml:\d+:\d+: SipTrunk voice\/carrier spec\.registration\.accounts\[0\]\.secretRef\.name: Secret voice\/carrier-account has no key "password"/,
      ),
      expect.stringMatching(
        /^voice-service\.yaml:\d+:\d+: VoiceService voice\/edge spec\.routes\[0\]\.targets: no target is left/,
      ),
      expect.stringMatching(
        /^voice-service\.yaml:\d+:\d+: VoiceService voice\/edge spec\.routes\[0\]\.targets\[0\]\.trunkRef\.name: .*did you mean "carrier"\?$/,
      ),
      '3 problems',
    ])
    const text = readFileSync(join(root, 'voice-service.yaml'), 'utf8').split('\n')
    const [, line, column] = lines[2]?.split(':') ?? []
    expect(text[Number(line) - 1]?.slice(Number(column) - 1)).toMatch(/^carier/)
  })

  it('does not say that something is missing which stands there and is refused', async () => {
    edit('voice-service.yaml', 'replicas: 2', 'replica: 2')
    const { code, lines } = await run()
    expect(code).toBe(1)
    expect(lines).toEqual([
      expect.stringMatching(
        /^voice-service\.yaml:\d+:3: VoiceService voice\/edge spec\.replica: unknown field "replica"; did you mean "replicas"\?$/,
      ),
      '1 problem',
    ])
  })

  it('says that a trunk of another fleet is no target, though it stands there', async () => {
    edit('pbx.yaml', 'name: edge', 'name: other')
    const { lines } = await run()
    expect(lines.join('\n')).toContain('SipTrunk voice/pbx belongs to VoiceService voice/other, not to voice/edge')
    expect(lines.join('\n')).toContain('VoiceService voice/other does not exist')
  })

  it('is not content with a directory in which nothing would run', async () => {
    rmSync(join(root, 'voice-service.yaml'))
    rmSync(join(root, 'pbx.yaml'))
    rmSync(join(root, 'carrier.yaml'))
    expect(await run()).toEqual({
      code: 1,
      lines: [`${root}:1:1: holds no VoiceService, so that nothing would run; add one`, '1 problem'],
    })
  })

  it('never prints a password', async () => {
    edit('carrier-account.yaml', 'password: example-password-change-me', 'password: "hush\\n"')
    const { code, lines } = await run()
    expect(code).toBe(1)
    expect(lines.join('\n')).not.toContain('hush')
  })
})
