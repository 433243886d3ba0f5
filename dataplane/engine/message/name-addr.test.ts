import { describe, expect, it } from 'vitest'
import { formatNameAddr, parseNameAddr, parseNameAddrs, tagOf } from './name-addr.ts'

describe('an address', () => {
  it.each([
    ['<sip:a@example.com>', '', 'sip:a@example.com', []],
    ['sip:a@example.com', '', 'sip:a@example.com', []],
    ['sip:a@example.com;tag=1', '', 'sip:a@example.com', [['tag', '1']]],
    ['sip:a@example.com ; tag = 1', '', 'sip:a@example.com', [['tag', '1']]],
    ['<sip:a@example.com;lr>;tag=1', '', 'sip:a@example.com;lr', [['tag', '1']]],
    ['Alice <sip:a@example.com>', 'Alice', 'sip:a@example.com', []],
    ['Alice B. Example  <sip:a@example.com>', 'Alice B. Example', 'sip:a@example.com', []],
    ['"Bell, Alexander" <sip:a@example.com>;tag=43', 'Bell, Alexander', 'sip:a@example.com', [['tag', '43']]],
    ['"a \\" \\\\ <b>" <sip:a@example.com>', 'a " \\ <b>', 'sip:a@example.com', []],
    ['"quoted"<sip:a@example.com>', 'quoted', 'sip:a@example.com', []],
    // RFC 4475 §3.1.1.6: no white space between display name and bracket.
    ['caller<sip:caller@example.com>;tag=323', 'caller', 'sip:caller@example.com', [['tag', '323']]],
    ['Jürgen <sip:j@example.com>', 'Jürgen', 'sip:j@example.com', []],
    ['"" <sip:a@example.com>', '', 'sip:a@example.com', []],
    [
      '<sip:a@h>;expires=60;q="0,5";+sip.instance="<urn:uuid:1>"',
      '',
      'sip:a@h',
      [
        ['expires', '60'],
        ['q', '"0,5"'],
        ['+sip.instance', '"<urn:uuid:1>"'],
      ],
    ],
    ['<tel:+15550100>;tag=1', '', 'tel:+15550100', [['tag', '1']]],
    ['isbn:2983792873', '', 'isbn:2983792873', []],
    ['*', '', '*', []],
  ])('%s is read', (text, displayName, uri, params) => {
    expect(parseNameAddr(text)).toEqual({ displayName, uri, params })
  })

  it.each([
    ['', 'nothing'],
    ['<sip:a@example.com', 'an open bracket'],
    ['"Mr. J. User <sip:j.user@example.com>', 'an open quote (RFC 4475 §3.1.2.6)'],
    ['"a" b <sip:a@example.com>', 'text after the quoted name'],
    ['Bell, Alexander <sip:a@example.com>;tag=43', 'a comma in a name without quotes (RFC 4475 §3.1.2.15)'],
    ['"a" sip:a@example.com>', 'a name without the bracket after it'],
    ['< sip:a@example.com>', 'a space in the brackets (RFC 4475 §3.1.2.14)'],
    ['<sip:a@example.com >', 'a space at the end of the URI'],
    ['sip:a@example.com?Route=%3Csip:b%3E', 'a question mark without brackets (RFC 4475 §3.1.2.13)'],
    ['<>', 'no URI'],
    ['*;tag=1', 'a star that does not stand alone'],
    ['<*>', 'a star in brackets'],
    ['<sip:a@example.com>;', 'an empty parameter'],
    ['<sip:a@example.com>;;tag=1', 'two semicolons'],
    ['<sip:a@example.com>;tag=', 'an empty value'],
    ['<sip:a@example.com> tag=1', 'a parameter without semicolon'],
    ['<sip:a@example.com>;tag="1', 'an open quote in a parameter'],
    ['<sip:a\0@example.com>', 'NUL in the URI'],
    ['a\0b <sip:a@example.com>', 'NUL in the name'],
    ['<sip:a\r\n@example.com>', 'CR and LF in the URI'],
  ])('%j is malformed: %s', (text) => {
    expect(parseNameAddr(text)).toBeUndefined()
  })

  it('is written so that it reads the same', () => {
    const address = {
      displayName: 'Say "hi" \\ <x>, y',
      uri: 'sip:a@example.com;lr',
      params: [
        ['tag', '1'],
        ['lr', ''],
      ] as const,
    }
    const text = formatNameAddr(address)
    expect(text).toBe('"Say \\"hi\\" \\\\ <x>, y" <sip:a@example.com;lr>;tag=1;lr')
    expect(parseNameAddr(text)).toEqual(address)
  })

  it('has a tag, or none', () => {
    expect(tagOf({ displayName: '', uri: 'sip:a@h', params: [['TAG', 'x']] })).toBe('x')
    expect(tagOf({ displayName: '', uri: 'sip:a@h', params: [] })).toBe('')
  })
})

describe('a list of addresses', () => {
  it('is a star alone, or has none', () => {
    expect(parseNameAddrs('*')).toEqual([{ displayName: '', uri: '*', params: [] }])
    expect(parseNameAddrs('<sip:1@h>, *')).toBeUndefined()
  })

  it('is taken apart at commas outside quotes and brackets', () => {
    const uris = parseNameAddrs('"a, b" <sip:1@h;x=1>;q=1 , <sip:2@h>,sip:3@h;expires=5')?.map(({ uri }) => uri)
    expect(uris).toEqual(['sip:1@h;x=1', 'sip:2@h', 'sip:3@h'])
  })

  it('is malformed when one of them is', () => {
    expect(parseNameAddrs('<sip:1@h>, <sip:2@h')).toBeUndefined()
    expect(parseNameAddrs('<sip:1@h>,,<sip:2@h>')).toBeUndefined()
  })
})
