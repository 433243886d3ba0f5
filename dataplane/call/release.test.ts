import { describe, expect, it } from 'vitest'
import { createScenario, farSdp, sdp } from './testing/scenario.ts'

const busy = [['Reason', 'Q.850;cause=17;text="User busy"']] as const

describe('BYE', () => {
  it('of the caller is answered at once and passed on with its Reason', () => {
    const { sip, connect, fromA, calls, ended } = createScenario()
    const { invite, b } = connect()
    expect(fromA(invite, 'BYE', { headers: busy }).statuses).toEqual([200])
    expect(sip.last('BYE').request).toMatchObject({ dialogId: b.dialogId })
    expect(sip.last('BYE').header('Reason')).toBe(busy[0][1])
    expect(calls.list()[0]?.state).toBe('Ending')
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
    expect(ended).toEqual([{ kind: 'Released', by: 'A' }])
  })

  it('of the callee goes to the caller', () => {
    const { sip, connect, fromB, calls, ended } = createScenario()
    const { invite, b } = connect()
    expect(fromB(b, 'BYE').statuses).toEqual([200])
    expect(sip.last('BYE').request.dialogId).toBe(invite.openedDialog)
    sip.last('BYE').respond(481)
    expect(calls.count).toBe(0)
    expect(ended).toEqual([{ kind: 'Released', by: 'B' }])
  })

  it('of both at once is answered on both sides', () => {
    const { sip, connect, fromA, fromB, calls } = createScenario()
    const { invite, b } = connect()
    fromA(invite, 'BYE')
    expect(fromB(b, 'BYE').statuses).toEqual([200])
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })

  it('of the caller before its ACK ends both legs', () => {
    const { sip, invite, fromA, calls } = createScenario()
    const a = invite()
    sip.last('INVITE').respond(200, { body: farSdp('5000') })
    expect(fromA(a, 'BYE').statuses).toEqual([200])
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })

  it('of the caller before its ACK acknowledges a late offer of leg B all the same', () => {
    const { sip, invite, fromA } = createScenario()
    const a = invite({ body: 'none' })
    const b = sip.last('INVITE')
    b.respond(200, { body: farSdp('5000') })
    fromA(a, 'BYE')
    expect(b.acks).toEqual([{ body: undefined }])
    expect(sip.last('BYE').request.dialogId).toBe(b.dialogId)
  })

  it('of the callee before the ACK of the caller waits for it (RFC 3261 section 15)', () => {
    const { sip, invite, fromB, ack, calls } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(200, { body: farSdp('5000') })
    fromB(b, 'BYE', { headers: busy })
    expect(sip.all('BYE')).toEqual([])
    ack(a)
    expect(sip.last('BYE').request.dialogId).toBe(a.openedDialog)
    expect(sip.last('BYE').header('Reason')).toBe(busy[0][1])
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })

  it('in an early dialog answers the INVITE with 487 first (feature item 1)', () => {
    const { sip, invite, fromA, calls } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(180)
    const bye = fromA(a, 'BYE', { headers: busy })
    expect([a.statuses, bye.statuses]).toEqual([[180, 487], [200]])
    expect(b.cancelled).toEqual(busy)
    b.respond(487)
    expect(calls.count).toBe(0)
  })

  it('with a re-INVITE pending answers that with 487 first (RFC 3261 section 15.1.2)', () => {
    const { sip, connect, fromA, calls } = createScenario()
    const { invite, b } = connect()
    const again = fromA(invite, 'INVITE', { body: sdp('4002', 2) })
    const onB = sip.last('INVITE')
    expect(fromA(invite, 'BYE').statuses).toEqual([200])
    expect(again.statuses).toEqual([487])
    expect(sip.last('BYE').request.dialogId).toBe(b.dialogId)
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(1)
    onB.respond(487)
    expect(calls.count).toBe(0)
    expect(again.statuses).toEqual([487])
  })

  it('with a re-INVITE of the other side pending ends that one, too; its 200 is acknowledged', () => {
    const { sip, connect, fromA, fromB, calls } = createScenario()
    const { invite, b } = connect()
    const again = fromB(b, 'INVITE', { body: farSdp('5002', 2) })
    const onA = sip.last('INVITE')
    fromA(invite, 'BYE')
    expect(again.statuses).toEqual([487])
    onA.respond(200, { body: sdp('4000') })
    expect(onA.acks).toHaveLength(1)
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
  })

  it('that is not answered leaves nothing behind', () => {
    const { sip, connect, fromA, calls, clock } = createScenario()
    fromA(connect().invite, 'BYE')
    sip.last('BYE').respond(408, { local: true })
    expect([calls.count, clock.pending]).toEqual([0, 0])
  })
})

it('a dialog that the server tells of after the call is over is nobody`s', () => {
  const { sip, invite, calls } = createScenario()
  const a = invite()
  const b = sip.last('INVITE')
  b.respond(180)
  a.cancel()
  b.respond(487)
  expect(calls.count).toBe(0)
  a.answers[0]?.onDialog?.('late')
  expect(sip.receive({ method: 'UPDATE', dialogId: 'late' }).statuses).toEqual([481])
})

