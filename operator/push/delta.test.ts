import { describe, expect, it } from 'vitest'
import { SharedVersions } from './delta.ts'

describe('versions that replicas say they run', () => {
  it('are one set where they are equal, whatever their order', () => {
    const shared = new SharedVersions()
    const first = shared.of({ 'Listener/udp': '1', 'Trunk/carrier': '2' })
    expect([...first.byKey]).toEqual([
      ['Listener/udp', '1'],
      ['Trunk/carrier', '2'],
    ])
    expect(shared.of({ 'Trunk/carrier': '2', 'Listener/udp': '1' })).toBe(first)
    expect(shared.of({ 'Listener/udp': '1', 'Trunk/carrier': '3' })).not.toBe(first)
    expect(shared.of({ 'Listener/udp': '1', 'Trunk/carrier': '2' })).toBe(first)
  })

  it('are forgotten when nobody has said them for long, so that odd ones do not fill the memory', () => {
    const shared = new SharedVersions()
    const [often, once] = [shared.of({ 'Trunk/often': '1' }), shared.of({ 'Trunk/once': '1' })]
    for (let version = 0; version < 40; version++) {
      shared.of({ 'Trunk/odd': String(version) })
      expect(shared.of({ 'Trunk/often': '1' })).toBe(often)
    }
    expect(shared.of({ 'Trunk/once': '1' })).not.toBe(once)
  })
})
