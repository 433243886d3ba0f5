import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { OutputReader } from './output-reader.ts'

function setUp() {
  const clock = new ManualClock()
  const shown: string[] = []
  const reader = new OutputReader(clock, (line) => shown.push(line))
  return { clock, shown, log: (text: string) => reader.readLog(Buffer.from(text)), reader }
}

describe('OutputReader', () => {
  it('shows errors of the log with their cause, and nothing else of it', () => {
    const { shown, log } = setUp()
    log(
      '{"level":"info","msg":"ready"}\n{"level":"error","err":{"message":"EPIPE"},"msg":"the socket broke:"}\nplain\n',
    )
    expect(shown).toEqual(['the socket broke: EPIPE'])
  })

  it('puts lines together that come in pieces, also within a character', () => {
    const { shown, reader } = setUp()
    const bytes = Buffer.from('{"level":"error","msg":"zu spät"}\n')
    for (const byte of bytes) reader.readLog(Buffer.from([byte]))
    expect(shown).toEqual(['zu spät'])
  })

  it('shows one error a second, and how many were held back', () => {
    const { clock, shown, log } = setUp()
    for (const number of [1, 2, 3]) log(`{"level":"error","msg":"error ${number}"}\n`)
    clock.advance(1000)
    log('{"level":"error","msg":"error 4"}\n')
    expect(shown).toEqual(['error 1', 'error 4 (and 2 before it)'])
  })

  it('shows the line that names the error, not the place before it', () => {
    const { shown, reader } = setUp()
    reader.readErrors(
      Buffer.from('node:internal/x:12\n  throw err;\n  ^\n\nTypeError: a is not a function\n    at b\n'),
    )
    expect(shown).toEqual(['TypeError: a is not a function'])
  })

  it('keeps no more than a long line', () => {
    const { shown, log } = setUp()
    for (let count = 0; count < 100; count++) log('x'.repeat(10_000))
    log('\n{"level":"error","msg":"after it"}\n')
    expect(shown).toEqual(['after it'])
  })
})
