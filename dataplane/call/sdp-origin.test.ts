import { describe, expect, it } from 'vitest'
import { hideOrigin, newOrigin } from './sdp-origin.ts'

const offer = [
  'v=0',
  'o=alice 2890844526 2890844526 IN IP4 host.atlanta.example.com',
  's=Alice calls',
  'i=A call',
  'u=http://host.atlanta.example.com',
  'e=alice@atlanta.example.com',
  'p=+1 201 555 0123',
  'c=IN IP4 192.0.2.9',
  't=0 0',
  'a=tool:AlicePhone 1.0',
  'm=audio 49170 RTP/AVP 0 8',
  'i=voice',
  'a=candidate:1 1 UDP 1 192.0.2.9 49170 typ host',
  '',
].join('\r\n')

describe('a session description on the other leg', () => {
  const origin = newOrigin('77')

  it('has our origin, nothing that names user or software, and media as it was (feature item 29.2)', () => {
    expect(hideOrigin(offer, origin, '203.0.113.1').sdp).toBe(
      [
        'v=0',
        'o=- 77 1 IN IP4 203.0.113.1',
        's=-',
        'c=IN IP4 192.0.2.9',
        't=0 0',
        'm=audio 49170 RTP/AVP 0 8',
        'a=candidate:1 1 UDP 1 192.0.2.9 49170 typ host',
        '',
      ].join('\r\n'),
    )
  })

  it('names an IPv6 address as such', () => {
    expect(hideOrigin(offer, origin, '2001:db8::1').sdp).toContain('o=- 77 1 IN IP6 2001:db8::1\r\n')
  })

  it('names where anchored media went first, on hold by c=0.0.0.0 and at another engine, too (RFC 3264 section 8)', () => {
    let origin = { ...newOrigin('77'), anchored: true }
    for (const [index, media] of ['192.0.2.9', '0.0.0.0', '192.0.2.10'].entries()) {
      const hidden = hideOrigin(offer.replaceAll('192.0.2.9', media), origin, '203.0.113.1')
      expect(hidden.sdp).toContain(`o=- 77 ${index + 1} IN IP4 192.0.2.9\r\n`)
      origin = { ...hidden.origin, anchored: true }
    }
  })

  it('gets a session name where it has none (feature item 1)', () => {
    const without = offer.replace('s=Alice calls\r\n', '')
    expect(hideOrigin(without, origin, '203.0.113.1').sdp).toContain('203.0.113.1\r\ns=-\r\nc=IN')
  })

  it('keeps bare line feeds', () => {
    expect(hideOrigin('v=0\no=a 1 1 IN IP4 1.2.3.4\ns=x\nt=0 0\n', origin, '203.0.113.1').sdp).toBe(
      'v=0\no=- 77 1 IN IP4 203.0.113.1\ns=-\nt=0 0\n',
    )
  })

  it('gets no origin where it has none', () => {
    expect(hideOrigin('v=0\r\ns=x\r\n', origin, '203.0.113.1').sdp).toBe('v=0\r\ns=-\r\n')
  })

  it('takes dollar signs for what they are', () => {
    expect(hideOrigin(`${offer}a=x:$&$1\r\n`, origin, '203.0.113.1').sdp).toContain('a=x:$&$1\r\n')
  })

  it('raises the version by one when it changed, and only then (RFC 3264 section 8)', () => {
    const first = hideOrigin(offer, origin, '203.0.113.1')
    const refresh = hideOrigin(offer.replace('2890844526 IN', '2890844527 IN'), first.origin, '203.0.113.1')
    expect(refresh.sdp).toBe(first.sdp)
    const hold = hideOrigin(`${offer}a=sendonly\r\n`, refresh.origin, '203.0.113.1')
    expect(hold.sdp).toContain('o=- 77 2 IN')
    expect(hideOrigin(offer, hold.origin, '203.0.113.1').sdp).toContain('o=- 77 3 IN')
  })
})
