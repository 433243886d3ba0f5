import { expect, it } from 'vitest'
import { createScenario } from './testing/scenario.ts'

it('the call after the last that a trunk may have gets 503, those before it go on, and one that ends makes room (feature item 29.3)', () => {
  const { sip, calls, invite, running } = createScenario()
  const pbx = running?.trunks.get('pbx')
  if (pbx === undefined) throw new Error('the scenario has no trunk pbx')
  Object.assign(pbx, { admission: { maxCallsInbound: 2 } })
  const first = invite()
  invite()
  const second = sip.last('INVITE')
  const third = invite()
  expect(third.lastAnswer).toMatchObject({ status: 503, headers: [['Retry-After', '5']] })
  expect(calls.count).toBe(2)
  expect(first.statuses).not.toContain(503)
  second.respond(486)
  expect(invite().statuses).not.toContain(503)
})
