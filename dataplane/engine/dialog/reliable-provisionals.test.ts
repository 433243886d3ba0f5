import { describe, expect, it } from 'vitest'
import { RecordingListener, setUpTime } from '../transaction/testing.ts'
import { ReliableProvisionals } from './reliable-provisionals.ts'

function begin(options: { transport?: 'UDP' | 'TCP'; random?: number } = {}) {
  const listener = new RecordingListener(options.transport ?? 'UDP')
  const log: string[] = []
  const time = setUpTime()
  const provisionals = new ReliableProvisionals({ sequence: 7, flow: listener.flow }, options.random ?? 0, {
    ...time,
    responseSent: () => {},
    onGiveUp: () => log.push('gave up'),
  })
  const response = (name: string, described = false) => ({
    ...{ text: `${name}\r\n`, described },
    send: () => void log.push(name),
    drop: () => void log.push(`${name} dropped`),
  })
  const acknowledge = (rseq: number, method = 'INVITE', sequence = 7) =>
    provisionals.acknowledge({ rseq, sequence, method })
  return { ...time, provisionals, listener, log, response, acknowledge }
}

describe('reliable provisional responses to one INVITE', () => {
  it.each([
    [0, 1],
    [0.999_999_999_999, 0x7fffffff],
  ])('begin to count from 1 to 2^31 - 1: %s gives %s (RFC 3262 §3)', (random, first) => {
    expect(begin({ random }).provisionals.next).toBe(first)
  })

  it.each(['UDP', 'TCP'] as const)('over %s: are repeated at T1, doubling without limit (RFC 3262 §3)', (transport) => {
    const { provisionals, response, clock, listener, log } = begin({ transport })
    provisionals.send(response('183'))
    let now = 0
    for (const [count, at] of [500, 1500, 3500, 7500, 15_500].entries()) {
      clock.advance(at - 20 - now)
      expect(listener.sent).toHaveLength(count)
      clock.advance(40)
      now = at + 20
      expect(listener.sent).toHaveLength(count + 1)
    }
    expect(log).toEqual(['183'])
  })

  it('are given up 64*T1 after the first one was sent (RFC 3262 §3)', () => {
    const { provisionals, response, clock, listener, log } = begin()
    provisionals.send(response('183'))
    provisionals.send(response('180'))
    clock.advance(31_990)
    expect(log).toEqual(['183'])
    clock.advance(20)
    expect(log).toEqual(['183', '180 dropped', 'gave up'])
    const { length } = listener.sent
    clock.advance(64_000)
    expect(listener.sent).toHaveLength(length)
  })

  it('stop being repeated when their PRACK comes (RFC 3262 §3)', () => {
    const { provisionals, response, clock, listener, acknowledge } = begin()
    provisionals.send(response('183'))
    expect(acknowledge(1)).toBe(true)
    clock.advance(64_000)
    expect(listener.sent).toEqual([])
  })

  it.each([
    ['another RSeq', 2, 'INVITE', 7],
    ['another CSeq', 1, 'INVITE', 8],
    ['another method', 1, 'UPDATE', 7],
  ])('are not acknowledged by a RAck with %s (RFC 3262 §3)', (_what, rseq, method, sequence) => {
    const { provisionals, response, acknowledge } = begin()
    provisionals.send(response('183'))
    expect(acknowledge(rseq, method, sequence)).toBe(false)
    expect(acknowledge(1)).toBe(true)
  })

  it('are acknowledged once (RFC 3262 §3)', () => {
    const { provisionals, response, acknowledge } = begin()
    provisionals.send(response('183'))
    expect([acknowledge(1), acknowledge(1)]).toEqual([true, false])
  })

  it('go one at a time, the next when the PRACK of the one before is answered (RFC 3262 §3)', () => {
    const { provisionals, response, acknowledge, log } = begin()
    provisionals.send(response('183'))
    provisionals.send(response('180'))
    provisionals.send(response('182'))
    expect(acknowledge(2)).toBe(false)
    acknowledge(1)
    expect(log).toEqual(['183'])
    provisionals.resume()
    expect(log).toEqual(['183', '180'])
    provisionals.resume()
    expect(acknowledge(2)).toBe(true)
    provisionals.resume()
    expect(log).toEqual(['183', '180', '182'])
  })
})

it('no more than 16 wait, and what is left out has no number', () => {
  const { provisionals, response, log } = begin()
  for (let index = 0; index < 18; index++) provisionals.send(response(`18${index}`))
  expect(log).toEqual(['180', '1817 dropped'])
  expect(provisionals.next).toBe(18)
})

describe('a 2xx after them', () => {
  it('waits for the PRACK of one with a description (RFC 3262 §3)', () => {
    const { provisionals, response, acknowledge, log } = begin()
    provisionals.send(response('183', true))
    provisionals.sendSuccess(response('200'))
    expect(provisionals.holdsSuccess).toBe(true)
    acknowledge(1)
    expect(log).toEqual(['183'])
    provisionals.resume()
    expect(log).toEqual(['183', '200'])
    expect(provisionals.holdsSuccess).toBe(false)
  })

  it('waits also for one with a description that has not been sent yet', () => {
    const { provisionals, response, acknowledge, log } = begin()
    provisionals.send(response('180'))
    provisionals.send(response('183', true))
    provisionals.sendSuccess(response('200'))
    acknowledge(1)
    provisionals.resume()
    expect(log).toEqual(['180', '183'])
    acknowledge(2)
    provisionals.resume()
    expect(log).toEqual(['180', '183', '200'])
  })

  it('goes out at once after those without, which are repeated no more and whose PRACK is still taken (RFC 3262 §3)', () => {
    const { provisionals, response, acknowledge, clock, listener, log } = begin()
    provisionals.send(response('180'))
    provisionals.send(response('182'))
    provisionals.sendSuccess(response('200'))
    expect(log).toEqual(['180', '182 dropped', '200'])
    clock.advance(64_000)
    expect(listener.sent).toEqual([])
    expect(log).not.toContain('gave up')
    expect(acknowledge(1)).toBe(true)
  })
})

it('a refusal ends them, and the PRACK that is on its way is still taken (RFC 3262 §3)', () => {
  const { provisionals, response, acknowledge, clock, listener, log } = begin()
  provisionals.send(response('183', true))
  provisionals.sendSuccess(response('200'))
  provisionals.stop()
  clock.advance(64_000)
  expect([listener.sent, log]).toEqual([[], ['183', '200 dropped']])
  expect([provisionals.isUnacknowledged, acknowledge(1), provisionals.isUnacknowledged]).toEqual([true, true, false])
})
