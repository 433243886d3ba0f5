import { describe, expect, it } from 'vitest'
import { FrameDecoder, MAX_FRAME } from './frame-decoder.ts'

function encode(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from(`${bytes.length}#`), bytes])
}

describe('the frames of the drachtio protocol', () => {
  it('come out whole, however they are cut, and many at once', () => {
    const texts = ['a|ping', 'b|sip||\r\nINVITE # | x\r\n\r\n', 'x'.repeat(200_000), 'c|ping']
    const all = Buffer.concat(texts.map(encode))
    for (const size of [1, 2, 3, 7, 1000, 65_536, all.length]) {
      const decoder = new FrameDecoder()
      const found: string[] = []
      for (let at = 0; at < all.length; at += size) found.push(...decoder.push(all.subarray(at, at + size)).frames)
      expect(found).toEqual(texts)
    }
  })

  it('count bytes, and give one character per byte', () => {
    const [found = ''] = new FrameDecoder().push(encode('a|Zoë 📞')).frames
    expect(Buffer.from(found, 'latin1').toString()).toBe('a|Zoë 📞')
  })

  it('of 1 MiB are served, larger ones are not', () => {
    const text = 'x'.repeat(MAX_FRAME)
    expect(new FrameDecoder().push(encode(text)).frames).toEqual([text])
    expect(new FrameDecoder().push(Buffer.from(`${MAX_FRAME + 1}#`)).error).toBe(
      `a frame of ${MAX_FRAME + 1} bytes is not served`,
    )
  })

  it.each(['x#', '-1#a', '#a', '1x#a', '0#', '12345678', ' 5#hello', 'GET / HTTP/1.1'])(
    'that begin with %j are an error, after the good ones before',
    (nonsense) => {
      const { frames, error } = new FrameDecoder().push(Buffer.concat([encode('a|ping'), Buffer.from(nonsense)]))
      expect(frames).toEqual(['a|ping'])
      expect(error).toBeDefined()
    },
  )
})
