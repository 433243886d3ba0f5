import { describe, expect, it } from 'vitest'
import { isSameUri } from './uri-compare.ts'
import { sourceOf } from './chars.ts'
import { decodeUser, formatUri, parseUri, uriKind } from './uri.ts'

describe('a URI taken apart', () => {
  it.each([
    ['sip:alice@example.com', { scheme: 'sip', user: 'alice', host: 'example.com' }],
    ['sip:example.com', { scheme: 'sip', user: '', host: 'example.com' }],
    [
      'SIPS:alice:secret@example.com:5061',
      { scheme: 'sips', user: 'alice', password: 'secret', host: 'example.com', port: 5061 },
    ],
    ['sip:alice:@example.com', { scheme: 'sip', user: 'alice', password: '', host: 'example.com' }],
    ['sip:[2001:db8::10]', { scheme: 'sip', user: '', host: '2001:db8::10' }],
    [
      'sip:a@[::ffff:192.0.2.1]:5070;lr',
      { scheme: 'sip', user: 'a', host: '::ffff:192.0.2.1', port: 5070, params: [['lr', '']] },
    ],
    [
      'sip:+15550100@192.0.2.1:5060;transport=tcp;user=phone',
      {
        scheme: 'sip',
        user: '+15550100',
        host: '192.0.2.1',
        port: 5060,
        params: [
          ['transport', 'tcp'],
          ['user', 'phone'],
        ],
      },
    ],
    [
      'sip:bob@example.com?subject=project%20x&priority=urgent',
      {
        scheme: 'sip',
        user: 'bob',
        host: 'example.com',
        headers: [
          ['subject', 'project%20x'],
          ['priority', 'urgent'],
        ],
      },
    ],
    [
      'sip:bob@example.com;lr?a=',
      { scheme: 'sip', user: 'bob', host: 'example.com', params: [['lr', '']], headers: [['a', '']] },
    ],
    // RFC 4475 §3.1.1.9: semicolons belong to the user part, and so may a question mark.
    [
      'sip:user;par=u%40example.net@example.com',
      { scheme: 'sip', user: 'user;par=u%40example.net', host: 'example.com' },
    ],
    ['sip:a?b/c@example.com', { scheme: 'sip', user: 'a?b/c', host: 'example.com' }],
    ['sip:*67#@example.com', { scheme: 'sip', user: '*67#', host: 'example.com' }],
    ['tel:+1-555-0100;ext=12', { scheme: 'tel', user: '+1-555-0100', host: '', params: [['ext', '12']] }],
    [
      'tel:7042;phone-context=example.com',
      { scheme: 'tel', user: '7042', host: '', params: [['phone-context', 'example.com']] },
    ],
  ])('%s is read and written back', (text, parts) => {
    const uri = parseUri(text)
    expect(uri).toEqual(parts)
    expect(uri && formatUri(uri)).toBe(text.replace(/^SIPS/, 'sips'))
  })

  it.each(['2001:db8::192.0.2.1', '::192.0.2.1'])(
    '%s may have a third colon, as RFC 3261 has it (RFC 5118 §4.10)',
    (host) => {
      const uri = parseUri(`sip:a@[${host.replace('::', ':::')}]:5070`)
      expect(uri).toEqual({ scheme: 'sip', user: 'a', host, port: 5070 })
      expect(uri && formatUri(uri)).toBe(`sip:a@[${host}]:5070`)
    },
  )

  it.each([
    ['', 'nothing at all'],
    ['alice@example.com', 'no scheme'],
    ['sip:', 'no host'],
    ['sip:@example.com', 'an empty user'],
    ['sip:alice@', 'an empty host'],
    ['sip:a@b@example.com', 'two at signs'],
    ['sip:al ice@example.com', 'a space in the user'],
    ['sip:alice@example.com ', 'a space at the end'],
    ['sip:al\0ice@example.com', 'NUL'],
    ['sip:alice\r\n@example.com', 'CR and LF'],
    ['sip:alice@example.com\nX: y', 'LF after the host'],
    ['sip:al%4@example.com', 'half an escape'],
    ['sip:al%zz@example.com', 'an escape that is none'],
    ['sip:alice@example.com:', 'an empty port'],
    ['sip:alice@example.com:65536', 'a port too high'],
    ['sip:alice@example.com:5o60', 'a port that is none'],
    ['sip:alice@256.0.0.1', 'an octet above 255'],
    ['sip:alice@10.0.1', 'three octets'],
    ['sip:alice@10..0.1', 'an empty octet'],
    ['sip:alice@[2001:db8::10', 'an open bracket'],
    ['sip:alice@[example.com]', 'a name in brackets'],
    ['sip:alice@[fe80::1%25eth0]', 'an address with a zone'],
    ['sip:2001:db8::10', 'an IPv6 address without brackets (RFC 5118 §4.2)'],
    ['sip:[2001:db8:::10]', 'three colons before no IPv4 address (RFC 5118 §4.10)'],
    ['sip:[2001::db8:::192.0.2.1]', 'three colons after two'],
    ['sip:[2001:db8::::192.0.2.1]', 'four colons'],
    ['sip:[2001:db8:::192.0.2.256]', 'three colons before what is no IPv4 address'],
    ['sip:[:::]', 'three colons alone'],
    ['sip:alice@example.com;', 'an empty parameter'],
    ['sip:alice@example.com;a=', 'a parameter with an empty value'],
    ['sip:alice@example.com;a=b@c', 'an at sign in a parameter'],
    ['sip:alice@example.com?', 'no header after the question mark'],
    ['sip:alice@example.com?a', 'a header without a value'],
    ['sip:alice@example.com?a=b&', 'an empty header'],
    ['sip:alice@example.com?a=b;c=d', 'a parameter after the headers'],
    ['<sip:alice@example.com>', 'angle brackets'],
    ['sip:alíce@example.com', 'a character above ASCII'],
    ['sip:a\u016cice@example.com', 'a character that is no byte, but ends in one of a letter'],
    ['tel:', 'no number'],
    ['tel:+', 'no digit'],
    ['tel:+1 555', 'a space in the number'],
    ['tel:+1;', 'an empty parameter in tel'],
  ])('%j is malformed: %s', (text) => {
    expect(parseUri(text)).toBeUndefined()
    expect(uriKind(sourceOf(text).bytes, 0, text.length)).toBe('malformed')
  })

  it('of a scheme we do not know is no sip or tel URI, but a URI', () => {
    expect(uriKind(Buffer.from('isbn:2983792873'), 0, 15)).toBe('other')
    expect(parseUri('isbn:2983792873')).toBeUndefined()
  })
})

