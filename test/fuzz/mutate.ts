import type { Random } from './random.ts'

/** Name of the header field that mutations try to smuggle in: nothing that is sent may have a line that begins with it. */
export const CANARY = 'X-Smuggled'

type Mutation = (text: string, random: Random, others: readonly string[]) => string

/** What grammars trip over, put in anywhere. */
const spice: readonly [string, ...string[]] = [
  '\r',
  '\n',
  '\r\n',
  '\r\n ',
  '\n\n',
  '\r\r\n',
  '\0',
  '"',
  '\\',
  '\\"',
  '<',
  '>',
  '<>',
  ',',
  ';',
  ':',
  '=',
  '%',
  '%00',
  '%0d%0a',
  '@',
  '[',
  ']',
  '?',
  ' ',
  '\t',
  '\xff',
  '\xc3\xa9',
  '/',
  '-1',
  '0',
  '99999999999',
  ';tag=',
  ';branch=z9hG4bK',
  ';rport',
  ';lr',
  ';maddr=198.51.100.9',
  ';received=198.51.100.9',
  ' SIP/2.0',
  'sip:',
  'tel:',
  'sips:',
  '*',
  `\r${CANARY}: 1`,
  `\n${CANARY}: 1`,
  `%0d%0a${CANARY}: 1`,
  `\\\r\n${CANARY}: 1`,
  `\x0b${CANARY}: 1`,
  `\u0085${CANARY}: 1`,
  `"\r${CANARY}: 1\r"`,
]

/** Values of numbers at the edges of what fits. */
const numbers: readonly [string, ...string[]] = [
  '-1',
  '0',
  '00000000000000000001',
  '255',
  '256',
  '65535',
  '65536',
  '2147483647',
  '2147483648',
  '4294967296',
  '18446744073709551616',
  '1e3',
  '0x10',
  ' ',
]

/** Lines that contradict the others, or ask for something. */
const lines: readonly [string, ...string[]] = [
  'Content-Length: 0',
  'Content-Length: 9999',
  'l: 5',
  'Max-Forwards: 0',
  'Max-Forwards: 999',
  'From: <sip:other@192.0.2.77>;tag=zz',
  'To: <sip:other@192.0.2.77>;tag=yy',
  'Call-ID: another@192.0.2.77',
  'CSeq: 7 BYE',
  'Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKfuzz',
  'Contact: *',
  'Contact: <sip:a@198.51.100.9>, <sip:b@198.51.100.9>',
  'Route: <sip:198.51.100.9;lr>',
  'Record-Route: <sip:198.51.100.9>',
  'Require: 100rel, nothing',
  'Proxy-Require: nothing',
  'Supported: 100rel, timer, replaces',
  'RSeq: 1',
  'RAck: 1 1 INVITE',
  'Session-Expires: 1',
  'Min-SE: 99999999999',
  'Expires: 0',
  'Retry-After: 99999999999',
  'Replaces: a;to-tag=b;from-tag=c',
  'Refer-To: <sip:c@198.51.100.9?Replaces=x>',
  'Content-Type: multipart/mixed;boundary=x',
  'Content-Encoding: gzip',
  'X-Engine-Local: timeout',
  'Reason: Q.850;cause=16;text="\\"',
  'P-Asserted-Identity: "x" <sip:x@192.0.2.1>, <tel:+1>',
  'Privacy: id;critical',
  'Diversion: <sip:d@192.0.2.1>;reason=unconditional',
  'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256',
  'Proxy-Authenticate: Digest realm="r\\", nonce="n"',
]

const mutations: readonly [Mutation, ...Mutation[]] = [
  // Something from the list, with or without taking something away.
  (text, random) => splice(text, random.below(text.length + 1), random.below(3) * random.below(20), random.of(spice)),
  (text, random) =>
    splice(text, random.below(text.length + 1), random.below(2), String.fromCharCode(random.below(256))),
  // A part twice, a part gone, a part of another message.
  (text, random) => {
    const at = random.below(text.length + 1)
    return splice(text, at, 0, text.slice(at, at + random.below(120)))
  },
  (text, random) => splice(text, random.below(text.length + 1), random.below(80), ''),
  (text, random, others) => {
    const other = random.of(others) ?? ''
    const from = random.below(other.length + 1)
    return splice(text, random.below(text.length + 1), random.below(60), other.slice(from, from + random.below(200)))
  },
  // Whole lines: one gone, one twice, two exchanged, one of another message, one that contradicts.
  (text, random) => onLines(text, (all) => void all.splice(random.below(all.length), 1)),
  (text, random) => onLines(text, (all) => void all.splice(random.below(all.length), 0, random.of(all) ?? '')),
  (text, random) =>
    onLines(text, (all) => {
      const [a, b] = [random.below(all.length), random.below(all.length)]
      ;[all[a], all[b]] = [all[b] ?? '', all[a] ?? '']
    }),
  (text, random, others) =>
    onLines(text, (all) => {
      all[random.below(all.length)] = random.of((random.of(others) ?? '').split('\r\n')) ?? ''
    }),
  (text, random) => onLines(text, (all) => void all.splice(1 + random.below(all.length), 0, random.of(lines))),
  // A number at its edge, a folded line, a value that is large, an end too early.
  (text, random) => replaceOne(text, /\d+/g, random, () => random.of(numbers)),
  (text, random) => replaceOne(text, /[ ;,]/g, random, (found) => `${found}\r\n${random.of([' ', '\t', '  '])}`),
  (text, random) => splice(text, random.below(text.length + 1), 0, random.of(spice).repeat(random.below(300))),
  (text, random) => text.slice(0, random.below(text.length + 1)),
  // A parameter or a quoted text with something in it.
  (text, random) => replaceOne(text, /=[^;,>\r\n"]+/g, random, () => `=${random.of(spice)}`),
  (text, random) => replaceOne(text, /"[^"\r\n]*"/g, random, () => `"${random.of(spice)}"`),
  (text, random) => replaceOne(text, /sips?:[^@>;\r\n ]*/g, random, (found) => found + random.of(spice)),
]

/** One to four mutations of a text, one after the other; 70,000 characters at most. */
export function mutate(text: string, random: Random, others: readonly string[]): string {
  let mutated = text
  for (let times = 1 + random.below(4); times > 0; times--) {
    mutated = random.of(mutations)(mutated, random, others).slice(0, 70_000)
  }
  return mutated
}

function splice(text: string, at: number, length: number, by: string): string {
  return text.slice(0, at) + by + text.slice(at + length)
}

function onLines(text: string, change: (lines: string[]) => void): string {
  const [head = '', ...body] = text.split('\r\n\r\n')
  const all = head.split('\r\n')
  change(all)
  return [all.join('\r\n'), ...body].join('\r\n\r\n')
}

function replaceOne(text: string, pattern: RegExp, random: Random, by: (found: string) => string): string {
  const found = [...text.matchAll(pattern)]
  const one = random.of(found)
  return one === undefined ? text : splice(text, one.index, one[0].length, by(one[0]))
}
