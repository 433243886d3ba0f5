import { describe, expect, it } from 'vitest'
import { rendezvousOwner } from '#lib/hash.ts'
import { Secret } from '#lib/secret.ts'
import { credentialsOf, granting, registrar } from './scripted-registrar.ts'
import { configOf, listener, registration, runTrunks, settle, trunk } from './trunks-fixture.ts'

const carrier = trunk({ registrations: [registration()] })
const contact = '<sip:+15550100@192.0.2.1:5060>'

type Run = ReturnType<typeof runTrunks>

function stateOf({ trunks }: Run) {
  return trunks.registrations()[0]
}

describe('ownership', () => {
  const members = ['edge-0', 'edge-1', 'edge-2']
  const owner = rendezvousOwner('carrier/main/primary', members) ?? ''
  const other = members.find((member) => member !== owner) ?? ''

  it('gives every registration to one of the replicas (registration check 5)', () => {
    const runs = members.map((replica) => runTrunks(configOf([carrier]), { replica, members }))
    for (const run of runs) run.clock.advance(1000)
    expect(runs.map((run) => run.sip.sent.length)).toEqual(members.map((member) => (member === owner ? 1 : 0)))
    expect(runs.map((run) => run.trunks.registrations().length)).toEqual(
      members.map((member) => (member === owner ? 1 : 0)),
    )
  })

  it('waits until the members are known, and takes an empty list for none', () => {
    const run = runTrunks(configOf([carrier]), { members: [] })
    run.trunks.setMembers(1, [])
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    run.trunks.setMembers(1, ['edge-0'])
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(1)
    run.trunks.setMembers(2, [])
    expect(run.trunks.registrations()).toHaveLength(1)
  })

  const heirOf = (before: string) => ({
    trunk: 'carrier',
    account: 'main',
    registrar: 'primary',
    replica: before,
    contact: 'sip:+15550100@192.0.2.7:5060',
    callId: 'the call-id',
    cseq: 40,
    expiresAt: Date.UTC(2026, 0, 2),
    serviceRoute: [],
  })
  const told = (binding: ReturnType<typeof heirOf>) => ({ findings: [], bindings: [binding], whole: false })

  it('that passes to another replica keeps our binding until that one has replaced it', () => {
    const run = runTrunks(configOf([carrier]), { replica: other, members: [other] })
    const peer = registrar({ password: 'pa55' })
    run.sip.script = peer.answer
    run.clock.advance(1000)
    run.trunks.setMembers(2, members)
    expect(run.trunks.registrations()).toEqual([])
    run.clock.advance(7000)
    expect(peer.bindings).toEqual(new Map([[contact, 3600]]))
    run.trunks.setFindings(told(heirOf(owner)))
    run.clock.advance(10_000_000)
    expect(run.sip.sent).toHaveLength(2)
    expect(run.clock.pending).toBe(0)
  })

  it('that no other replica takes removes our Contact after 8 s, and only ours (RFC 3261 section 10.2.2)', () => {
    const run = runTrunks(configOf([carrier]), { replica: other, members: [other] })
    const peer = registrar({ password: 'pa55' })
    run.sip.script = peer.answer
    run.clock.advance(1000)
    run.trunks.setMembers(2, members)
    run.clock.advance(8000)
    expect(peer.bindings).toEqual(new Map([[contact, 0]]))
    expect(credentialsOf(run.sip.last)).toMatchObject({ nonce: 'nonce-1', nc: '00000002' })
  })

  it('goes on with the Call-ID of the owner before, CSeq higher, and takes its Contact away in one REGISTER', () => {
    const run = runTrunks(configOf([carrier]), { replica: other, members })
    run.trunks.setFindings(told(heirOf(owner)))
    run.sip.script = (request) => request.answer(200, [['Contact', `${contact};expires=3600`]])
    run.trunks.setMembers(1, [other])
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(1)
    expect(run.sip.last.get('Call-ID')).toBe('the call-id')
    expect(run.sip.last.get('CSeq')).toBe('57 REGISTER')
    expect(run.sip.last.get('Contact')).toBe(`${contact}, <sip:+15550100@192.0.2.7:5060>;expires=0`)
    run.clock.advance(2_880_000)
    expect(run.sip.last.get('Contact')).toBe(contact)
    expect(run.sip.last.get('CSeq')).toBe('58 REGISTER')
  })

  it('that a replica held in an earlier life, at another address, is replaced in the same way', () => {
    const run = runTrunks(configOf([carrier]), { replica: owner, members: [] })
    run.trunks.setFindings(told(heirOf(owner)))
    run.sip.script = granting(3600)
    run.trunks.setMembers(1, members)
    run.clock.advance(1000)
    expect(run.sip.sent.map((request) => request.get('Contact'))).toEqual([
      `${contact}, <sip:+15550100@192.0.2.7:5060>;expires=0`,
    ])
    run.trunks.setFindings(told({ ...heirOf(owner), contact: 'sip:+15550100@192.0.2.1:5060', cseq: 60 }))
    run.apply(configOf([trunk({ registrations: [registration({ number: '+15550199' })] })]))
    run.clock.advance(1000)
    expect(run.sip.last.get('Contact')).toBe('<sip:+15550199@192.0.2.1:5060>')
    expect(run.sip.last.get('Call-ID')).not.toBe('the call-id')
  })

  it('takes over without the old Contact where the registrar refuses two', () => {
    const run = runTrunks(configOf([carrier]), { replica: other, members })
    run.trunks.setFindings(told(heirOf(owner)))
    run.sip.script = (request) => {
      if (request.get('Contact') === contact) granting(3600)(request)
      else request.answer(400)
    }
    run.trunks.setMembers(1, [other])
    run.clock.advance(1000)
    expect(stateOf(run)?.state).toBe('Registered')
  })

  it('is handed over before a replica ends, which waits 3 s for that at most', async () => {
    const run = runTrunks(configOf([carrier]), { replica: owner, members })
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    let over = 0
    void run.trunks.handOver().then(() => over++)
    run.trunks.setMembers(2, [other])
    await settle()
    expect(over).toBe(0)
    run.trunks.setFindings(told(heirOf(other)))
    await settle()
    expect(over).toBe(1)
    await run.trunks.stop()
    expect(run.sip.sent.map((request) => request.get('Expires'))).toEqual(['3600'])

    const alone = runTrunks(configOf([carrier]), { replica: owner, members })
    alone.sip.script = granting(3600)
    alone.clock.advance(1000)
    void alone.trunks.handOver().then(() => over++)
    alone.clock.advance(2999)
    await settle()
    expect(over).toBe(1)
    alone.clock.advance(1)
    await settle()
    expect(over).toBe(2)
  })

  it('of many that start together is paced: 50 a second, so that no registrar sees a storm', () => {
    const many = Array.from({ length: 200 }, (_, index) => registration({ account: `a${index}`, number: `${index}` }))
    const run = runTrunks(configOf([trunk({ registrations: many })]), { random: () => 0 })
    run.clock.advance(1000)
    expect(run.sip.sent.length).toBeGreaterThanOrEqual(50)
    expect(run.sip.sent.length).toBeLessThanOrEqual(52)
    run.clock.advance(3000)
    expect(run.sip.sent).toHaveLength(200)
  })

  it('is taken over when its owner is gone', () => {
    const run = runTrunks(configOf([carrier]), { replica: other, members })
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    run.trunks.setMembers(1, [other])
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(1)
  })

  it('does not follow the members of a deposed leader', () => {
    const run = runTrunks(configOf([carrier]), { members: [] })
    run.trunks.setMembers(5, ['edge-0'])
    run.trunks.setMembers(4, ['edge-9'])
    expect(run.trunks.registrations()).toHaveLength(1)
  })

  it('that comes back at once goes on where it was, and nothing was removed', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.trunks.setMembers(2, ['edge-9'])
    run.trunks.setMembers(3, ['edge-0'])
    run.clock.advance(1000)
    expect(run.sip.sent.map((request) => request.get('Expires'))).toEqual(['3600', '3600'])
    expect(new Set(run.sip.sent.map((request) => request.get('Call-ID'))).size).toBe(1)
  })

  it('that comes back while the removal is out waits for it, since the two would meet at the registrar', async () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.sip.script = undefined
    run.apply(configOf([trunk()]))
    const removal = run.sip.last
    run.apply(configOf([carrier]))
    run.clock.advance(2000)
    expect(run.sip.sent).toHaveLength(2)
    removal.answer(200)
    await settle()
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(3)
    expect(run.sip.last.get('Expires')).toBe('3600')
  })

  it('that comes back waits 5 s at most', async () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.sip.script = undefined
    run.apply(configOf([trunk()]))
    run.apply(configOf([carrier]))
    run.clock.advance(5000)
    await settle()
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(3)
  })
})

