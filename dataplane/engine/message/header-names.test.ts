import { describe, expect, it } from 'vitest'
import { lookUpHeader, matchHeader } from './header-names.ts'

describe('a header name', () => {
  it.each([
    ['a', 'Accept-Contact'],
    ['b', 'Referred-By'],
    ['c', 'Content-Type'],
    ['d', 'Request-Disposition'],
    ['e', 'Content-Encoding'],
    ['f', 'From'],
    ['i', 'Call-ID'],
    ['j', 'Reject-Contact'],
    ['k', 'Supported'],
    ['l', 'Content-Length'],
    ['m', 'Contact'],
    ['n', 'Identity-Info'],
    ['o', 'Event'],
    ['r', 'Refer-To'],
    ['s', 'Subject'],
    ['t', 'To'],
    ['u', 'Allow-Events'],
    ['v', 'Via'],
    ['x', 'Session-Expires'],
    ['y', 'Identity'],
  ])('%s is short for %s, in any case', (compact, name) => {
    for (const written of [compact, compact.toUpperCase(), name, name.toLowerCase(), name.toUpperCase()]) {
      expect(lookUpHeader(written)?.name).toBe(name)
    }
  })

  it.each([
    '',
    'g',
    'X-Own',
    'Contacts',
    'Vi',
    'Via ',
    'Call\rID',
    'x'.repeat(100),
    'constructor',
    '\u0156ia',
    '\u212a',
  ])('%j is nobody we know', (name) => {
    expect(lookUpHeader(name)).toBeUndefined()
  })

  it('is found where it stands in a text', () => {
    expect(matchHeader(Buffer.from('a\r\ncall-id: x'), 3, 10)?.name).toBe('Call-ID')
    expect(matchHeader(Buffer.from('To'), 0, 0)).toBeUndefined()
  })

  it('of one value has a bit of its own', () => {
    const names = ['From', 'To', 'Call-ID', 'CSeq', 'Max-Forwards', 'Content-Length', 'Content-Type', 'Session-Expires']
    const bits = names.map((name) => lookUpHeader(name)?.bit)
    expect(new Set(bits).size).toBe(names.length)
    expect(bits).not.toContain(0)
    expect(lookUpHeader('Via')?.bit).toBe(0)
  })
})