describe('a lost dialog', () => {
  it('of the caller, whose ACK never came, ends the call', () => {
    const { sip, invite, calls, ended } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(200, { body: farSdp('5000') })
    sip.loseDialog(a.openedDialog)
    expect(sip.all('BYE').map(({ request }) => request.dialogId)).toEqual([b.dialogId])
    expect(sip.last('BYE').header('Reason')).toBe('SIP;cause=408;text="No answer"')
    sip.last('BYE').respond(200)
    expect(calls.count).toBe(0)
    expect(ended).toEqual([{ kind: 'Lost', leg: 'A' }])
  })

  it('of the callee ends the call', () => {
    const { sip, connect, ended } = createScenario()
    const { invite, b } = connect()
    sip.loseDialog(b.dialogId)
    expect(sip.last('BYE').request.dialogId).toBe(invite.openedDialog)
    expect(ended).toEqual([{ kind: 'Lost', leg: 'B' }])
  })

  it('of nobody is nobody`s', () => {
    const { sip, connect, calls } = createScenario()
    connect()
    sip.loseDialog('unknown')
    expect(calls.list()[0]?.state).toBe('Up')
  })

  it('takes every call with it when the SIP server goes', () => {
    const { sip, connect, calls, ended } = createScenario()
    connect()
    connect()
    sip.disconnect()
    expect(calls.count).toBe(0)
    expect(sip.all('BYE')).toEqual([])
    expect(ended).toHaveLength(2)
  })

  it('takes every call with it when the SIP server goes, though an error meets the end of the first', () => {
    const { sip, connect, calls, ended, errors } = createScenario()
    connect()
    connect()
    const push = ended.push.bind(ended)
    let broken = false
    ended.push = (...causes) => {
      if (broken) return push(...causes)
      broken = true
      throw new Error('broken')
    }
    sip.disconnect()
    expect([calls.count, ended.length, errors.length]).toEqual([0, 1, 1])
  })
})

describe('draining', () => {
  it('refuses new calls with 503 and Retry-After, and OPTIONS with it; calls that are up go on', () => {
    const { sip, invite, connect, fromA, calls } = createScenario()
    const { invite: up } = connect()
    calls.refuseNewCalls()
    expect(invite().lastAnswer).toEqual({ status: 503, headers: [['Retry-After', '10']] })
    fromA(up, 'INFO')
    expect(sip.all('INFO')).toHaveLength(1)
  })

  it('ends every call, in whatever state it is, and tells when the last is gone', async () => {
    const { sip, invite, connect, calls, clock } = createScenario()
    const ringing = invite()
    const onB = sip.last('INVITE')
    onB.respond(180)
    const { b } = connect()
    const over = calls.endAll('drain')
    expect(ringing.statuses).toEqual([180, 503])
    expect(onB.cancelled).toBeDefined()
    expect(sip.all('BYE').map(({ request }) => request.dialogId)).toContain(b.dialogId)
    expect(sip.all('BYE')).toHaveLength(2)
    onB.respond(487)
    for (const bye of sip.all('BYE')) bye.respond(200)
    await over
    expect([calls.count, clock.pending]).toEqual([0, 0])
  })

  it('has nothing to wait for without calls', async () => {
    const { calls } = createScenario()
    await expect(calls.endAll('drain')).resolves.toBeUndefined()
  })
})

describe('requests that belong to no call', () => {
  const from = {
    uri: 'sip:203.0.113.1',
    source: { address: '10.66.0.5', port: 5060, transport: 'UDP' },
    receivedOn: { address: '203.0.113.1', port: 5060 },
  } as const

  it('OPTIONS of a peer gets 200 with what the fleet can do (RFC 3261 section 11.2), 503 while draining', () => {
    const { sip, calls } = createScenario()
    expect(sip.receive({ method: 'OPTIONS', ...from }).lastAnswer).toEqual({
      status: 200,
      headers: [
        ['Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK'],
        ['Accept', 'application/sdp'],
        ['Supported', 'timer, resource-priority, 100rel'],
      ],
    })
    calls.refuseNewCalls()
    expect(sip.receive({ method: 'OPTIONS', ...from }).statuses).toEqual([503])
  })

  it.each(['REGISTER', 'MESSAGE', 'SUBSCRIBE', 'NOTIFY', 'PUBLISH', 'REFER', 'INFO'])(
    '%s gets 405 with Allow',
    (method) => {
      const { sip } = createScenario()
      expect(sip.receive({ method, ...from }).lastAnswer).toEqual({
        status: 405,
        headers: [['Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK']],
      })
    },
  )

  it.each(['OPTIONS', 'REGISTER', 'MESSAGE'])('%s of a stranger gets nothing (feature item 29.4)', (method) => {
    const { sip } = createScenario()
    const source = { address: '203.0.113.66', port: 5060, transport: 'UDP' } as const
    expect(sip.receive({ method, ...from, source }).answers).toEqual([])
  })

  it.each([
    ['BYE', [481], []],
    ['OPTIONS', [481], []],
    ['INVITE', [481], [403]],
    ['ACK', [], []],
  ])(
    '%s with a To tag of no dialog gets %j of a peer, %j of a stranger (RFC 3261 section 12.2.2, feature item 29.4)',
    (method, known, unknown) => {
      const { sip, calls } = createScenario()
      const stray = { ...from, method, headers: [['To', '<sip:b@far>;tag=never-given']] } as const
      const source = { address: '203.0.113.66', port: 5060, transport: 'UDP' } as const
      expect(sip.receive(stray).statuses).toEqual(known)
      expect(sip.receive({ ...stray, receivedOn: undefined }).statuses).toEqual(known)
      expect(sip.receive({ ...stray, source }).statuses).toEqual(unknown)
      expect(sip.receive({ ...stray, source, receivedOn: undefined }).statuses).toEqual(unknown)
      expect(calls.count).toBe(0)
    },
  )

  it('a request in a dialog nobody knows gets 481, an ACK nothing', () => {
    const { sip } = createScenario()
    expect(sip.receive({ method: 'BYE', dialogId: 'unknown' }).statuses).toEqual([481])
    expect(sip.receive({ method: 'ACK', dialogId: 'unknown' }).answers).toEqual([])
  })

  it('before the first configuration everything gets 503', () => {
    const scenario = createScenario()
    scenario.running = undefined
    expect(scenario.invite().statuses).toEqual([503])
  })
})
