import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Finding } from './finding.ts'
import { fuzz, replay } from './fuzz.ts'

const folder = join(import.meta.dirname, '../../dataplane/engine/testdata/findings')
const findings = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.json')) : []

describe('200,000 messages, most of them mutated, through parser, engine, drachtio-srf and calls', () => {
  it(
    'throw nothing, take no more than 5 ms each, let nothing be smuggled out, and leave nothing behind',
    // Under a minute on an idle machine.
    { timeout: 900_000 },
    async () => {
      const result = await fuzz({ messages: 200_000, seed: 3261 })
      expect(result.findings).toEqual([])
      expect(result.messages).toBe(200_000)
      const { accepted, answered, silent } = result.verdicts
      // It is no test when all of it is refused at the door.
      for (const count of [accepted, answered, silent]) expect(count).toBeGreaterThan(20_000)
      expect(result.sent).toBeGreaterThan(100_000)
      const [early, end] = result.heapBytes
      expect(end - early).toBeLessThan(16 * 1024 * 1024)
    },
  )
})

describe('what a fuzzer found once', () => {
  it.for(findings)('%s does not happen again', async (file) => {
    const finding = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Finding
    expect(await replay(finding.messages)).toEqual([])
  })

  it('is replayed message by message', async () => {
    const text = 'OPTIONS sip:192.0.2.1 SIP/2.0\r\n\r\n'
    expect(await replay([{ text, side: 'pbx', way: 'intake' }])).toEqual([])
  })
})
