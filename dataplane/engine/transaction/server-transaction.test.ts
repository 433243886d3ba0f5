import { describe, expect, it } from 'vitest'
import type { ManualClock } from '#lib/manual-clock.ts'
import { inviteServer } from './invite-server.ts'
import { nonInviteServer } from './non-invite-server.ts'
import { ServerTransaction } from './server-transaction.ts'
import { RecordingListener, setUpTime } from './testing.ts'

interface Bench {
  readonly transaction: ServerTransaction
  readonly clock: ManualClock
  readonly listener: RecordingListener
  readonly ended: () => boolean
}

function start(method: string, transport: 'UDP' | 'TCP' = 'UDP'): Bench {
  const { clock, wheel, counters } = setUpTime()
  const listener = new RecordingListener(transport)
  let ended = false
  const context = {
    wheel,
    counters,
    responseSent: () => {},
    tryingFor: () => 'SIP/2.0 100 Trying\r\n\r\n',
    onServerSettled: () => {},
    onServerTerminated: () => (ended = true),
  }
  const transaction = new ServerTransaction(context, { key: 'key', method }, listener.flow)
  transaction.start()
  return { transaction, clock, listener, ended: () => ended }
}

function respond({ transaction }: Bench, status: number): void {
  transaction.respond(status, `SIP/2.0 ${status} X\r\n\r\n`)
}

/** The instants at which something was sent, while the clock runs. */
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

describe('the tables of the server machines (RFC 3261 §17.2, RFC 6026 §7.1, RFC 4320)', () => {
  const rows: [
    machine: Record<string, Record<string, { next: string; effects: readonly string[] }>>,
    rows: string[],
  ][] = [
    [
      inviteServer,
      [
        'proceeding request → proceeding: repeat',
        'proceeding provisional → proceeding: send',
        'proceeding success → accepted: send startL',
        'proceeding failure → completed: send startG startH',
        'accepted timerL → terminated:',
        'completed request → completed: repeat',
        'completed timerG → completed: repeat startG',
        'completed timerH → terminated:',
        'completed ack → confirmed: stopTimers startI',
        'confirmed timerI → terminated:',
      ],
    ],
    [
      nonInviteServer,
      [
        'start accept → trying: startTrying startLate',
        'trying timerTrying → proceeding: sendTrying',
        'trying provisional → proceeding: send',
        'trying success → completed: stopTimers send startJ',
        'trying failure → completed: stopTimers send startJ',
        'proceeding request → proceeding: repeat',
        'proceeding provisional → proceeding: send',
        'proceeding success → completed: stopTimers send startJ',
        'proceeding failure → completed: stopTimers send startJ',
        'proceeding timerLate → terminated: late',
        'completed request → completed: repeat',
        'completed timerJ → terminated:',
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

describe('an INVITE server transaction (RFC 3261 §17.2.1)', () => {
  it('answers a copy of the INVITE with the latest provisional response', () => {
    const bench = start('INVITE')
    bench.transaction.repeat()
    respond(bench, 100)
    bench.transaction.repeat()
    respond(bench, 180)
    bench.transaction.repeat()
    expect(bench.listener.sent.map((line) => line.slice(8, 11))).toEqual(['100', '100', '180', '180'])
  })

  it('repeats a failure over UDP, doubling from T1 to T2, and gives up at 64·T1: Timers G and H', () => {
    const bench = start('INVITE')
    respond(bench, 486)
    const times = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
    expect(sendingTimes(bench, 40_000)).toEqual(times)
    expect(bench.ended()).toBe(true)
  })

  it('repeats a failure over TCP only when asked, and gives up at 64·T1', () => {
    const bench = start('INVITE', 'TCP')
    respond(bench, 486)
    expect(sendingTimes(bench, 31_990)).toEqual([])
    bench.transaction.repeat()
    expect(bench.listener.sent).toHaveLength(2)
    bench.clock.advance(20)
    expect(bench.ended()).toBe(true)
  })

  it('falls silent with the ACK, and takes up further ones for T4 over UDP, for no time over TCP: Timer I', () => {
    const udp = start('INVITE')
    respond(udp, 486)
    udp.transaction.acknowledge()
    udp.transaction.acknowledge()
    udp.transaction.repeat()
    expect(sendingTimes(udp, 4990)).toEqual([])
    expect(udp.ended()).toBe(false)
    udp.clock.advance(20)
    expect(udp.ended()).toBe(true)
    const tcp = start('INVITE', 'TCP')
    respond(tcp, 486)
    tcp.transaction.acknowledge()
    expect(tcp.ended()).toBe(true)
  })

  it('after a 2xx takes up copies of the INVITE without an answer for 64·T1: Timer L (RFC 6026 §7.1)', () => {
    const bench = start('INVITE')
    respond(bench, 200)
    bench.transaction.repeat()
    respond(bench, 486)
    expect(sendingTimes(bench, 31_990)).toEqual([])
    expect(bench.listener.sent).toHaveLength(1)
    bench.clock.advance(20)
    expect(bench.ended()).toBe(true)
  })

  it('stays as it is when a response cannot be sent, and answers the next copy (RFC 6026 §8)', () => {
    const bench = start('INVITE')
    bench.listener.failing = true
    respond(bench, 180)
    expect(bench.transaction.state).toBe('proceeding')
    bench.listener.failing = false
    bench.transaction.repeat()
    expect(bench.listener.sent).toHaveLength(1)
  })
})

describe('a server transaction of another request (RFC 3261 §17.2.2)', () => {
  it('says nothing to a copy before there is an answer, and that answer again after it, for 64·T1: Timer J', () => {
    const bench = start('OPTIONS')
    bench.transaction.repeat()
    expect(bench.listener.sent).toEqual([])
    respond(bench, 200)
    bench.transaction.repeat()
    respond(bench, 500)
    expect(bench.listener.sent).toHaveLength(2)
    bench.clock.advance(31_990)
    expect(bench.ended()).toBe(false)
    bench.clock.advance(20)
    expect(bench.ended()).toBe(true)
  })

  it('ends with its answer over TCP: Timer J is zero', () => {
    const bench = start('OPTIONS', 'TCP')
    respond(bench, 200)
    expect(bench.ended()).toBe(true)
  })

  it('sends 100 when Timer E of the sender has reached T2, again to each copy (RFC 4320 §4.1)', () => {
    const bench = start('OPTIONS')
    expect(sendingTimes(bench, 10_000)).toEqual([3500])
    bench.transaction.repeat()
    expect(bench.listener.sent).toHaveLength(2)
    respond(bench, 200)
    expect(bench.listener.sent).toHaveLength(3)
  })

  it('ends in silence when there is no answer within 64·T1 (RFC 4320 §4.2)', () => {
    const bench = start('OPTIONS')
    bench.clock.advance(32_010)
    expect(bench.ended()).toBe(true)
    respond(bench, 200)
    expect(bench.listener.sent).toHaveLength(1)
  })
})
