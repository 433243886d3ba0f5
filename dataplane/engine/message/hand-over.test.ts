import { describe, expect, it } from 'vitest'
import { HANDED_OVER, HandOver } from './hand-over.ts'
import { readMessage } from './parse.ts'
import type { SipMessage } from './sip-message.ts'

function read(text: string): SipMessage {
  const result = readMessage(text)
  if (!result.ok) throw new Error(result.reason)
  return result.message
}

const common = 'From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c@h\r\nCSeq: 7 INVITE\r\n'
const invite = `INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n${common}Subject: x\r\nContent-Length: 4\r\n\r\nbody`
const ringing = `SIP/2.0 183 Session Progress\r\nVia: SIP/2.0/UDP h\r\n${common}RSeq: 12\r\n\r\n`

describe('the hand-over', () => {
  it('puts a short message into the frame, which stands for the one that was read', () => {
    const handOver = new HandOver()
    const message = read(invite)
    const short = handOver.put(message)
    expect(short).toBe('INVITE sip:b@h SIP/2.0\r\nCall-ID: c@h\r\nX-Handed-Over: 1\r\n\r\n')
    expect(handOver.take(short)).toBe(message)
  })

  it('tells equal messages apart', () => {
    const handOver = new HandOver()
    const [first, second] = [read(invite), read(invite)]
    const [one, other] = [handOver.put(first), handOver.put(second)]
    expect(handOver.take(other)).toBe(second)
    expect(handOver.take(one)).toBe(first)
  })

  it('leaves in the short message what a PRACK is made of', () => {
    const short = new HandOver().put(read(ringing))
    expect(short).toContain('\r\nCSeq: 7 INVITE\r\nRSeq: 12\r\n')
  })

  it('reads what the engine has written when it is taken', () => {
    const handOver = new HandOver()
    const short = handOver.putWritten(invite)
    expect(short).toContain('\r\nCall-ID: c@h\r\nCSeq: 7 INVITE\r\nX-Handed-Over: 1')
    expect(handOver.take(short)).toMatchObject({ method: 'INVITE', callId: 'c@h', body: 'body' })
  })

  it('leaves a message in the frame that is not ASCII, since it is read in another way there', () => {
    const handOver = new HandOver()
    const text = invite.replace('Subject: x', 'Subject: Zo\xc3\xab')
    expect(handOver.put(read(text))).toBe(text)
    expect(handOver.putWritten(text)).toBe(text)
    expect(handOver.take(text)).toBeUndefined()
  })

  it('gives up what was not taken when the frames after it have left', () => {
    const handOver = new HandOver()
    const short = handOver.put(read(invite))
    handOver.turn()
    expect(handOver.take(short)).toBeDefined()
    handOver.turn()
    expect(handOver.take(short)).toBeUndefined()
  })

  it('knows nothing of a message that somebody has sent in its own words', () => {
    const handOver = new HandOver()
    handOver.put(read(invite))
    expect(handOver.take('INVITE sip:b@h SIP/2.0\r\nCall-ID: c@h\r\nX-Handed-Over: 2\r\n\r\n')).toBeUndefined()
  })

  it('takes an order by the header field that stands for it, once', () => {
    const handOver = new HandOver()
    const order = `INVITE sip:b@h SIP/2.0\r\n${HANDED_OVER}: ${handOver.order(invite)}\r\ncontent-length: 0\r\n\r\n`
    expect(handOver.takeOrder(order)).toBe(invite)
    expect(handOver.takeOrder(order)).toBe(order)
  })

  it('tells orders apart', () => {
    const handOver = new HandOver()
    const [one, other] = [invite, ringing].map((text) => `x\r\n${HANDED_OVER}: ${handOver.order(text)}\r\n\r\n`)
    expect(handOver.takeOrder(other ?? '')).toBe(ringing)
    expect(handOver.takeOrder(one ?? '')).toBe(invite)
  })

  it('keeps no order once the connection has ended', () => {
    const handOver = new HandOver()
    const before = `x\r\n${HANDED_OVER}: ${handOver.order(invite)}\r\n\r\n`
    handOver.close()
    const after = `x\r\n${HANDED_OVER}: ${handOver.order(ringing)}\r\n\r\n`
    expect(handOver.takeOrder(before)).toBe(before)
    expect(handOver.takeOrder(after)).toBe(after)
  })

  it('hands an order over as its bytes in UTF-8, one character each', () => {
    const handOver = new HandOver()
    const order = `x\r\n${HANDED_OVER}: ${handOver.order(invite.replace('Subject: x', 'Subject: Zoë'))}\r\n\r\n`
    expect(handOver.takeOrder(order)).toContain('\r\nSubject: Zo\xc3\xab\r\n')
  })

  it('takes no header field of a peer for an order', () => {
    const handOver = new HandOver()
    handOver.order(invite)
    const relayed = invite.replace('Subject: x', `${HANDED_OVER}: 1`)
    expect(handOver.takeOrder(relayed)).toBe(relayed)
  })
})
