import { describe, expect, it } from 'vitest'
import { branchOf, completeVia, formatVia, parseVia } from './via.ts'

describe('a Via', () => {
  it.each([
    [
      'SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1',
      { transport: 'UDP', host: '192.0.2.1', port: 5060, params: [['branch', 'z9hG4bK1']] },
    ],
    [
      'SIP/2.0/tcp pbx.example.com;rport;branch=z9hG4bK1',
      {
        transport: 'TCP',
        host: 'pbx.example.com',
        params: [
          ['rport', ''],
          ['branch', 'z9hG4bK1'],
        ],
      },
    ],
    [
      'SIP/2.0/UDP [2001:db8::9]:5070;received=[2001:db8::9:255];branch=z9hG4bKas3',
      {
        transport: 'UDP',
        host: '2001:db8::9',
        port: 5070,
        params: [
          ['received', '[2001:db8::9:255]'],
          ['branch', 'z9hG4bKas3'],
        ],
      },
    ],
    [
      'SIP/2.0/UDP h;received=2001:db8::9:255;branch=z9hG4bKas3',
      {
        transport: 'UDP',
        host: 'h',
        params: [
          ['received', '2001:db8::9:255'],
          ['branch', 'z9hG4bKas3'],
        ],
      },
    ],
    // RFC 4475 §3.1.1.1: white space around every separator.
    [
      'SIP  / 2.0  /UDP     192.0.2.2 : 5060  ;branch = 390skdjuw',
      { transport: 'UDP', host: '192.0.2.2', port: 5060, params: [['branch', '390skdjuw']] },
    ],
    ['SIP/2.0/UNKNOWN h;branch=z9hG4bK1', { transport: 'UNKNOWN', host: 'h', params: [['branch', 'z9hG4bK1']] }],
    [
      'SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2',
      { transport: 'UDP', host: 'a', params: [['branch', 'z9hG4bK1']] },
    ],
  ])('%s is read', (text, parts) => {
    expect(parseVia(text)).toEqual(parts)
  })

  it.each([
    ['', 'nothing'],
    ['SIP/2.0/UDP', 'no sent-by'],
    ['SIP/2.0/ h', 'no transport'],
    ['SIP/2.0/UDPh', 'no space before sent-by'],
    ['HTTP/1.1/TCP h', 'another protocol'],
    ['SIP/2.0/UDP h:x', 'a port that is none'],
    ['SIP/2.0/UDP h:99999', 'a port too high'],
    ['SIP/2.0/UDP 2001:db8::9', 'an IPv6 address without brackets'],
    ['SIP/2.0/UDP h;branch=1;branch=2', 'two branches'],
    ['SIP/2.0/UDP 192.0.2.15;;,;,,', 'separators without anything between (RFC 4475 §3.1.2.1)'],
    ['SIP/2.0/UDP h branch=1', 'a parameter without semicolon'],
  ])('%j is malformed: %s', (text) => {
    expect(parseVia(text)).toBeUndefined()
  })

  it('may have a third colon in an address, as RFC 3261 has it (RFC 5118 §4.10)', () => {
    const via = parseVia('SIP/2.0/UDP [2001:db8:::192.0.2.1]:5070;branch=z9hG4bK1')
    expect(via && formatVia(via)).toBe('SIP/2.0/UDP [2001:db8::192.0.2.1]:5070;branch=z9hG4bK1')
  })

  it('is written so that it reads the same', () => {
    const via = {
      transport: 'UDP',
      host: '2001:db8::9',
      port: 5070,
      params: [
        ['branch', 'z9hG4bK1'],
        ['rport', ''],
      ] as const,
    }
    expect(formatVia(via)).toBe('SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bK1;rport')
    expect(parseVia(formatVia(via))).toEqual(via)
    expect(branchOf(via)).toBe('z9hG4bK1')
  })
})

describe('a Via completed by the transport', () => {
  const complete = (text: string) => {
    const via = parseVia(text)
    if (via === undefined) throw new Error('malformed Via in the table')
    return formatVia(completeVia(via, '192.0.2.9', 5999))
  }

  it.each([
    ['stays when sent-by is the source', 'SIP/2.0/UDP 192.0.2.9:5060;branch=b', 'SIP/2.0/UDP 192.0.2.9:5060;branch=b'],
    [
      'gets received when sent-by is a name (RFC 3261 §18.2.1)',
      'SIP/2.0/UDP h;branch=b',
      'SIP/2.0/UDP h;branch=b;received=192.0.2.9',
    ],
    [
      'gets received when sent-by is another address (RFC 3261 §18.2.1)',
      'SIP/2.0/UDP 10.0.0.1;branch=b',
      'SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.9',
    ],
    [
      'gets both when rport asks (RFC 3581 §4)',
      'SIP/2.0/UDP 192.0.2.9;rport;branch=b',
      'SIP/2.0/UDP 192.0.2.9;rport=5999;branch=b;received=192.0.2.9',
    ],
    [
      'loses a received the sender made up',
      'SIP/2.0/UDP 192.0.2.9;received=1.2.3.4;branch=b',
      'SIP/2.0/UDP 192.0.2.9;received=192.0.2.9;branch=b',
    ],
    [
      'loses a received and an rport the sender made up',
      'SIP/2.0/UDP h;received=1.2.3.4;rport=7;branch=b',
      'SIP/2.0/UDP h;received=192.0.2.9;rport=5999;branch=b',
    ],
  ])('%s', (_what, before, after) => {
    expect(complete(before)).toBe(after)
  })
})
