import { describe, expect, it } from 'vitest'
import { Secret } from '#lib/secret.ts'
import { granting, registrar } from './scripted-registrar.ts'
import { configOf, registration, runTrunks, trunk } from './trunks-fixture.ts'

const carrier = trunk({ registrations: [registration()] })
const contact = '<sip:+15550100@192.0.2.1:5060>'

type Run = ReturnType<typeof runTrunks>

function stateOf({ trunks }: Run) {
  return trunks.registrations()[0]
}

describe('an account', () => {
  it('answers only the realm it is for, and says which one it was asked for (registration check 2)', () => {
    const run = runTrunks(configOf([trunk({ registrations: [registration({ realm: 'other.example' })] })]))
    run.sip.script = registrar({ password: 'pa55' }).answer
    run.clock.advance(1000)
    expect(run.sip.sent).toHaveLength(1)
    expect(stateOf(run)).toMatchObject({
      failure: 'AuthFailed',
      detail: '401 with a challenge for realm "carrier.example", but the account is for "other.example"',
    })
    run.apply(configOf([trunk({ registrations: [registration({ realm: 'carrier.example' })] })]))
    expect(stateOf(run)?.state).toBe('Registered')
  })

  it('is refreshed after the part of its lifetime that is configured', () => {
    const run = runTrunks(configOf([trunk({ registrations: [registration({ refreshPercent: 50 })] })]))
    run.sip.script = granting(100)
    run.clock.advance(500 + 49_999)
    expect(run.sip.sent).toHaveLength(1)
    run.clock.advance(1)
    expect(run.sip.sent).toHaveLength(2)
  })

  it('that stands for many numbers registers a Contact without user (RFC 6140 section 5.2)', () => {
    const run = runTrunks(configOf([trunk({ registrations: [registration({ bulk: true, contactUser: '' })] })]))
    run.sip.script = granting(100)
    run.clock.advance(500)
    expect(run.sip.last.get('Contact')).toBe('<sip:192.0.2.1:5060;bnc>')
    expect(run.sip.last.get('Require')).toBe('gin')
    expect(run.sip.last.get('Proxy-Require')).toBe('gin')
    expect(run.sip.last.get('Supported')).toBe('path, gin')
    expect(stateOf(run)?.expiresAt).toBe(run.clock.wallTime() + 100_000)
  })

  it('with a random Contact registers that', () => {
    const run = runTrunks(configOf([trunk({ registrations: [registration({ contactUser: 'c0ffee' })] })]))
    run.clock.advance(500)
    expect(run.sip.last.get('Contact')).toBe('<sip:c0ffee@192.0.2.1:5060>')
    expect(run.sip.last.get('To')).toBe('<sip:+15550100@198.51.100.1>')
  })

  it('reports the Service-Route it was given (RFC 3608 section 5)', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) =>
      request.answer(200, [
        ['Contact', `${contact};expires=100`],
        ['Service-Route', '<sip:a.example;lr>, <sip:b.example;lr>'],
      ])
    run.clock.advance(500)
    expect(stateOf(run)?.binding).toEqual({
      contact: 'sip:+15550100@192.0.2.1:5060',
      callId: 'token1',
      cseq: 1,
      expiresAt: run.clock.wallTime() + 100_000,
      serviceRoute: ['<sip:a.example;lr>', '<sip:b.example;lr>'],
    })
  })
})

describe('a registrar over TLS', () => {
  it('whose certificate is wrong is no silent one', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => request.answerLocally(503, 'self-signed certificate')
    run.clock.advance(1000)
    expect(stateOf(run)).toMatchObject({ failure: 'TlsFailed', state: 'Unregistered' })
  })
})

describe('answers that registrars should not give', () => {
  it('twice leave one binding for the time asked for', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => [request.answer(200), request.answer(200)]
    run.clock.advance(500)
    expect(stateOf(run)).toMatchObject({ state: 'Registered', expiresAt: run.clock.wallTime() + 3_600_000 })
    expect(run.sip.sent).toHaveLength(1)
    run.clock.advance(2_879_000)
    expect(run.sip.sent).toHaveLength(1)
  })

  it('after the request was given up change nothing', () => {
    const run = runTrunks(configOf([carrier]))
    run.clock.advance(500)
    const late = run.sip.last
    run.clock.advance(35_000)
    expect(stateOf(run)).toMatchObject({ state: 'Unregistered', failure: 'NoAnswer' })
    late.answer(200)
    expect(stateOf(run)?.state).toBe('Unregistered')
  })

  it('as 3xx are refusals that say what to do', () => {
    const run = runTrunks(configOf([carrier]))
    run.sip.script = (request) => request.answer(302, [['Contact', '<sip:203.0.113.1>']], 'Moved Temporarily')
    run.clock.advance(500)
    expect(stateOf(run)).toMatchObject({
      failure: 'Rejected',
      detail: '302 Moved Temporarily: redirections are not followed; name that registrar',
    })
  })

  it('with other credentials in force between challenge and answer are answered with the new ones next', () => {
    const run = runTrunks(configOf([carrier]))
    const peer = registrar({ password: 'pa66' })
    run.clock.advance(500)
    const first = run.sip.last
    run.apply(configOf([trunk({ registrations: [registration({ password: new Secret('pa66') })] })]))
    run.sip.script = peer.answer
    peer.answer(first)
    expect(stateOf(run)?.state).toBe('Registered')
  })
})
