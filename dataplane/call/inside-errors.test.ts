import { describe, expect, it } from 'vitest'
import { createScenario } from './testing/scenario.ts'

describe('an error inside the fleet', () => {
  it('ends the call it happens in, with 500 and CANCEL, and is logged', () => {
    const { sip, invite, calls, errors } = createScenario()
    const a = invite()
    const b = sip.last('INVITE')
    b.respond(180)
    const respond = a.respond.bind(a)
    let broken = false
    a.respond = (status, options) => {
      if (!broken) {
        broken = true
        throw new Error('broken')
      }
      respond(status, options)
    }
    b.respond(183)
    expect(a.statuses).toEqual([180, 500])
    expect(b.cancelled).toBeDefined()
    b.respond(487)
    expect(calls.count).toBe(0)
    expect(errors).toHaveLength(1)
  })

  it('in the middle of the end of a call ends it all the same', () => {
    const { sip, connect, fromA, calls, errors } = createScenario()
    const { invite } = connect()
    const send = sip.send.bind(sip)
    let broken = false
    sip.send = (request, events) => {
      if (!broken) {
        broken = true
        throw new Error('broken')
      }
      return send(request, events)
    }
    fromA(invite, 'BYE')
    expect([calls.count, errors.length]).toEqual([0, 1])
  })

  it('that every request meets fills no log: one line a second tells of it, and of how many came between', () => {
    const scenario = createScenario()
    const { running, invite, clock, errors } = scenario
    if (running === undefined) throw new Error('no configuration')
    scenario.running = {
      ...running,
      get listeners(): never {
        throw new Error('broken')
      },
    }
    const answers = [invite(), invite(), invite()].map(({ statuses }) => statuses)
    expect(answers).toEqual([[500], [500], [500]])
    expect(errors).toMatchObject([{ method: 'INVITE', heldBack: 0 }])
    clock.advance(1000)
    invite()
    expect(errors).toMatchObject([{}, { method: 'INVITE', heldBack: 2 }])
  })
})
