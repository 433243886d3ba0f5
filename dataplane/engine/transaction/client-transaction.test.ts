import { describe, expect, it } from 'vitest'
import type { ManualClock } from '#lib/manual-clock.ts'
import { readMessage } from '../message/parse.ts'
import type { SipMessage } from '../message/sip-message.ts'
import { ClientTransaction, type ClientTransactionUser } from './client-transaction.ts'
import { inviteClient } from './invite-client.ts'
import { nonInviteClient } from './non-invite-client.ts'
import { formatRequest, type OutgoingRequest } from './outgoing-request.ts'
import { RecordingListener, setUpTime } from './testing.ts'

interface Bench {
  readonly transaction: ClientTransaction
  readonly clock: ManualClock
  readonly listener: RecordingListener
  /** What the transaction user was told. */
  readonly told: string[]
  respond(status: number): void
}

function start(
  method: string,
  transport: 'UDP' | 'TCP' = 'UDP',
  options: { fallback?: RecordingListener; others?: readonly RecordingListener[]; failing?: boolean } = {},
): Bench {
  const { clock, wheel, counters } = setUpTime()
  const listener = new RecordingListener(transport)
  listener.failing = options.failing ?? false
  const told: string[] = []
  const user: ClientTransactionUser = {
    onResponse: (response) => void told.push(String(response.status)),
    onTimeout: () => void told.push('timeout'),
    onTransportError: (error) => void told.push(`transport error: ${error.message}`),
    onFallback: () => void told.push('fallback'),
    onMovedOn: () => void told.push('moved on'),
    onTerminated: () => void told.push('terminated'),
  }
  const request: OutgoingRequest = {
    method,
    uri: 'sip:b@example.com',
    routes: ['<sip:hop.example;lr>'],
    maxForwards: 70,
    from: '<sip:a@example.com>;tag=a',
    to: '<sip:b@example.com>',
    callId: 'call',
    cseq: 7,
    contact: undefined,
    headers: [['Subject', 'hello']],
    body: '',
  }
  const transaction = new ClientTransaction(
    { wheel, counters, onClientTerminated: () => {}, onBranchChanged: () => {} },
    user,
    {
      request,
      branch: 'z9hG4bK1',
      flow: listener.flow,
      fallback: options.fallback?.flow,
    },
  )
  const others = options.others?.map(({ flow }) => flow)
  transaction.start(formatRequest(request, 'z9hG4bK1', listener), others)
  const respond = (status: number): void => transaction.receive(response(status, method), listener.flow)
  return { transaction, clock, listener, told, respond }
}

function response(status: number, method: string): SipMessage {
  const parsed = readMessage(`SIP/2.0 ${status} X\r\nTo: <sip:b@example.com>;tag=b\r\nCSeq: 7 ${method}\r\n\r\n`)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.message
}

const INVITE = 'INVITE sip:b@example.com SIP/2.0'
const ACK = 'ACK sip:b@example.com SIP/2.0'
const OPTIONS = 'OPTIONS sip:b@example.com SIP/2.0'

/** The instants at which the listener sent something, while the clock runs. */
function sendingTimes({ clock, listener }: Bench, milliseconds: number): number[] {
  const times: number[] = []
  const end = clock.now() + milliseconds
  while (clock.now() < end) {
    const before = listener.sent.length
    clock.advance(10)
    if (listener.sent.length > before) times.push(clock.now())
  }
  return times
}

