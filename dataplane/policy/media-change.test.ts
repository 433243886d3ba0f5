import { describe, expect, it } from 'vitest'
import { addsMedia, answeringOnly, isOnHold, offersFax, withExplicitHold, withoutHold } from './media-change.ts'

const session = ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 'c=IN IP4 192.0.2.1', 't=0 0']
const description = (...media: string[]) => [...session, ...media, ''].join('\r\n')
const audio = 'm=audio 4000 RTP/AVP 0 8'
const told = description('m=audio 30000 RTP/AVP 0 8', 'a=sendrecv')

it.each([
  ['of the stream', description(audio, 'c=IN IP4 0.0.0.0'), description(audio, 'c=IN IP4 0.0.0.0', 'a=sendonly')],
  [
    'of the session',
    description(audio).replace('192.0.2.1\r\nt', '0.0.0.0\r\nt'),
    description(audio, 'a=sendonly').replace('192.0.2.1\r\nt', '0.0.0.0\r\nt'),
  ],
  ['nowhere', told, told],
])('withExplicitHold: c=0.0.0.0 %s (RFC 3264 section 8.4)', (_where, offer, expected) => {
  expect(withExplicitHold(offer)).toBe(expected)
})

it('offersFax: a stream of type image that is on', () => {
  expect(offersFax(description('m=image 4000 udptl t38'))).toBe(true)
  expect(offersFax(description(audio, 'm=image 0 udptl t38'))).toBe(false)
})

it.each([
  ['a new stream', [audio, 'm=video 4002 RTP/AVP 31'], true],
  ['a new stream in one direction', [audio, 'm=video 4002 RTP/AVP 31', 'a=sendonly'], false],
  ['a new stream that is off', [audio, 'm=video 0 RTP/AVP 31'], false],
  ['fax in the place of audio', ['m=image 4000 udptl t38'], true],
  ['hold', [audio, 'a=sendonly'], false],
  ['another codec', ['m=audio 4000 RTP/AVP 18'], false],
])('addsMedia: %s', (_case, media, adds) => {
  expect(addsMedia(description(...media), told)).toBe(adds)
})

describe('hold in the first exchange of a call whose legs are blocked (feature item 8)', () => {
  it('an offer sendonly goes out sendrecv', () => {
    expect(withoutHold(description(audio, 'a=sendonly'))).toBe(description(audio, 'a=sendrecv'))
    const whole = [...session, 'a=inactive', audio, ''].join('\r\n')
    expect(withoutHold(whole)).toBe(description(audio))
  })

  it.each([
    ['sendrecv', 'sendonly', 'sendrecv'],
    ['sendonly', 'sendonly', 'recvonly'],
    ['sendonly', 'sendrecv', 'recvonly'],
    ['sendrecv', 'inactive', 'sendrecv'],
  ])('to an offer %s the answer %s becomes %s', (offered, answered, becomes) => {
    expect(answeringOnly(description(audio, `a=${answered}`), description(audio, `a=${offered}`))).toBe(
      description(audio, `a=${becomes}`),
    )
  })
})

it.each([
  [description(audio), false],
  [description(audio, 'a=sendonly'), true],
  [description(audio, 'c=IN IP4 0.0.0.0'), true],
  [description(audio, 'm=video 0 RTP/AVP 31', 'a=inactive'), false],
  ['', false],
])('isOnHold: %#', (sdp, expected) => {
  expect(isOnHold(sdp)).toBe(expected)
})
