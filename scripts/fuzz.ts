import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Finding } from '../test/fuzz/finding.ts'
import { fuzz } from '../test/fuzz/fuzz.ts'

const usage = `npm run fuzz -- [--messages 200000] [--seed N]

Sends so many messages, most of them mutated, through parser, engine, drachtio-srf and call logic. What must not happen is
written to a file under dataplane/engine/testdata/findings, which the tests replay from then on. The last line is JSON.`

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '200000' },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(usage)
else {
  const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
  const messages = Number(values.messages)
  if (!Number.isInteger(seed) || !Number.isInteger(messages) || messages < 1) {
    console.error(usage)
    process.exitCode = 2
  } else await run(messages, seed)
}

async function run(messages: number, seed: number): Promise<void> {
  console.log(`seed ${seed}`)
  let stopped = false
  process.once('SIGINT', () => (stopped = true))
  let told = 0
  const result = await fuzz({
    messages,
    seed,
    stopped: () => stopped,
    onProgress(done, heapBytes) {
      if (done - told < 100_000) return
      told = done
      console.log(`${done} messages, ${Math.round(heapBytes / 1024 / 1024)} MiB`)
    },
  })
  for (const [index, finding] of result.findings.entries()) console.log(keep(finding, index))
  console.log(JSON.stringify({ ...result, findings: result.findings.length }))
  process.exitCode = result.findings.length === 0 ? 0 : 1
}

/** Writes a finding to its file, and says where. */
function keep(finding: Finding, index: number): string {
  const folder = join(import.meta.dirname, '../dataplane/engine/testdata/findings')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${finding.kind}-${finding.seed}-${finding.number}-${index}.json`)
  writeFileSync(file, `${JSON.stringify(finding, null, 2)}\n`)
  return `${file}: ${finding.detail.slice(0, 2000)}`
}
