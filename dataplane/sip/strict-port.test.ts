import { describe, expect, it } from 'vitest'
import { FakeSipPort } from './fake-sip-port.ts'
import type { IncomingRequest, SipPortError } from './port.ts'
import { StrictPort } from './strict-port.ts'

function open() {
  const fake = new FakeSipPort()
  const port = new StrictPort(fake)
  const seen: IncomingRequest[] = []
  port.onRequest((request) => seen.push(request))
  return { fake, port, seen }
}

const ours = { method: 'INVITE', dialogId: 'd1', headers: [] } as const

describe('a server that lets everything through', () => {
  it.each(['ACK', 'BYE', 'INVITE', 'OPTIONS'])('has %s of no dialog let in, unanswered', (method) => {
    const { fake, seen } = open()
    const headers = [['To', '<sip:b@far>;tag=never-given']] as const
    expect(fake.receive({ method, headers }).statuses).toEqual([])
    expect(seen).toHaveLength(1)
  })

  it('has an INVITE that crosses one of ours refused, until ours is answered (RFC 3261 section 14.2)', () => {
    const { fake, port, seen } = open()
    port.send(ours, { onResponse: () => {}, onFailure: () => {} })
    expect(fake.receive({ method: 'INVITE', dialogId: 'd1' }).statuses).toEqual([491])
    expect(fake.receive({ method: 'INVITE', dialogId: 'd2' }).statuses).toEqual([])
    fake.last('INVITE').respond(180)
    expect(fake.receive({ method: 'INVITE', dialogId: 'd1' }).statuses).toEqual([491])
    fake.last('INVITE').respond(488)
    expect(fake.receive({ method: 'INVITE', dialogId: 'd1' }).statuses).toEqual([])
    expect(seen.map(({ dialogId }) => dialogId)).toEqual(['d2', 'd1'])
  })

  it('has an INVITE of ours kept back while one of the peer has no answer (RFC 3261 section 14.1)', async () => {
    const { fake, port, seen } = open()
    fake.receive({ method: 'INVITE', dialogId: 'd1' })
    const failed = new Promise<SipPortError>((resolve) => {
      port.send(ours, { onResponse: () => {}, onFailure: resolve })
    })
    expect(await failed).toMatchObject({ code: 'InviteInProgress' })
    expect(fake.all('INVITE')).toEqual([])
    seen[0]?.respond(200)
    port.send(ours, { onResponse: () => {}, onFailure: () => {} })
    expect(fake.all('INVITE')).toHaveLength(1)
  })

  it('has the ACK of a re-INVITE brought together with it (RFC 3261 section 13.2.2.4)', () => {
    const { fake, seen } = open()
    fake.receive({ method: 'INVITE', dialogId: 'd1' })
    seen[0]?.respond(200)
    fake.receive({ method: 'ACK', dialogId: 'd1', transactionId: 'made-up' })
    fake.receive({ method: 'ACK', dialogId: 'd1', transactionId: 'again' })
    const [invite, ...acks] = seen.map(({ transactionId }) => transactionId)
    expect(acks).toEqual([invite, 'again'])
  })

  it('has forgotten a dialog that the server ended by itself', () => {
    const { fake, port } = open()
    const lost: string[] = []
    port.onDialogLost((dialogId) => lost.push(dialogId))
    fake.receive({ method: 'INVITE', dialogId: 'd1' })
    fake.loseDialog('d1')
    expect(lost).toEqual(['d1'])
    port.send(ours, { onResponse: () => {}, onFailure: () => {} })
    expect(fake.all('INVITE')).toHaveLength(1)
  })

  it('has forgotten what was cancelled, and all of it when the server went away', () => {
    const { fake, port, seen } = open()
    const theirs = fake.receive({ method: 'INVITE', dialogId: 'd1' })
    seen[0]?.onCancel(() => {})
    theirs.cancel()
    port.send(ours, { onResponse: () => {}, onFailure: () => {} })
    expect(fake.all('INVITE')).toHaveLength(1)
    port.onDisconnect(() => {})
    fake.disconnect()
    expect(fake.receive({ method: 'INVITE', dialogId: 'd1' }).statuses).toEqual([])
  })
})
