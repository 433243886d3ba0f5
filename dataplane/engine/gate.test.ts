import { describe, expect, it } from 'vitest'
import { ManualClock } from '#lib/manual-clock.ts'
import { Counters } from './counters.ts'
import { couldBeAwaited, Gate } from './gate.ts'
import { RecordingListener } from './transaction/testing.ts'

const trunk = '192.0.2.1'

function setUp(isTrunk: (address: string) => boolean = (address) => address === trunk) {
  const clock = new ManualClock()
  const counters = new Counters()
  const asked: string[] = []
  const gate = new Gate({
    ...{ clock, counters },
    admits(address) {
      asked.push(address)
      return isTrunk(address)
    },
  })
  const listener = new RecordingListener('UDP')
  const enter = (address: string, times = 1) =>
    Array.from({ length: times }, () => gate.enter(listener, address, 5060)).filter((entry) => entry !== undefined)
  return { clock, counters, asked, enter }
}

describe('the gate before the parser', () => {
  it('lets a trunk in, and asks who it is once a second', () => {
    const { clock, asked, enter } = setUp()
    expect(enter(trunk, 100)).toEqual(Array.from({ length: 100 }, () => 'known'))
    expect(asked).toHaveLength(1)
    clock.advance(1000)
    enter(trunk)
    expect(asked).toHaveLength(2)
  })

  it('looks at 40 messages of a stranger, and then at 20 a second', () => {
    const { clock, counters, enter } = setUp()
    expect(enter('198.51.100.1', 1000)).toHaveLength(40)
    clock.advance(1000)
    expect(enter('198.51.100.1', 1000)).toHaveLength(20)
    expect(counters.values['dropped_stranger_flood']).toBe(1940)
  })

  it('looks at 1,000 messages of all strangers, and then at 500 a second, while a trunk is served as ever', () => {
    const { clock, enter } = setUp()
    const flood = () =>
      Array.from({ length: 30_000 }, (_, at) => enter(`198.51.${at >> 8}.${at & 255}`).length).reduce((a, b) => a + b)
    expect(flood()).toBe(1000)
    expect(enter(trunk, 500)).toHaveLength(500)
    clock.advance(1000)
    expect(flood()).toBe(500)
    expect(enter(trunk, 500)).toHaveLength(500)
  })

  it('takes 40,000 messages of a trunk at once, and then 20,000 a second', () => {
    const { clock, counters, enter } = setUp()
    expect(enter(trunk, 45_000)).toHaveLength(40_000)
    clock.advance(100)
    expect(enter(trunk, 45_000)).toHaveLength(2000)
    expect(counters.values['dropped_known_flood']).toBe(48_000)
  })

  it('knows a source within a second after it has become a trunk', () => {
    let known = false
    const { clock, enter } = setUp(() => known)
    expect(enter(trunk)).toEqual(['stranger'])
    known = true
    clock.advance(1000)
    expect(enter(trunk)).toEqual(['known'])
  })
})

describe('what a stranger sends', () => {
  const ours = (branch: string) => branch === 'z9hG4bKours'
  it.each([
    ['SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKours;rport\r\n', true],
    ['SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;rport;branch=z9hG4bKours\r\n', true],
    ['SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKother\r\n', false],
    ['SIP/2.0 200 OK\r\n\r\n', false],
    ['BYE sip:a@h SIP/2.0\r\nTo: <sip:b@h>;tag=1\r\n', true],
    ['BYE sip:a@h SIP/2.0\r\nt : <sip:b@h> ; tag = 1\r\n', true],
    ['INVITE sip:a@h SIP/2.0\r\nTo: <sip:b@h>\r\nFrom: <sip:c@h>;tag=1\r\n', false],
    ['CANCEL sip:a@h SIP/2.0\r\nTo: <sip:b@h>\r\n', true],
    ['GET / HTTP/1.1\r\n', false],
    ['\0\0\0\0', false],
    ['', false],
  ])('%j could be waited for: %s', (text, verdict) => {
    expect(couldBeAwaited(text, ours)).toBe(verdict)
  })
})
