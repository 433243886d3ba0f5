import { describe, expect, it } from 'vitest'
import { renderLadder } from './ladder.ts'

const columns = {
  left: { title: 'pbx', detail: '127.0.0.1:5090' },
  fleet: { title: 'edge', detail: '127.0.0.1' },
  right: { title: 'carrier', detail: '127.0.0.1:5070' },
}

describe('renderLadder', () => {
  it('draws both legs as one', () => {
    const lines = renderLadder({
      ...columns,
      arrows: [
        { at: 0, side: 'left', to: 'fleet', label: 'INVITE 1 SDP' },
        { at: 0.6, side: 'left', to: 'peer', label: '100 INVITE 1' },
        { at: 1.2, side: 'right', to: 'peer', label: 'INVITE 7 SDP' },
        { at: 14, side: 'right', to: 'fleet', label: '180 INVITE 7' },
      ],
    })
    expect(`\n${lines.join('\n')}\n`).toBe(`
      pbx                      edge                     carrier
      127.0.0.1:5090           127.0.0.1                127.0.0.1:5070
 0 ms │─ INVITE 1 SDP ────────►│                        │
 1 ms │◄──────── 100 INVITE 1 ─│                        │
 1 ms │                        │─ INVITE 7 SDP ────────►│
14 ms │                        │◄──────── 180 INVITE 7 ─│
`)
  })

  it('makes room for a long label', () => {
    const label = '422 Session Interval Too Small, 3 INVITE, Min-SE 1800'
    const lines = renderLadder({ ...columns, arrows: [{ at: 0, side: 'left', to: 'peer', label }] })
    expect(lines[2]).toContain(`◄── ${label} ─│`)
    const edges = lines.slice(2).map((line) => line.lastIndexOf('│'))
    expect(new Set(edges).size).toBe(1)
  })

  it('draws only the heads when nothing was said', () => {
    expect(renderLadder({ ...columns, arrows: [] })).toHaveLength(2)
  })
})
