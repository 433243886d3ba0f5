import { describe, expect, it } from 'vitest'
import { mediaLineOf, withFormats } from './media-line.ts'

describe('an m= line', () => {
  it('tells type, port, protocol and formats (RFC 4566 section 5.14)', () => {
    const line = { type: 'audio', port: 4000, protocol: 'RTP/AVP', formats: ['8', '0', '101'] }
    expect(mediaLineOf('m=audio 4000 RTP/AVP 8 0 101\r\na=ptime:20\r\n')).toEqual(line)
    expect(mediaLineOf('m=audio 4000/2 RTP/AVP  8 0\t101 \n')).toEqual(line)
    expect(mediaLineOf('m=image 0 udptl t38')).toEqual({ type: 'image', port: 0, protocol: 'udptl', formats: ['t38'] })
  })

  it.each(['', 'm=', 'm=audio', 'm=audio 4000 RTP/AVP', 'm=audio x RTP/AVP 0', 'a=ptime:20\r\nm=audio 1 RTP/AVP 0'])(
    'is none that can be read in %j',
    (stream) => expect(mediaLineOf(stream)).toBeUndefined(),
  )
})

describe('a stream with some of its formats alone', () => {
  const stream = (formats: string, ...attributes: string[]) =>
    [`m=audio 4000/2 RTP/AVP ${formats}`, ...attributes.map((attribute) => `a=${attribute}`), ''].join('\r\n')

  it('has them in the order that is wanted, and nothing that is said of the others', () => {
    const whole = stream('0 8 101', 'rtpmap:0 PCMU/8000', 'fmtp:101 0-15', 'rtcp-fb:101 nack', 'rtpmap:8 PCMA/8000')
    expect(withFormats(whole, ['8', '0'])).toBe(stream('8 0', 'rtpmap:0 PCMU/8000', 'rtpmap:8 PCMA/8000'))
  })

  it('keeps what is said of all formats, and of none', () => {
    const attributes = ['rtcp-fb:* nack', 'ptime:20', 'sendonly', 'mid:0']
    expect(withFormats(stream('0 8', ...attributes), ['8'])).toBe(stream('8', ...attributes))
  })

  it('ends its lines as before', () => {
    expect(withFormats('m=audio 1 RTP/AVP 0 8\na=rtpmap:0 PCMU/8000\na=ptime:20\n', ['8'])).toBe(
      'm=audio 1 RTP/AVP 8\na=ptime:20\n',
    )
  })
})
