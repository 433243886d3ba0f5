import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readMessage } from '../../dataplane/engine/message/parse.ts'
import { takenMethods } from '../../dataplane/call/header-relay.ts'
import type { SipMessage } from '../../dataplane/engine/message/sip-message.ts'
import { beginning, going, type Place } from '../fuzz/corpus.ts'
import { FuzzedReplica, type Side, sides } from '../fuzz/fuzzed-replica.ts'

let replica: FuzzedReplica
let sent: { side: Side; message: SipMessage }[]

beforeEach(async () => {
  sent = []
  replica = await FuzzedReplica.start((text, side) => {
    const parsed = readMessage(text)
    if (parsed.ok) sent.push({ side, message: parsed.message })
  })
})

afterEach(() => replica.stop())

const caller: Place = {
  callId: 'call@192.0.2.10',
  localTag: 'caller',
  remoteTag: '',
  remoteTarget: '',
  cseq: 1,
  branch: 'z9hG4bKfirst',
  peer: '192.0.2.10:5060',
}

async function receive(text: string, side: Side): Promise<void> {
  replica.receive(text, side)
  await replica.settled()
}

function last(side: Side, wanted: (message: SipMessage) => boolean): SipMessage {
  const found = sent.findLast((one) => one.side === side && wanted(one.message))
  if (found === undefined) throw new Error(`the ${side} was sent nothing of the kind`)
  return found.message
}

const method = (name: string) => (message: SipMessage) => message.kind === 'request' && message.method === name
const status = (code: number) => (message: SipMessage) => message.status === code

function answer(request: SipMessage, code: number, options: { tag?: string; contact?: string; callId?: string } = {}) {
  const { tag = 'called', contact = '<sip:called@192.0.2.20:5060>', callId = request.callId } = options
  const to = request.toTag === '' ? `${request.get('To')};tag=${tag}` : request.get('To')
  return `SIP/2.0 ${code} X\r\nVia: ${request.get('Via')}\r\nFrom: ${request.get('From')}\r\nTo: ${to}\r\nCall-ID: ${callId}\r\nCSeq: ${request.get('CSeq')}\r\nContact: ${contact}\r\nContent-Length: 0\r\n\r\n`
}

/** A call that is up; the caller's place in it. */
async function establish(options: { contact?: string } = {}): Promise<Place> {
  await receive(beginning(1, caller), 'pbx')
  await receive(answer(last('carrier', method('INVITE')), 200, options), 'carrier')
  const success = last('pbx', status(200))
  const place = { ...caller, remoteTag: success.toTag, remoteTarget: 'sip:192.0.2.1:5060', branch: 'z9hG4bKack' }
  await receive(going(13, place).replaceAll('BYE', 'ACK'), 'pbx')
  expect(replica.calls.list()).toMatchObject([{ state: 'Up' }])
  return place
}

async function expectNothingLeft(): Promise<void> {
  await replica.wipe()
  expect(replica.leftover).toBeUndefined()
  expect(replica.errors).toEqual([])
}

