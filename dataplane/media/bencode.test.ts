import { describe, expect, it } from 'vitest'
import { bdecode, bencode, type Bencodable } from './bencode.ts'

describe('bencode', () => {
  it.each<[string, Bencodable, string]>([
    ['a string by its bytes', 'é', '2:é'],
    ['an empty string', '', '0:'],
    ['a number', -42, 'i-42e'],
    ['a list', ['a', 1, []], 'l1:ai1elee'],
    ['a dictionary by its keys in order', { b: 1, a: 'x', 'call-id': ['y'] }, 'd1:a1:x1:bi1e7:call-idl1:yee'],
  ])('spells %s', (_what, value, text) => {
    expect(bencode(value).toString()).toBe(text)
    expect(bdecode(Buffer.from(text))).toEqual(value)
  })

  it.each([
    ['nothing', ''],
    ['a string that is cut off', '5:abc'],
    ['a length without string', '5'],
    ['a negative length', '-1:'],
    ['a number that is none', 'i1x2e'],
    ['a number without end', 'i12'],
    ['a list without end', 'l1:a'],
    ['a dictionary without end', 'd1:ai1e'],
    ['a key that is no string', 'di1e1:ae'],
    ['a key without value', 'd1:ae'],
    ['something after the value', 'i1ei2e'],
    ['a list that is too deep', 'l'.repeat(1_000_000)],
  ])('reads %s as nothing', (_what, text) => {
    expect(bdecode(Buffer.from(text))).toBeUndefined()
  })

  it('reads any bytes without throwing', () => {
    const good = bencode({ result: 'ok', sdp: 'v=0\r\n', tags: { a: { medias: [1, 'x', { y: [] }] } } })
    for (let at = 0; at < good.length; at++) {
      for (const byte of [0x00, 0x30, 0x3a, 0x64, 0x65, 0x69, 0x6c, 0xff]) {
        const bytes = Buffer.from(good)
        bytes[at] = byte
        expect(() => bdecode(bytes)).not.toThrow()
      }
    }
  })
})
