import { afterEach, describe, expect, it } from 'vitest'
import type { CallRecord } from '../../dataplane/call/call-record.ts'
import { serveAdmin } from '../../dataplane/admin.ts'
import type { HttpDoor } from '../../dataplane/health.ts'
import { sdp } from '../engine/sip-peer.ts'
import { answer, type Bridge, Party } from './bridge.ts'
import { asks, connect, farSdp, says, seconds } from './timed-call.ts'

const open: Bridge[] = []
const doors: HttpDoor[] = []

afterEach(async () => {
  for (const door of doors.splice(0)) await door.close()
  for (const bridge of open.splice(0)) await bridge.end()
})

/** What `GET /calls` says over HTTP. */
async function shown({ calls }: Bridge): Promise<readonly CallRecord[]> {
  const nothing = () => undefined
  const door = await serveAdmin(0, {
    ...{ config: nothing, trunks: nothing, members: nothing, media: nothing, health: nothing, explain: nothing },
    ...{ setLogLevel: nothing, drain: nothing },
    calls: () => calls.list(),
  })
  doors.push(door)
  const response = await fetch(`http://127.0.0.1:${door.port}/calls`)
  expect(response.status).toBe(200)
  return (await response.json()) as readonly CallRecord[]
}

async function sessionsOf(bridge: Bridge) {
  const records = await shown(bridge)
  return records.map(({ legA, legB }) => [legA.session, legB?.session])
}

const aloneOnB = [...says('uac'), ['Require', 'timer']] as const

describe('every call, as the admin interface shows it (who refreshes, when, the deadline, and why)', () => {
  it('refreshed by the caller, end to end: no refresh of ours, a deadline on both legs', async () => {
    const { bridge } = await connect(open, asks('uac'), says('uac'))
    const now = bridge.clock.wallTime()
    const leg = { refresher: 'PeerA', intervalSeconds: 1800, deadlineAt: now + seconds(1768) }
    const sessions = await sessionsOf(bridge)
    expect(sessions).toEqual([
      [
        { ...leg, because: expect.stringMatching(/PeerA/) },
        { ...leg, because: expect.stringMatching(/PeerA/) },
      ],
    ])
  })

  it('refreshed by the fleet on one leg: the next refresh at half the interval, and none on the other', async () => {
    const { bridge } = await connect(open, [], aloneOnB, { timer: { alwaysRequest: true } })
    const start = bridge.clock.wallTime()
    const [[onA, onB] = []] = await sessionsOf(bridge)
    expect(onA).toEqual({ because: 'none agreed' })
    expect(onB).toMatchObject({ refresher: 'Sbc', intervalSeconds: 1800, deadlineAt: start + seconds(1768) })
    expect(onB?.because).toContain('PeerA does not refresh this leg')
    const { nextRefreshAt = 0 } = onB ?? {}
    expect(nextRefreshAt - start).toBeGreaterThanOrEqual(seconds(855))
    expect(nextRefreshAt - start).toBeLessThanOrEqual(seconds(900))

    // It comes when it was announced, and then the next one is shown.
    bridge.clock.advance(nextRefreshAt - bridge.clock.wallTime())
    answer(await bridge.carrier.request('INVITE'), bridge.carrier, 200, { body: farSdp, headers: aloneOnB })
    await bridge.carrier.request('ACK')
    const [[, later] = []] = await sessionsOf(bridge)
    expect(later?.deadlineAt).toBe(nextRefreshAt + seconds(1768))
    expect(later?.nextRefreshAt).toBeGreaterThan(nextRefreshAt)
  })

  it('leg by leg: each leg its own', async () => {
    const { bridge } = await connect(open, asks(''), [['Session-Expires', '2400;refresher=uas']], {
      timer: { mode: 'LegByLeg' },
    })
    const [[onA, onB] = []] = await sessionsOf(bridge)
    expect(onA).toMatchObject({ refresher: 'PeerA', intervalSeconds: 1800 })
    expect(onB).toMatchObject({ refresher: 'PeerB', intervalSeconds: 2400 })
  })

  it('without a timer, and with timers disabled: says so', async () => {
    const plain = await connect(open, [], [])
    expect(await sessionsOf(plain.bridge)).toEqual([[{ because: 'none agreed' }, { because: 'none agreed' }]])
    const disabled = await connect(open, [], [], { timer: { mode: 'Disabled' } })
    const because = 'session timers are disabled here'
    expect(await sessionsOf(disabled.bridge)).toEqual([[{ because }, { because }]])
  })

  it('one that rings: its legs, its route and why, before any timer', async () => {
    const { bridge } = await connect(open, asks('uac'), says('uac'))
    const second = new Party({
      peer: bridge.pbx,
      port: bridge.portOf('inside'),
      callId: 'one-that-rings',
      localTag: 'near-tag',
      target: bridge.uriOf('inside', '3000'),
    })
    second.invite({ body: sdp, headers: asks('uac') })
    answer(await bridge.carrier.request('INVITE'), bridge.carrier, 180)
    await bridge.pbx.response(180, 'INVITE')
    const records = await shown(bridge)
    expect(records.map(({ state }) => state)).toEqual(['Up', 'Ringing'])
    for (const record of records) {
      expect(record).toMatchObject({ legA: { trunk: 'pbx' }, legB: { trunk: 'carrier', target: 't0' } })
      expect(record.because.length).toBeGreaterThan(0)
      expect(record.legA.session.because).not.toBe('')
      expect(record.legB?.session.because).not.toBe('')
    }
  })
})
