import { decode, encode, type Answer as PacketAnswer, type DecodedPacket, type OptAnswer } from 'dns-packet'

/** The record types that location of SIP servers needs (RFC 3263). */
export type RecordType = 'A' | 'AAAA' | 'SRV' | 'NAPTR'

interface Named {
  /** Owner, as `comparableDomain` has it. */
  readonly name: string
  readonly ttlSeconds: number
}

export type AddressRecord = Named & { readonly type: 'A' | 'AAAA'; readonly address: string }
export type ServiceRecord = Named & {
  readonly type: 'SRV'
  readonly priority: number
  readonly weight: number
  readonly port: number
  /** Empty where the service is "decidedly not available" (RFC 2782). */
  readonly target: string
}
export type PointerRecord = Named & {
  readonly type: 'NAPTR'
  readonly order: number
  readonly preference: number
  readonly flags: string
  readonly service: string
  readonly replacement: string
}
export type AliasRecord = Named & { readonly type: 'CNAME'; readonly target: string }
export type DnsRecord = AddressRecord | ServiceRecord | PointerRecord | AliasRecord

export interface Question {
  /** 0 to 65535, unpredictable: who does not see the query has to guess it. */
  readonly id: number
  readonly name: string
  readonly type: RecordType
}

export interface DnsResponse {
  /** `NOERROR`, `NXDOMAIN`, `SERVFAIL` …; `malformed` when it could not be read. */
  readonly rcode: string
  /** It did not fit, so that it has to be asked for over TCP. */
  readonly truncated: boolean
  readonly records: readonly DnsRecord[]
  /** How long there will be no such record (RFC 2308 section 5), in seconds; undefined when the answer does not say. */
  readonly negativeTtlSeconds: number | undefined
}

/** What fits in one packet nearly everywhere, in bytes (RFC 6891 section 6.2.5, RFC 9715). */
const payloadBytes = 1232

/** Records of an answer that are read: who owns a name may give it as many as fit in 64 KiB. */
const maximumRecords = 64

/** One text for one domain name: names are compared without case (RFC 4343) and without the last dot. */
export function comparableDomain(name: string): string {
  return name.replace(/\.$/, '').toLowerCase()
}

/** Whether it can be asked for: RFC 1035 section 2.3.4 has 63 octets for a label and 255 for a name. */
export function isDomain(name: string): boolean {
  const bare = comparableDomain(name)
  return bare.length <= 253 && bare.split('.').every((label) => /^[\w-]{1,63}$/.test(label))
}

/** A query that wants recursion. `extended` says that larger answers than 512 bytes can be taken (RFC 6891). */
export function encodeQuery({ id, name, type }: Question, extended: boolean): Buffer {
  return encode({
    id,
    type: 'query',
    flags: 0x0100,
    questions: [{ name, type, class: 'IN' }],
    additionals: extended ? [extension] : [],
  })
}

const extension: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: payloadBytes,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

/** Undefined when it is no answer to that question: RFC 5452 section 9.1 has ID and question compared. Never throws. */
export function decodeResponse(data: Buffer, question: Question): DnsResponse | undefined {
  if (data.length < 12 || data.readUInt16BE(0) !== question.id || (data.readUInt16BE(2) & 0x8000) === 0)
    return undefined
  const bare = { records: [], negativeTtlSeconds: undefined }
  if ((data.readUInt16BE(2) & 0x0200) !== 0) return { rcode: 'NOERROR', truncated: true, ...bare }
  try {
    const packet = decode(data)
    if (!answers(packet, question)) return undefined
    return {
      rcode: rcodeOf(packet),
      truncated: false,
      records: (packet.answers ?? []).slice(0, maximumRecords).flatMap((answer) => recordOf(answer) ?? []),
      negativeTtlSeconds: negativeTtl(packet),
    }
  } catch {
    return { rcode: 'malformed', truncated: false, ...bare }
  }
}

/** A server that cannot read a query may leave the question out of its answer. */
function answers(packet: DecodedPacket, { name, type }: Question): boolean {
  const asked = packet.questions?.[0]
  if (asked === undefined) return rcodeOf(packet) !== 'NOERROR' && rcodeOf(packet) !== 'NXDOMAIN'
  return asked.type === type && comparableDomain(asked.name) === comparableDomain(name)
}

/** The declared types leave it out. */
function rcodeOf(packet: DecodedPacket): string {
  return 'rcode' in packet && typeof packet.rcode === 'string' ? packet.rcode : 'NOERROR'
}

function recordOf(answer: PacketAnswer): DnsRecord | undefined {
  if (answer.type === 'OPT') return undefined
  const named = { name: comparableDomain(answer.name), ttlSeconds: lifetime('ttl' in answer ? answer.ttl : 0) }
  if (answer.type === 'A' || answer.type === 'AAAA') return { ...named, type: answer.type, address: answer.data }
  if (answer.type === 'CNAME') return { ...named, type: 'CNAME', target: comparableDomain(answer.data) }
  if (answer.type === 'SRV') {
    const { priority = 0, weight = 0, port, target } = answer.data
    return { ...named, type: 'SRV', priority, weight, port, target: comparableDomain(target) }
  }
  if (answer.type !== 'NAPTR') return undefined
  const { order, preference, flags, services: service, replacement } = answer.data
  return { ...named, type: 'NAPTR', order, preference, flags, service, replacement: comparableDomain(replacement) }
}

/** RFC 2181 section 8: "treat TTL values received with the most significant bit set as if the entire value received was zero". */
function lifetime(ttl: number | undefined): number {
  return ttl === undefined || ttl >= 2 ** 31 ? 0 : ttl
}

/** RFC 2308 section 5: the minimum of the SOA's own TTL and of its MINIMUM field. */
function negativeTtl(packet: DecodedPacket): number | undefined {
  for (const record of packet.authorities ?? []) {
    if (record.type === 'SOA') return Math.min(lifetime(record.ttl), lifetime(record.data.minimum))
  }
  return undefined
}