describe('a peer that does what it must not', () => {
  it.each(['*', '<tel:+15550123>', '<sip:called@192.0.2.20;transport=nothing>'])(
    'answers with Contact %s: the call can be ended all the same (RFC 3261 §12.1.2)',
    async (contact) => {
      await establish({ contact })
      await expectNothingLeft()
    },
  )

  it('has headers in the URI of its Contact: nothing is sent with them (RFC 3261 §19.1.1)', async () => {
    await establish({ contact: '<sip:called@192.0.2.20:5060;method=INVITE?Subject=x>' })
    await expectNothingLeft()
    expect(last('carrier', method('BYE')).uri).toBe('sip:called@192.0.2.20:5060')
  })

  it.each([200, 486])('repeats its tag in a %i: what we send has one (RFC 3261 §7.3.1)', async (code) => {
    await receive(beginning(1, caller), 'pbx')
    const invite = last('carrier', method('INVITE'))
    await receive(answer(invite, code).replace(';tag=called', ';tag=called;tag=other'), 'carrier')
    await expectNothingLeft()
    expect(last('carrier', method('ACK')).get('To')).toMatch(/^[^;]*;tag=called$/)
  })

  it('records a route that is no URI: 400 to its request, and none of it in ours (RFC 3261 §12.1)', async () => {
    const route = 'Record-Route: <sip:192.0.   2.9>\r\nContent-Length'
    await receive(beginning(1, caller).replace('Content-Length', route), 'pbx')
    expect(last('pbx', status(400)).reason).toBe('Malformed Record-Route')
    await receive(beginning(1, { ...caller, callId: 'second', branch: 'z9hG4bKsecond' }), 'pbx')
    await receive(answer(last('carrier', method('INVITE')), 200).replace('Content-Length', route), 'carrier')
    await expectNothingLeft()
    expect(last('carrier', method('BYE')).has('Route')).toBe(false)
  })

  it('answers with the Call-ID of another call: it is no answer of ours (RFC 3261 §8.2.6.2)', async () => {
    await receive(beginning(1, caller), 'pbx')
    await receive(answer(last('carrier', method('INVITE')), 200, { callId: 'other@192.0.2.20' }), 'carrier')
    expect(sent.some(({ message }) => message.status === 200)).toBe(false)
    await expectNothingLeft()
  })

  it('answers with another From tag: it is no answer of ours (RFC 3261 §8.2.6.2)', async () => {
    await receive(beginning(2, caller), 'pbx')
    const invite = last('carrier', method('INVITE'))
    await receive(answer(invite, 180), 'carrier')
    const longer = answer(invite, 422).replace('Content-Length', 'Min-SE: 3600\r\nContent-Length')
    await receive(longer.replace(`tag=${invite.fromTag}`, 'tag=theirs'), 'carrier')
    expect(last('carrier', method('INVITE')).cseq).toBe(invite.cseq)
    await receive(longer.replace('sip:+15550100@', 'sip:theirs@'), 'carrier')
    const again = last('carrier', method('INVITE'))
    expect(again.cseq).toBe(invite.cseq + 1)
    expect(again.get('From')).toBe(invite.get('From'))
    await receive(answer(again, 200), 'carrier')
    const answered = { ...caller, cseq: 2, branch: 'z9hG4bKbye', remoteTag: last('pbx', status(200)).toTag }
    await receive(going(13, { ...answered, remoteTarget: 'sip:192.0.2.1:5060' }), 'pbx')
    expect(last('carrier', method('BYE')).toTag).toBe('called')
    await expectNothingLeft()
  })

  it.each(['"a|b"', '"\xff"'])('calls with the quoted tag %s, which is none: 400 (RFC 3261 §25.1)', async (tag) => {
    await receive(beginning(1, { ...caller, localTag: tag }), 'pbx')
    expect(last('pbx', status(400)).reason).toBe('Malformed From')
    expect(replica.calls.count).toBe(0)
    await expectNothingLeft()
  })

  it('answers with lines that grow when they are carried: the caller gets the answer all the same', async () => {
    await receive(beginning(1, caller), 'pbx')
    const accept = `Accept:${'a'.repeat(8185)}`
    const success = answer(last('carrier', method('INVITE')), 200).replace(
      'Content-Length',
      `${accept}\r\nContent-Length`,
    )
    await receive(success, 'carrier')
    expect(last('pbx', status(200)).get('Accept')).toHaveLength(8185)
    await expectNothingLeft()
  })

  it('calls again with Call-ID and tag of a call that is up: 482 (RFC 3261 §8.2.2.2)', async () => {
    await establish()
    await receive(beginning(1, { ...caller, cseq: 7, branch: 'z9hG4bKagain' }), 'pbx')
    expect(last('pbx', status(482)).cseq).toBe(7)
    expect(replica.calls.count).toBe(1)
    await expectNothingLeft()
  })

  it('says 481 to a request in the call: the dialog is gone, and the other side gets a BYE (RFC 5057 §5.1)', async () => {
    const place = await establish()
    await receive(going(4, { ...place, cseq: 2, branch: 'z9hG4bKinfo' }), 'pbx')
    await receive(answer(last('carrier', method('INFO')), 481), 'carrier')
    expect(last('pbx', method('BYE'))).toBeDefined()
    await expectNothingLeft()
  })

  it('sends BYE in an early dialog, which only the caller may: 481, and the call goes on (RFC 3261 §15)', async () => {
    await receive(beginning(1, caller), 'pbx')
    const invite = last('carrier', method('INVITE'))
    await receive(answer(invite, 180, { tag: 'fork' }), 'carrier')
    const fork: Place = {
      ...{ callId: invite.callId, localTag: 'fork', remoteTag: invite.fromTag, cseq: 1, branch: 'z9hG4bKbye' },
      ...{ remoteTarget: 'sip:192.0.2.1:5070', peer: `${sides.carrier.address}:5060` },
    }
    await receive(going(13, fork), 'carrier')
    expect(last('carrier', status(481)).method).toBe('BYE')
    await receive(answer(invite, 200, { tag: 'other' }), 'carrier')
    expect(last('pbx', status(200)).method).toBe('INVITE')
    await expectNothingLeft()
  })

  it('says 100 to a re-INVITE and nothing more: it ends with the call (RFC 3261 §9.1)', async () => {
    const place = await establish()
    await receive(going(0, { ...place, cseq: 2, branch: 'z9hG4bKre' }), 'pbx')
    await receive(answer(last('carrier', method('INVITE')), 100), 'carrier')
    await receive(going(13, { ...place, cseq: 3, branch: 'z9hG4bKbye' }), 'pbx')
    await expectNothingLeft()
  })

  it('asks for what is not taken: 405 and 501 name the same methods, and those are taken (RFC 3261 §8.2.1)', async () => {
    const text = beginning(5, caller)
    for (const name of ['REGISTER', 'DANCE']) {
      await receive(text.replaceAll('OPTIONS', name).replace('z9hG4bKfirst', `z9hG4bK${name}`), 'pbx')
    }
    for (const one of [last('pbx', status(405)), last('pbx', status(501))]) {
      expect(one.values('Allow').toSorted()).toEqual([...takenMethods].toSorted())
    }
    await expectNothingLeft()
  })

  it('never acknowledges, and cannot be sent a BYE: the call ends all the same (RFC 3261 §13.3.1.4)', async () => {
    await receive(beginning(1, caller).replace('transport=udp', 'transport=nothing'), 'pbx')
    await receive(answer(last('carrier', method('INVITE')), 200), 'carrier')
    replica.clock.advance(40_000)
    await replica.settled()
    expect(last('carrier', method('BYE'))).toBeDefined()
    await expectNothingLeft()
  })
})
