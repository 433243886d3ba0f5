import { describe, expect, it } from 'vitest'
import { RecordingListener } from '../transaction/testing.ts'
import { formatTime, frame, outcomeFrame, replyFrame, requestFrame, responseFrame } from './leader.ts'

const { flow } = new RecordingListener('UDP')
const delivery = { text: 'INVITE sip:b SIP/2.0\r\n\r\n', source: flow, transactionId: 't', dialogId: '' }

/** The tokens of a frame's leader without the id that is new for each frame. */
function tokens(text: string): string[] {
  const leader = text.slice(text.indexOf('#') + 1).split('\r\n')[0] ?? ''
  return leader.split('|').slice(1)
}

describe('the leader of a frame', () => {
  it('counts the bytes of leader, line end and message', () => {
    expect(frame('abc', '')).toBe('3#abc')
    expect(frame('abc', 'message')).toBe('12#abc\r\nmessage')
  })

  it('of a request outside a dialog ends with the local address', () => {
    const expected = 'sip|network|24|udp|192.0.2.2|5062|12:00:00.000000|t||192.0.2.1|5060'
    expect(tokens(requestFrame(delivery, '12:00:00.000000')).join('|')).toBe(expected)
  })

  it('of a request in a dialog and of a response ends with the dialog', () => {
    const expected = 'sip|network|24|udp|192.0.2.2|5062|now|t|d|'
    expect(tokens(requestFrame({ ...delivery, dialogId: 'd' }, 'now')).join('|')).toBe(expected)
    expect(tokens(responseFrame({ ...delivery, dialogId: 'd' }, 'now')).join('|')).toBe(expected)
  })

  it('of a reply has the tokens where drachtio-srf reads them', () => {
    const outcome = { ok: true, text: 'x', flow, transactionId: 't', dialogId: 'd' } as const
    expect(tokens(outcomeFrame('m', outcome, 'now', false)).join('|')).toBe(
      'response|m|OK|application|1|udp|192.0.2.1|5060|now|t|Msg sent:|',
    )
    expect(tokens(outcomeFrame('m', outcome, 'now', true)).join('|')).toBe(
      'response|m|OK|application|1|udp|192.0.2.1|5060|now|t|d||Msg sent:|',
    )
    expect(tokens(outcomeFrame('m', { ok: false, reason: 'no' }, 'now', true)).join('|')).toBe('response|m|NOK|no')
    expect(tokens(replyFrame('m', 'OK|pong')).join('|')).toBe('response|m|OK|pong')
  })

  it('tells the time of day in UTC', () => {
    expect(formatTime(Date.UTC(2026, 0, 1, 3, 4, 5, 67))).toBe('03:04:05.067000')
    expect(formatTime(Date.UTC(2026, 0, 1, 23, 59, 59, 999))).toBe('23:59:59.999000')
  })
})
