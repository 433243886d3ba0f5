import { describe, expect, it } from 'vitest'
import { pinCodec } from './pinned-codec.ts'

const description = (media: readonly string[]) =>
  ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 'c=IN IP4 192.0.2.1', 't=0 0', ...media, ''].join('\r\n')

const g711 = description(['m=audio 4000 RTP/AVP 0 101', 'a=rtpmap:101 telephone-event/8000'])

describe('pinCodec (feature item 8, PreserveCodec)', () => {
  it('refuses an offer without the codec of the call (check 6)', () => {
    expect(pinCodec(description(['m=audio 4002 RTP/AVP 18']), g711, g711)).toBeUndefined()
  })

  it('leaves a rejected stream as it is (RFC 3264 section 6)', () => {
    const rejected = description(['m=audio 0 RTP/AVP 18'])
    expect(pinCodec(rejected, g711, g711)).toBe(rejected)
  })

  it('leaves an offer of that codec as it is, whatever else changes', () => {
    const hold = description(['m=audio 4000 RTP/AVP 0', 'a=sendonly'])
    expect(pinCodec(hold, g711, g711)).toBe(hold)
  })

  it('takes other codecs out of the offer, with what is said of them', () => {
    const offer = description([
      'm=audio 4002 RTP/AVP 96 0 18 101',
      'a=rtpmap:96 opus/48000/2',
      'a=fmtp:96 useinbandfec=1',
      'a=rtpmap:0 PCMU/8000',
      'a=rtpmap:18 G729/8000',
      'a=fmtp:18 annexb=no',
      'a=rtpmap:101 telephone-event/8000',
      'a=fmtp:101 0-16',
      'a=sendrecv',
      'm=video 4004 RTP/AVP 96',
      'a=rtpmap:96 H264/90000',
    ])
    expect(pinCodec(offer, g711, g711)).toBe(
      description([
        'm=audio 4002 RTP/AVP 0 101',
        'a=rtpmap:0 PCMU/8000',
        'a=rtpmap:101 telephone-event/8000',
        'a=fmtp:101 0-16',
        'a=sendrecv',
        'm=video 4004 RTP/AVP 96',
        'a=rtpmap:96 H264/90000',
      ]),
    )
  })

  it('knows a codec by its name, not by its number', () => {
    const dynamic = description(['m=audio 4000 RTP/AVP 97', 'a=rtpmap:97 PCMU/8000'])
    const asStatic = description(['m=audio 4000 RTP/AVP 0'])
    expect(pinCodec(asStatic, dynamic, dynamic)).toBe(asStatic)
    const renamed = description(['m=audio 4000 RTP/AVP 0', 'a=rtpmap:0 opus/48000/2'])
    expect(pinCodec(renamed, dynamic, dynamic)).toBeUndefined()
  })

  it('takes the first codec that both sides have described for that of the call', () => {
    const caller = description(['m=audio 4000 RTP/AVP 18 0 8'])
    const callee = description(['m=audio 4000 RTP/AVP 8'])
    expect(pinCodec(description(['m=audio 4000 RTP/AVP 0 8']), caller, callee)).toBe(
      description(['m=audio 4000 RTP/AVP 8']),
    )
  })

  it('leaves alone what has no audio, or no codec in common', () => {
    const fax = description(['m=image 4000 udptl t38'])
    expect(pinCodec(fax, g711, g711)).toBe(fax)
    const g729 = description(['m=audio 4000 RTP/AVP 18'])
    expect(pinCodec(g711, g711, g729)).toBe(g711)
  })

  it('pins the first audio stream, whatever comes after it', () => {
    const offer = description(['m=audio 4000 RTP/AVP 0 18', 'm=audio 0 RTP/AVP 18'])
    expect(pinCodec(offer, g711, g711)).toBe(description(['m=audio 4000 RTP/AVP 0', 'm=audio 0 RTP/AVP 18']))
  })
})

describe('formats of a peer (RFC 4566 section 9: fmt = token)', () => {
  const pcmu = 'a=rtpmap:0 PCMU/8000'

  it.each(['(', '*', '[', '\\', 'a{9', '(?<x', '(a+)+$', '.', '0|18', 'constructor', '__proto__'])(
    'are text and no pattern: %j',
    (format) => {
      const evil = [`a=rtpmap:${'a'.repeat(64)}! PCMU/8000`, `a=rtpmap:${format} G729/8000`, `a=fmtp:${format} x`]
      const offer = description([`m=audio 4000 RTP/AVP ${format} 0`, pcmu, ...evil])
      expect(pinCodec(offer, g711, g711)).toBe(description(['m=audio 4000 RTP/AVP 0', pcmu, ...evil.slice(0, 1)]))
      expect(pinCodec(description([`m=audio 4000 RTP/AVP ${format}`]), g711, g711)).toBeUndefined()
      // Of that call it is the codec, which the new offer lacks.
      expect(pinCodec(g711, offer, offer)).toBeUndefined()
    },
  )

  it('may be as many as a message holds, with as many attributes: each is looked at once', () => {
    const formats = Array.from({ length: 50_000 }, (_, index) => String(1000 + index))
    const attributes = formats.map((format) => `a=rtpmap:${format} G729/8000`)
    const offer = description([`m=audio 4000 RTP/AVP 0 ${formats.join(' ')}`, ...attributes])
    expect(pinCodec(offer, g711, g711)).toBe(description(['m=audio 4000 RTP/AVP 0']))
    expect(pinCodec(offer, offer, offer)).toBe(description(['m=audio 4000 RTP/AVP 0']))
  })
})
