import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import type { SipTrunkStatus } from '#api/sip-trunk.ts'
import { StatusFiles } from './status-files.ts'
import { renderTargets, runTrunks } from './trunks.ts'

const now = Date.UTC(2026, 0, 1, 12)
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString()

const status: SipTrunkStatus = {
  conditions: [],
  targets: [
    {
      name: 'a',
      address: 'UDP sip.carrier.example:5060',
      state: 'Down',
      lastTransitionTime: ago(95),
      lastCode: 503,
      failure: 'Rejected',
      message: '503 Service Unavailable',
      prober: 'edge-1',
      replicasUp: 0,
      replicasTotal: 3,
    },
    { name: 'b', address: 'TCP 192.0.2.2:5060', state: 'Up', lastCode: 200, replicasUp: 1, replicasTotal: 1 },
  ],
  registrations: [
    {
      account: 'main',
      registrar: 'primary',
      state: 'Registered',
      lastTransitionTime: ago(3 * 86_400),
      lastCode: 200,
      replica: 'edge-0',
    },
    { account: 'fax', registrar: 'primary', state: 'Pending', replica: '' },
  ],
}

const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})
function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'status-'))
  directories.push(made)
  return made
}

it('shows every target and registration in one table, with the last exchange', () => {
  expect(renderTargets([{ name: 'voice/carrier', status }], now)).toEqual([
    'TRUNK           WHAT           WHERE                          STATE        FOR   BY       SEEN UP   LAST EXCHANGE',
    'voice/carrier   target a       UDP sip.carrier.example:5060   Down         95s   edge-1   0/3       OPTIONS: 503 Service Unavailable',
    'voice/carrier   target b       TCP 192.0.2.2:5060             Up           -     -        1/1       OPTIONS: 200',
    'voice/carrier   account main   primary                        Registered   3d    edge-0   -         REGISTER: 200',
    'voice/carrier   account fax    primary                        Pending      -     -        -         -',
  ])
})

it('reads what a running fleet has written', () => {
  const where = directory()
  new StatusFiles(where, (error) => {
    throw error
  }).write([{ kind: 'SipTrunk', namespace: 'voice', name: 'carrier', generation: 1, createdAt: now, status }])
  let shown = ''
  expect(runTrunks(where, { write: (text) => (shown += text) }, now)).toBe(0)
  expect(shown.split('\n')).toHaveLength(6)
  expect(shown).toContain('voice/carrier   target a')
})

it('says what to do where there is no status', () => {
  let shown = ''
  expect(runTrunks(join(directory(), 'nothing'), { write: (text) => (shown += text) }, now)).toBe(1)
  expect(shown).toContain('is the fleet running?')
})
