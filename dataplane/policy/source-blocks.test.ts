import { describe, expect, it } from 'vitest'
import { compileBlocks, parseAddress } from './source-blocks.ts'

describe('the longest block that holds an address', () => {
  const table = compileBlocks([
    ['0.0.0.0/0', 'anyone'],
    ['192.0.2.0/24', 'office'],
    ['192.0.2.128/25', 'upper half'],
    ['192.0.2.200', 'one host'],
    ['192.0.2.0/24', 'office again'],
    ['2001:db8::/32', 'v6'],
    ['2001:db8:0:1::/64', 'v6 subnet'],
    ['::ffff:198.51.100.0/120', 'mapped'],
    ['not an address', 'never'],
    ['192.0.2.0/33', 'never'],
  ])

  it.each([
    ['192.0.2.1', ['office', 'office again']],
    ['192.0.2.129', ['upper half']],
    ['192.0.2.200', ['one host']],
    ['203.0.113.9', ['anyone']],
    ['255.255.255.255', ['anyone']],
    ['::ffff:192.0.2.200', ['one host']],
    ['::ffff:c000:2c8', ['one host']],
    ['198.51.100.77', ['mapped']],
    ['2001:db8::1', ['v6']],
    ['2001:db8:0:1:ffff::', ['v6 subnet']],
    ['2001:DB8:0:2::1', ['v6']],
    ['2001:db9::1', []],
    ['fe80::1%eth0', []],
    ['', []],
    ['carrier.example', []],
  ])('%s is in %j', (address, expected) => {
    expect(table.longest(address)).toEqual(expected)
  })

  it('does not let an IPv6 default block take IPv4 sources', () => {
    const v6Only = compileBlocks([['::/0', 'v6']])
    expect(v6Only.longest('192.0.2.1')).toEqual([])
    expect(v6Only.longest('2001:db8::1')).toEqual(['v6'])
  })
})

describe('addresses as bits', () => {
  it.each([
    ['0.0.0.0', [0]],
    ['255.255.255.255', [0xffffffff]],
    ['::', [0, 0, 0, 0]],
    ['::1', [0, 0, 0, 1]],
    ['2001:db8::', [0x20010db8, 0, 0, 0]],
    ['1:2:3:4:5:6:7:8', [0x00010002, 0x00030004, 0x00050006, 0x00070008]],
    ['64:ff9b::192.0.2.33', [0x0064ff9b, 0, 0, 0xc0000221]],
    ['192.0.2.1.', undefined],
    ['[::1]', undefined],
  ])('%s', (text, words) => {
    expect(parseAddress(text)).toEqual(words)
  })
})
