import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { createDisplay } from './display.ts'
import type { View } from './table.ts'

const escape = '\x1b'
const sequence = new RegExp(`(${escape}\\[[0-9]*[AJ]|\r|\n)`)

/** What a terminal shows after these writes: just enough of one to move up and to erase. */
function screen(text: string): string[] {
  let lines = ['']
  for (const part of text.split(sequence)) {
    const up = part.endsWith('A') && part.startsWith(escape) ? Number.parseInt(part.slice(2)) : 0
    if (up > 0) lines = [...lines.slice(0, lines.length - 1 - up), '']
    else if (part === '\n') lines.push('')
    else if (part !== '\r' && !part.startsWith(escape)) lines.push((lines.pop() ?? '') + part)
  }
  return lines
}

function setUp(terminal: object) {
  let text = ''
  const clock = new ManualClock()
  const output = { ...terminal, write: (part: string) => (text += part) }
  return { display: createDisplay(output, clock), clock, text: () => text, clear: () => (text = '') }
}

const view = (calls: number, problems: string[] = []): View => ({
  fleets: [{ name: 'voice/edge', createdAt: Date.UTC(2026, 0, 1), status: { calls } }],
  trunks: [],
  problems,
})

describe('a display on a terminal', () => {
  it('redraws the table in place and lets notices scroll above it', () => {
    const { display, text } = setUp({ isTTY: true, columns: 100, rows: 30 })
    display.show(view(1))
    display.notice('voice/edge-0 was ended by SIGKILL')
    display.show(view(2))
    const lines = screen(text())
    expect(lines[0]).toBe('00:00:00 voice/edge-0 was ended by SIGKILL')
    expect(lines.filter((line) => line.startsWith('voice/edge '))).toHaveLength(1)
    expect(lines.join('\n')).toMatch(/voice\/edge .* 2 {7}0s/)
  })

  it('keeps ages going by itself, and stops when it is closed', () => {
    const { display, clock, text, clear } = setUp({ isTTY: true, columns: 100, rows: 30 })
    display.show(view(1))
    clear()
    clock.advance(1000)
    expect(text()).toContain('1s')
    display.close()
    expect(clock.pending).toBe(0)
  })

  it('never draws more than the terminal is high or wide', () => {
    const { display, text } = setUp({ isTTY: true, columns: 20, rows: 6 })
    display.show(view(1, ['a', 'b', 'c', 'd']))
    const lines = screen(text())
    expect(lines.length).toBeLessThanOrEqual(6)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(20)
    expect(lines.at(-2)).toMatch(/^… and \d lines$/)
  })
})

describe('a display that is not on a terminal', () => {
  it('writes one plain line for what changed, and nothing for what did not', () => {
    const { display, text, clear } = setUp({})
    display.show(view(1))
    expect(text()).toBe('00:00:00 VoiceService voice/edge ready=- replicas=- programmed=- trunks=- calls=1\n')
    clear()
    display.show(view(1))
    expect(text()).toBe('')
  })

  it('tells a problem once, and when it has gone', () => {
    const { display, text, clear } = setUp({})
    display.show(view(1))
    clear()
    display.show(view(1, ['fleet.yaml:1:1: broken']))
    display.show(view(1, ['fleet.yaml:1:1: broken']))
    display.show(view(1))
    expect(text()).toBe('00:00:00 fleet.yaml:1:1: broken\n00:00:00 The manifests have no problem any more.\n')
  })
})
