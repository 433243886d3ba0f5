import { describe, expect, it } from 'vitest'
import { deltaSeconds, retryAfterSeconds } from './delta-seconds.ts'
import { readMessage } from './parse.ts'

describe('a number of seconds (RFC 3261 §20.19)', () => {
  it.each([
    ['0', 0],
    ['3600', 3600],
    ['4294967295', 4294967295],
    ['4294967296', undefined],
    ['949302838503028349304023988', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['1e3', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j is %s', (text, seconds) => expect(deltaSeconds(text)).toBe(seconds))
})

describe('Retry-After (RFC 3261 §20.33)', () => {
  it.each([
    ['18000;duration=3600', 18000],
    ["120 (I'm in a meeting)", 120],
    ['later', undefined],
    ['949302838503028349304023988', 4294967295],
    ['-1', undefined],
  ])('%s says %s', (value, seconds) => {
    const head = 'SIP/2.0 503 Service Unavailable\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK-1\r\nFrom: <sip:a@h>;tag=1\r\n'
    const read = readMessage(
      `${head}To: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nRetry-After: ${value}\r\n\r\n`,
    )
    if (!read.ok) throw new Error(read.reason)
    expect(retryAfterSeconds(read.message)).toBe(seconds)
  })
})
