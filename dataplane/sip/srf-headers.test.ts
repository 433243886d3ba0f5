import { describe, expect, it } from 'vitest'
import { SipPortError } from './port.ts'
import { srfHeaders } from './srf-headers.ts'

describe('headers for drachtio-srf', () => {
  it('keep every value of a name, each on a line of its own', () => {
    const headers = srfHeaders(
      [
        ['Accept', 'a/b'],
        ['Subject', 'x'],
        ['Accept', 'c/d'],
      ],
      { content: 'v=0', type: 'application/sdp' },
    )
    expect(headers).toEqual({ Accept: 'a/b\r\nAccept: c/d', Subject: 'x', 'Content-Type': 'application/sdp' })
  })

  it.each([
    ['Subject', 'x\r\nX-Injected: 1'],
    ['Subject', 'x\nX-Injected: 1'],
    ['Subject', 'x\0'],
    ['Subject\r\nX-Injected', '1'],
    ['Subject: x\r\nX', '1'],
    ['Subject: x', '1'],
  ])('refuse %j: %j, which would be more than one field', (name, value) => {
    expect(() => srfHeaders([[name, value]], undefined)).toThrow(SipPortError)
  })

  it('refuse a body type that would be more than one field', () => {
    expect(() => srfHeaders([], { content: 'x', type: 'a/b\r\nX: 1' })).toThrow(SipPortError)
  })
})
