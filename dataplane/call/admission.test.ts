import { describe, expect, it } from 'vitest'
import type { Admission, TrunkAdmission } from '#api/admission.ts'
import { createScenario } from './testing/scenario.ts'

function limited(limits: { fleet?: Admission; pbx?: TrunkAdmission; carrier?: TrunkAdmission }) {
  const scenario = createScenario()
  const config = scenario.running
  if (config === undefined) throw new Error('the scenario has no configuration')
  const trunks = new Map(
    [...config.trunks].map(([name, trunk]) => {
      const admission = name === 'pbx' ? limits.pbx : name === 'carrier' ? limits.carrier : undefined
      return [name, { ...trunk, ...(admission && { admission }) }]
    }),
  )
  scenario.running = { ...config, trunks, admission: limits.fleet }
  return scenario
}

const refused = { status: 503, headers: [['Retry-After', '5']] }

describe('how many calls there may be (feature item 29.3)', () => {
  it.each([
    ['of the fleet', { fleet: { maxCalls: 2 } }],
    ['from a trunk', { pbx: { maxCallsInbound: 2 } }],
  ])('%s: the next gets 503, those before it go on, and one that ends makes room', (_of, limits) => {
    const { sip, calls, invite } = limited(limits)
    const first = invite()
    invite()
    const second = sip.last('INVITE')
    expect(invite().lastAnswer).toMatchObject(refused)
    expect(calls.count).toBe(2)
    expect(first.statuses).not.toContain(503)
    second.respond(486)
    expect(invite().statuses).not.toContain(503)
  })

  it.each([
    ['to a trunk', { maxCallsOutbound: 2 }],
    ['with a trunk', { maxCalls: 2 }],
    ['that are sent to it at once', { callsPerSecondOutbound: 1, burstOutbound: 2 }],
  ])('%s: the next is not sent to any of its targets and gets 503', (_what, carrier) => {
    const { sip, calls, invite, clock } = limited({ carrier })
    const first = invite()
    invite()
    const second = sip.last('INVITE')
    const third = invite()
    expect(sip.last('INVITE')).toBe(second)
    expect(third.lastAnswer).toMatchObject(refused)
    expect(calls.count).toBe(2)
    expect(first.statuses).not.toContain(503)
    second.respond(486)
    clock.advance(1000)
    expect(invite().statuses).not.toContain(503)
  })

  it('a call that a target has refused with 503 is not told when to come again', () => {
    const { sip, invite } = createScenario({ targets: 1 })
    const call = invite()
    sip.last('INVITE').respond(503, { headers: [['Retry-After', '60']] })
    expect(call.lastAnswer.headers?.map(([name]) => name)).not.toContain('Retry-After')
  })

  it('a call that is hunted from target to target of one trunk counts once', () => {
    const { sip, invite } = limited({ carrier: { maxCallsOutbound: 1, callsPerSecondOutbound: 1, burstOutbound: 1 } })
    const call = invite()
    const first = sip.last('INVITE')
    first.respond(503)
    expect(sip.last('INVITE')).not.toBe(first)
    expect(call.statuses).not.toContain(503)
  })
})
