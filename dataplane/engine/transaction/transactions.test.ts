import { expect, it } from 'vitest'
import { readMessage } from '../message/parse.ts'
import type { ParsedMessage } from '../message/parsed-message.ts'
import { formatRequest, type OutgoingRequest } from './outgoing-request.ts'
import { RecordingListener, setUpTime } from './testing.ts'
import { Transactions } from './transactions.ts'

const request: OutgoingRequest = {
  method: 'INVITE',
  uri: 'sip:b@example.com',
  routes: [],
  maxForwards: 70,
  from: '<sip:a@example.com>;tag=a',
  to: '<sip:b@example.com>',
  callId: 'call',
  cseq: 7,
  contact: undefined,
  headers: [],
  body: '',
}

function parse(text: string): ParsedMessage {
  const parsed = readMessage(text)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.message
}

function answerTo(text: string, status: number): ParsedMessage {
  const { branch } = parse(text)
  const lines = [
    `SIP/2.0 ${status} X`,
    `Via: SIP/2.0/UDP 192.0.2.1:5060;branch=${branch}`,
    'From: <sip:a@example.com>;tag=a',
    'To: <sip:b@example.com>;tag=b',
    'Call-ID: call',
    'CSeq: 7 INVITE',
    'Content-Length: 0',
  ]
  return parse(`${lines.join('\r\n')}\r\n\r\n`)
}

it('a request that goes on to the next server has a new branch, by which its answer is known (RFC 3263 §4.3)', () => {
  const { clock, wheel, counters } = setUpTime()
  const transactions = new Transactions(wheel, counters, { tryingFor: () => '', onServerTerminated: () => {} })
  const [dead, alive] = [new RecordingListener('UDP'), new RecordingListener('UDP')]
  dead.failing = true
  const told: string[] = []
  const user = {
    onResponse: ({ status }: { status: number }) => void told.push(String(status)),
    onTimeout: () => void told.push('timeout'),
    onTransportError: () => void told.push('transport error'),
    onFallback: () => void told.push('fallback'),
    onMovedOn: () => void told.push('moved on'),
    onTerminated: () => void told.push('terminated'),
  }
  const transaction = transactions.createClient(user, { request, branch: 'z9hG4bK1', flow: dead.flow })
  transaction.start(formatRequest(request, 'z9hG4bK1', dead), [alive.flow])
  clock.advance(510)

  const [first = ''] = dead.tried
  const [second = '', again] = alive.tried
  expect(parse(first).branch).toBe('z9hG4bK1')
  expect(parse(second).branch).not.toBe('z9hG4bK1')
  expect(again).toBe(second)
  expect(transactions.clientOf(answerTo(first, 200))).toBeUndefined()
  expect(transactions.clientOf(answerTo(second, 486))).toBe(transaction)
  expect(transactions.hasClient('z9hG4bK1')).toBe(false)

  transaction.receive(answerTo(second, 486), alive.flow)
  const [, , ack = ''] = alive.tried
  expect(ack).toMatch(/^ACK /)
  expect(parse(ack).branch).toBe(parse(second).branch)
  clock.advance(32_510)
  expect(told).toEqual(['moved on', '486', 'terminated'])
  expect(transactions.clientCount).toBe(0)
})
