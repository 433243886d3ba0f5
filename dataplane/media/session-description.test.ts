import { describe, expect, it } from 'vitest'
import { connectionAddress, withoutAddresses } from './session-description.ts'

const described = (...attributes: string[]) =>
  [
    'v=0',
    'o=- 1 1 IN IP4 192.0.2.9',
    's=-',
    'c=IN IP4 192.0.2.9',
    't=0 0',
    'm=audio 4000 RTP/AVP 0',
    ...attributes,
    '',
  ].join('\r\n')

describe('withoutAddresses', () => {
  it.each([
    ['a=X-private:10.0.0.1'],
    ['a=candidate:1 1 UDP 1 10.0.0.1 4000 typ host'],
    ['a=rtcp:4001 IN IP4 192.0.2.91'],
    ['a=x:fd00::1'],
    ['a=rtcp:4001 IN IP6 2001:db8::1'],
    ['a=x:y::ffff:10.0.0.1'],
  ])('leaves out %s', (attribute) => {
    expect(withoutAddresses(described('a=sendrecv', attribute, 'a=ptime:20'))).toBe(
      described('a=sendrecv', 'a=ptime:20'),
    )
  })

  it.each([
    ['a=rtcp:4001 IN IP4 192.0.2.9'],
    ['a=rtpmap:101 telephone-event/8000'],
    ['a=fmtp:96 profile-level-id=42e01f; version=1.2.3'],
    ['a=fingerprint:sha-256 AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA'],
    ['a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj'],
    ['a=msid:a b:c:d'],
  ])('keeps %s', (attribute) => {
    expect(withoutAddresses(described(attribute))).toBe(described(attribute))
  })

  it('takes time in proportion to the length, whatever it is made of', () => {
    for (const filler of ['a', 'a:', '1.', '1.1.1.', ':']) {
      const long = described(`a=x:${filler.repeat(60_000 / filler.length)}`)
      const times = Array.from({ length: 3 }, () => {
        const start = performance.now()
        withoutAddresses(long)
        return performance.now() - start
      })
      expect(Math.min(...times), filler).toBeLessThan(500)
    }
  })
})

describe('connectionAddress', () => {
  it('is where media is sent first, without time to live', () => {
    expect(connectionAddress('c=IN IP4 233.252.0.1/127\r\nc=IN IP4 192.0.2.1\r\n')).toBe('233.252.0.1')
    expect(connectionAddress('v=0\r\nm=audio 1 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n')).toBe('2001:db8::1')
    expect(connectionAddress('v=0\r\n')).toBeUndefined()
  })
})