describe('hosts that end in a digit', () => {
  it.each([
    ['sip:h1', true],
    ['sip:pbx.example.c0m1', true],
    ['sip:1.2.3.h4', true],
    ['sip:1.2.3.4', true],
    ['sip:1.2.3.4.5', false],
    ['sip:12345', false],
    ['sip:h.1', false],
  ])('%s is a host: %s', (text, valid) => {
    expect(parseUri(text) !== undefined).toBe(valid)
  })
})

describe('a user part', () => {
  it('is decoded as UTF-8, and left alone when it is not', () => {
    expect(decodeUser({ scheme: 'sip', user: '%2B1555', host: 'x' })).toBe('+1555')
    expect(decodeUser({ scheme: 'sip', user: 'J%C3%BCrgen', host: 'x' })).toBe('Jürgen')
    expect(decodeUser({ scheme: 'sip', user: '%ff', host: 'x' })).toBe('%ff')
  })
})

describe('comparing URIs (RFC 3261 §19.1.4)', () => {
  const compare = (a: string, b: string) => {
    const [first, second] = [parseUri(a), parseUri(b)]
    if (first === undefined || second === undefined) throw new Error('malformed URI in the table')
    return [isSameUri(first, second), isSameUri(second, first)]
  }

  it.each([
    ['sip:%61lice@atlanta.com;transport=TCP', 'sip:alice@AtlanTa.CoM;Transport=tcp'],
    ['sip:carol@chicago.com', 'sip:carol@chicago.com;newparam=5'],
    ['sip:carol@chicago.com', 'sip:carol@chicago.com;security=on'],
    [
      'sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com',
      'sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com',
    ],
    [
      'sip:alice@atlanta.com?subject=project%20x&priority=urgent',
      'sip:alice@atlanta.com?priority=urgent&subject=project%20x',
    ],
    ['tel:+1-555-0100', 'tel:+15550100'],
  ])('%s is %s', (a, b) => {
    expect(compare(a, b)).toEqual([true, true])
  })

  it.each([
    ['sip:ALICE@AtLanTa.CoM;Transport=udp', 'sip:alice@AtLanTa.CoM;Transport=UDP'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:5060'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com;transport=udp'],
    ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:6000;transport=tcp'],
    ['sip:carol@chicago.com', 'sip:carol@chicago.com?Subject=next%20meeting'],
    ['sip:bob@phone21.boxesbybob.com', 'sip:bob@192.0.2.4'],
    ['sip:carol@chicago.com;security=on', 'sip:carol@chicago.com;security=off'],
    ['sip:a@b.com;maddr=1.2.3.4', 'sip:a@b.com'],
    ['sip:a@b.com', 'sips:a@b.com'],
    ['sip:a:x@b.com', 'sip:a:y@b.com'],
    ['tel:+15550100', 'tel:5550100'],
    ['tel:100;phone-context=a.com', 'tel:100;phone-context=b.com'],
  ])('%s is not %s', (a, b) => {
    expect(compare(a, b)).toEqual([false, false])
  })
})