describe('the tables of the client machines (RFC 3261 §17.1, RFC 6026 §7.2)', () => {
  const rows: [
    machine: Record<string, Record<string, { next: string; effects: readonly string[] }>>,
    rows: string[],
  ][] = [
    [
      inviteClient,
      [
        'start request → calling: send startA startB',
        'calling timerA → calling: resend startA',
        'calling timerB → terminated: timeout',
        'calling transportError → terminated: failure',
        'calling provisional → proceeding: stopTimers pass',
        'calling success → accepted: stopTimers pass startM',
        'calling failure → completed: stopTimers acknowledge pass startD',
        'proceeding provisional → proceeding: pass',
        'proceeding success → accepted: stopTimers pass startM',
        'proceeding failure → completed: stopTimers acknowledge pass startD',
        'proceeding cancelled → proceeding: startB',
        'proceeding timerB → terminated: timeout',
        'completed failure → completed: acknowledge',
        'completed timerD → terminated:',
        'completed transportError → terminated:',
        'accepted success → accepted: pass',
        'accepted timerM → terminated:',
      ],
    ],
    [
      nonInviteClient,
      [
        'start request → trying: send startE startF',
        'trying timerE → trying: resend startE',
        'trying timerF → terminated: timeout',
        'trying cancelled → terminated:',
        'trying transportError → terminated: failure',
        'trying provisional → proceeding: pass',
        'trying success → completed: stopTimers pass startK',
        'trying failure → completed: stopTimers pass startK',
        'proceeding timerE → proceeding: resend startSlowE',
        'proceeding timerF → terminated: timeout',
        'proceeding cancelled → terminated:',
        'proceeding transportError → terminated: failure',
        'proceeding provisional → proceeding: pass',
        'proceeding success → completed: stopTimers pass startK',
        'proceeding failure → completed: stopTimers pass startK',
        'completed timerK → terminated:',
      ],
    ],
  ]

  it.each(rows)('have exactly the rows of the figure', (machine, expected) => {
    const found = Object.entries(machine).flatMap(([state, events]) =>
      Object.entries(events).map(([event, { next, effects }]) =>
        `${state} ${event} → ${next}: ${effects.join(' ')}`.trimEnd(),
      ),
    )
    expect(found).toEqual(expected)
  })
})

describe('an INVITE client transaction (RFC 3261 §17.1.1)', () => {
  it('sends again at T1, 3·T1, 7·T1 … without a limit of T2, and times out at 64·T1: Timers A and B', () => {
    const bench = start('INVITE')
    expect(sendingTimes(bench, 40_000)).toEqual([500, 1500, 3500, 7500, 15_500, 31_500])
    expect(bench.told).toEqual(['timeout', 'terminated'])
    expect(bench.clock.now()).toBe(40_000)
  })

  it('never sends again over a reliable transport, and times out all the same', () => {
    const bench = start('INVITE', 'TCP')
    expect(sendingTimes(bench, 31_990)).toEqual([])
    expect(bench.told).toEqual([])
    bench.clock.advance(20)
    expect(bench.told).toEqual(['timeout', 'terminated'])
  })

  it('waits for ever once there is a provisional response', () => {
    const bench = start('INVITE')
    bench.respond(180)
    expect(sendingTimes(bench, 200_000)).toEqual([])
    bench.respond(183)
    expect(bench.told).toEqual(['180', '183'])
  })

  it('acknowledges a failure each time it comes, for 32 s over UDP: Timer D', () => {
    const bench = start('INVITE')
    bench.respond(180)
    bench.respond(486)
    bench.respond(486)
    expect(bench.listener.sent).toEqual([INVITE, ACK, ACK])
    expect(bench.told).toEqual(['180', '486'])
    bench.clock.advance(31_990)
    expect(bench.transaction.state).toBe('completed')
    bench.clock.advance(20)
    expect(bench.told).toEqual(['180', '486', 'terminated'])
  })

  it('acknowledges a failure once over TCP: Timer D is zero', () => {
    const bench = start('INVITE', 'TCP')
    bench.respond(404)
    expect(bench.listener.sent).toEqual([INVITE, ACK])
    expect(bench.told).toEqual(['404', 'terminated'])
  })

  it('passes every 2xx and acknowledges none, for 64·T1: Timer M (RFC 6026 §7.2)', () => {
    for (const transport of ['UDP', 'TCP'] as const) {
      const bench = start('INVITE', transport)
      bench.respond(200)
      bench.respond(180)
      bench.respond(200)
      bench.respond(486)
      expect(bench.listener.sent).toEqual([INVITE])
      expect(bench.told).toEqual(['200', '200'])
      bench.clock.advance(32_010)
      expect(bench.told).toEqual(['200', '200', 'terminated'])
    }
  })

  it('may be cancelled only after a provisional response, and then waits 64·T1 (RFC 3261 §9.1)', () => {
    const bench = start('INVITE')
    expect(bench.transaction.mayCancel).toBe(false)
    expect(bench.transaction.cancelWith([])?.method).toBe('CANCEL')
    bench.respond(100)
    expect(bench.transaction.mayCancel).toBe(true)
    bench.transaction.cancelSent()
    bench.clock.advance(32_010)
    expect(bench.told).toEqual(['100', 'timeout', 'terminated'])
    expect(bench.transaction.cancelWith([])).toBeUndefined()
  })

  it('tells a transport error, and ends (RFC 3261 §17.1.4)', () => {
    const bench = start('INVITE')
    bench.listener.failing = true
    bench.clock.advance(510)
    expect(bench.told).toEqual(['transport error: no way', 'terminated'])
    expect(bench.clock.pending).toBe(0)
  })

  it('that TCP refuses goes over UDP, with the retransmissions of UDP (RFC 3261 §18.1.1)', () => {
    const udp = new RecordingListener('UDP')
    const bench = start('INVITE', 'TCP', { fallback: udp, failing: true })
    expect(bench.told).toEqual(['fallback'])
    expect(udp.sent).toEqual([INVITE])
    bench.clock.advance(510)
    expect(udp.sent).toEqual([INVITE, INVITE])
    bench.respond(486)
    expect(udp.sent).toEqual([INVITE, INVITE, ACK])
    const hopeless = start('INVITE', 'TCP', { failing: true })
    expect(hopeless.told).toEqual(['transport error: no way', 'terminated'])
  })
})