describe('several registrars', () => {
  const first = registration({ registrar: 'first' })
  const second = registration({ registrar: 'second', host: '198.51.100.2' })
  const available = trunk({ registrations: [first, second], registrationPolicy: 'FirstAvailable' })
  const sentTo = ({ sip }: Run) => sip.sent.map(({ uri }) => uri?.slice('sip:198.51.100.'.length)).join('')
  const states = ({ trunks }: Run) => trunks.registrations().map(({ registrar, state }) => `${registrar} ${state}`)

  it('get a REGISTER each, with a Call-ID each (registrars check 1)', () => {
    const run = runTrunks(configOf([trunk({ registrations: [first, second] })]))
    run.clock.advance(1000)
    expect(sentTo(run)).toBe('12')
    expect(new Set(run.sip.sent.map((request) => request.get('Call-ID'))).size).toBe(2)
  })

  it('of which one goes away get only its removal (registrars check 6)', () => {
    const run = runTrunks(configOf([trunk({ registrations: [first, second] })]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.apply(configOf([trunk({ registrations: [first] })]))
    expect(sentTo(run)).toBe('122')
    expect(run.sip.last.get('Expires')).toBe('0')
  })

  it('are tried one after the other where the first that takes it is enough (registrars check 3)', () => {
    const run = runTrunks(configOf([available]))
    run.sip.script = (request) => {
      if (request.uri === 'sip:198.51.100.2') granting(3600)(request)
    }
    run.clock.advance(32_000)
    expect(sentTo(run)).toBe('1')
    expect(states(run)).toEqual(['first Pending', 'second Standby'])
    run.sip.last.answerLocally(408)
    run.clock.advance(1000)
    expect(sentTo(run)).toBe('12')
    expect(states(run)).toEqual(['first Unregistered', 'second Registered'])
  })

  it('are left for a better one that is back', () => {
    const run = runTrunks(configOf([available]))
    run.sip.script = (request) => (request.uri === 'sip:198.51.100.2' ? granting(3600)(request) : request.answer(503))
    run.clock.advance(2000)
    expect(states(run)).toEqual(['first Unregistered', 'second Registered'])
    run.sip.script = granting(3600)
    run.clock.advance(10_000)
    expect(states(run)).toEqual(['first Registered', 'second Standby'])
    expect(run.sip.last).toMatchObject({ uri: 'sip:198.51.100.2' })
    expect(run.sip.last.get('Expires')).toBe('0')
  })

  it('of one account are all with one replica', () => {
    const members = ['edge-0', 'edge-1', 'edge-2']
    const runs = members.map((replica) => runTrunks(configOf([available]), { replica, members }))
    for (const run of runs) {
      run.sip.script = (request) => request.answer(503)
      run.clock.advance(2000)
    }
    expect(runs.map(sentTo).toSorted()).toEqual(['', '', '12'])
  })
})

describe('the end of a registration', () => {
  it('that is taken out of the trunk sends Expires 0 with credentials, and nothing more (registration check 4)', () => {
    const run = runTrunks(configOf([carrier]))
    const peer = registrar({ password: 'pa55' })
    run.sip.script = peer.answer
    run.clock.advance(1000)
    run.apply(configOf([]))
    expect(run.sip.sent).toHaveLength(3)
    expect(run.sip.last.get('Expires')).toBe('0')
    expect(run.sip.last.get('Contact')).toBe(contact)
    expect(peer.bindings).toEqual(new Map([[contact, 0]]))
    expect(run.clock.pending).toBe(0)
  })

  it('answers a challenge of the removal', () => {
    const run = runTrunks(configOf([carrier]))
    const peer = registrar({ password: 'pa55' })
    run.sip.script = peer.answer
    run.clock.advance(1000)
    peer.nonce = 'nonce-2'
    run.apply(configOf([]))
    expect(peer.bindings).toEqual(new Map([[contact, 0]]))
  })

  it('that never was sends nothing', () => {
    const run = runTrunks(configOf([carrier]))
    run.apply(configOf([]))
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    expect(run.clock.pending).toBe(0)
  })

  it('waits for the REGISTER that is out, then removes what it bound (RFC 3261 section 10.2)', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(1000)
    run.apply(configOf([]))
    expect(run.sip.sent).toHaveLength(1)
    run.sip.last.answer(200)
    expect(run.sip.sent.map((request) => request.get('Expires'))).toEqual(['3600', '0'])
  })

  it('leaves the others alone, and is reported until the registrar has answered', async () => {
    const two = [registration(), registration({ account: 'second', number: '+15550101' })]
    const run = runTrunks(configOf([trunk({ registrations: two })]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.sip.script = () => undefined
    run.apply(configOf([trunk({ registrations: two.slice(1) })]))
    expect(run.sip.sent).toHaveLength(3)
    expect(run.sip.last.get('To')).toBe('<sip:+15550100@198.51.100.1>')
    expect(run.sip.last.get('Expires')).toBe('0')
    const states = () => run.trunks.registrations().map(({ account, state }) => `${account} ${state}`)
    expect(states()).toEqual(['second Registered', 'main Leaving'])
    const told = new Promise<void>((resolve) => run.trunks.onChange(resolve))
    run.sip.last.answer(200)
    await told
    expect(states()).toEqual(['second Registered'])
  })

  it.each([
    { what: 'number', changed: registration({ number: '+15550199' }) },
    { what: 'registrar', changed: registration({ host: '198.51.100.2' }) },
  ])('of another $what removes the old binding and makes the new one, without waiting', ({ changed }) => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.apply(configOf([trunk({ registrations: [changed] })]))
    run.clock.advance(1000)
    expect(run.sip.sent.map((request) => `${request.get('To')} ${request.get('Expires')}`)).toEqual([
      '<sip:+15550100@198.51.100.1> 3600',
      '<sip:+15550100@198.51.100.1> 0',
      `<sip:${changed.number}@${changed.host}> 3600`,
    ])
  })

  it('is not reached while the listener is not open, and the report says so', () => {
    const run = runTrunks(configOf([carrier], []))
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
    expect(stateOf(run)).toMatchObject({ state: 'Pending', detail: 'the listener udp is not open' })
    run.apply(configOf([carrier], [listener({ port: 5070 })]))
    run.clock.advance(1000)
    expect(run.sip.last.get('Contact')).toBe('<sip:+15550100@192.0.2.1:5070>')
  })
})

describe('stop', () => {
  it('removes what is registered, and settles with the answers', async () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    await run.trunks.stop()
    expect(run.sip.last.get('Expires')).toBe('0')
    expect(run.clock.pending).toBe(0)
  })

  it('settles after 2 s where no answer comes, and leaves no timer', async () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = granting(3600)
    run.clock.advance(1000)
    run.sip.script = undefined
    let settled = false
    const stopped = run.trunks.stop().then(() => (settled = true))
    run.clock.advance(1999)
    await settle()
    expect(settled).toBe(false)
    run.clock.advance(1)
    await stopped
    expect(run.clock.pending).toBe(0)
  })

  it('settles at once where nothing is registered, and nothing starts after it', async () => {
    const run = runTrunks(configOf([carrier]))
    await run.trunks.stop()
    run.apply(configOf([trunk({ registrations: [registration({ account: 'late' })] })]))
    run.trunks.setMembers(9, ['edge-0'])
    run.clock.advance(60_000)
    expect(run.sip.sent).toEqual([])
  })
})

describe('the log and the report', () => {
  it('never hold the password or a response', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = registrar({ password: 'pa55' }).answer
    run.clock.advance(1000)
    run.apply(configOf([trunk({ registrations: [registration({ password: new Secret('pa66') })] })]))
    const shown = JSON.stringify([run.logged, run.trunks.registrations()])
    expect(run.logged).not.toEqual([])
    expect(shown).not.toMatch(/pa55|pa66|response=/)
  })
})
