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

const ofUnknownDialog = [['To', '<sip:b@far>;tag=never-given']] as const
const ours = { method: 'INVITE', dialogId: 'd1', headers: [] } as const

describe('a server that lets everything through', () => {
  it.each(['BYE', 'INFO', 'OPTIONS', 'MESSAGE'])(
    'has %s of a dialog that nobody knows refused (RFC 3261 section 12.2.2)',
    (method) => {
      const { fake, seen } = open()
      expect(fake.receive({ method, headers: ofUnknownDialog }).statuses).toEqual([481])
      expect(seen).toEqual([])
    },
  )

  it('has no ACK answered, and requests outside a dialog let in', () => {
    const { fake, seen } = open()
    fake.receive({ method: 'ACK', headers: ofUnknownDialog })
    fake.receive({ method: 'OPTIONS', headers: [['To', '<sip:b@far>']] })
    expect(seen.map(({ method }) => method)).toEqual(['ACK', 'OPTIONS'])
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