describe('a client transaction of another request (RFC 3261 §17.1.2)', () => {
  it('that cannot be sent goes to the next server, with its retransmissions, until there is none (RFC 3263 §4.3)', () => {
    const [dead, alive] = [new RecordingListener('UDP'), new RecordingListener('UDP')]
    dead.failing = true
    const bench = start('OPTIONS', 'UDP', { others: [dead, alive], failing: true })
    expect(bench.told).toEqual(['moved on', 'moved on'])
    bench.clock.advance(510)
    expect(alive.sent).toHaveLength(2)
    bench.respond(200)
    expect(bench.told).toEqual(['moved on', 'moved on', '200'])
    const hopeless = start('OPTIONS', 'UDP', { others: [dead], failing: true })
    expect(hopeless.told).toEqual(['moved on', 'transport error: no way', 'terminated'])
  })

  it('that was answered provisionally is not sent elsewhere', () => {
    const bench = start('OPTIONS', 'UDP', { others: [new RecordingListener('UDP')] })
    bench.respond(100)
    bench.listener.failing = true
    bench.clock.advance(4010)
    expect(bench.told).toEqual(['100', 'transport error: no way', 'terminated'])
  })

  it('sends again at T1, 2·T1 … with at most T2 between, and times out at 64·T1: Timers E and F', () => {
    const bench = start('OPTIONS')
    const times = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
    expect(sendingTimes(bench, 40_000)).toEqual(times)
    expect(bench.told).toEqual(['timeout', 'terminated'])
  })

  it('sends again every T2 after a provisional response', () => {
    const bench = start('OPTIONS')
    bench.respond(100)
    expect(sendingTimes(bench, 13_000)).toEqual([500, 4500, 8500, 12_500])
    bench.respond(200)
    expect(sendingTimes(bench, 13_000)).toEqual([])
  })

  it('takes up copies of the final response for T4 over UDP, and none over TCP: Timer K', () => {
    const udp = start('OPTIONS')
    udp.respond(200)
    udp.respond(200)
    expect(udp.told).toEqual(['200'])
    udp.clock.advance(4990)
    expect(udp.transaction.state).toBe('completed')
    udp.clock.advance(20)
    expect(udp.told).toEqual(['200', 'terminated'])
    const tcp = start('OPTIONS', 'TCP')
    tcp.respond(500)
    expect(tcp.told).toEqual(['500', 'terminated'])
    expect(tcp.listener.sent).toEqual([OPTIONS])
  })

  it('tells a transport error and ends, before and after a provisional response (RFC 3261 §17.1.4)', () => {
    for (const provisional of [false, true]) {
      const bench = start('OPTIONS')
      if (provisional) bench.respond(100)
      bench.listener.failing = true
      bench.clock.advance(510)
      expect(bench.told.slice(-2)).toEqual(['transport error: no way', 'terminated'])
    }
  })
})
