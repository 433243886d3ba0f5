import { describe, expect, it } from 'vitest'
import { fitAnswer } from './fit-answer.ts'

const session = 'v=0\r\no=\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n'
const audio = (payloads: string, ...attributes: string[]) =>
  [`m=audio 4000 RTP/AVP ${payloads}`, ...attributes.map((attribute) => `a=${attribute}`), ''].join('\r\n')
const video = (port: number) => `m=video ${port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n`

describe('fitAnswer', () => {
  it.each([
    ['sendrecv', 'sendrecv', 'sendrecv'],
    ['sendonly', 'sendrecv', 'recvonly'],
    ['recvonly', 'sendrecv', 'sendonly'],
    ['inactive', 'sendrecv', 'inactive'],
    ['sendrecv', 'sendonly', 'sendonly'],
    ['sendrecv', 'recvonly', 'recvonly'],
    ['sendonly', 'sendonly', 'inactive'],
    ['recvonly', 'recvonly', 'inactive'],
  ])('answers %s of a side that is %s with %s (RFC 3264 section 6.1)', (offered, said, direction) => {
    expect(fitAnswer(session + audio('0', said), session + audio('0', offered))).toBe(session + audio('0', direction))
  })

  it('writes a direction where none stood, and none where it is not needed', () => {
    expect(fitAnswer(session + audio('0'), session + audio('0', 'sendonly'))).toBe(session + audio('0', 'recvonly'))
    expect(fitAnswer(session + audio('0'), session + audio('0'))).toBe(session + audio('0'))
  })

  it('keeps what both have, in the order of the offer, with what is said of it', () => {
    const said = audio('0 8 101', 'rtpmap:0 PCMU/8000', 'rtpmap:101 telephone-event/8000', 'ptime:20')
    const answer = audio('8 0', 'rtpmap:0 PCMU/8000', 'ptime:20')
    expect(fitAnswer(session + said, session + audio('8 0 18'))).toBe(session + answer)
  })

  it.each(['(', '*', '[', 'a{9', '(?<x', '.', 'constructor', '__proto__'])(
    'takes %s for a format as any other, and what is said of it away with it (RFC 4566 section 9)',
    (odd) => {
      const said = audio(`0 ${odd}`, 'rtpmap:0 PCMU/8000', `rtpmap:${odd} x/8000`, `fmtp:${odd} y`)
      const answer = session + audio('0', 'rtpmap:0 PCMU/8000')
      expect(fitAnswer(session + said, session + audio('0'))).toBe(answer)
    },
  )

  it('looks at each format and each attribute once, however many there are', () => {
    const formats = Array.from({ length: 50_000 }, (_, index) => String(index))
    const said = audio(formats.join(' '), ...formats.map((format) => `fmtp:${format} x`))
    expect(fitAnswer(session + said, session + audio(formats.join(' ')))).toBe(session + said)
  })

  it('rejects a stream that is new, whatever it is (feature item 8, check 4)', () => {
    const answer = fitAnswer(session + audio('0'), session + audio('0') + video(4002))
    expect(answer).toBe(`${session}${audio('0')}m=video 0 RTP/AVP 96\r\n`)
  })

  it('leaves a stream rejected that either side has rejected', () => {
    const rejected = `${session}${audio('0')}m=video 0 RTP/AVP 96\r\n`
    expect(fitAnswer(session + audio('0') + video(0), session + audio('0') + video(4002))).toBe(rejected)
    expect(fitAnswer(session + audio('0') + video(4002), session + audio('0') + video(0))).toBe(rejected)
  })

  it.each([
    ['no codec is common', session + audio('18')],
    ['the offer has lost a stream (RFC 3264 section 8)', session],
    ['the stream is of another kind', `${session}m=image 4000 udptl t38\r\n`],
    ['a stream cannot be read', `${session}${audio('0')}m=audio\r\n`],
    ['the stream is rejected', `${session}m=audio 0 RTP/AVP 0\r\n`],
  ])('gives none when %s', (_why, offer) => {
    expect(fitAnswer(session + audio('0'), offer)).toBeUndefined()
  })
})
