import { describe, expect, it } from 'vitest'
import { builtInBehaviour } from '#api/sip-behaviour.ts'
import { resolveBehaviour } from './resolve-behaviour.ts'

describe('resolveBehaviour', () => {
  it('is what is built in when no level says anything', () => {
    expect(resolveBehaviour()).toEqual(builtInBehaviour)
    expect(resolveBehaviour(undefined, {}, { timers: {} })).toEqual(builtInBehaviour)
  })

  it('takes each field from the most specific level that has it', () => {
    const route = { timers: { noResponseMilliseconds: 1000 } }
    const trunk = { timers: { noResponseMilliseconds: 2000, inviteExpiresMilliseconds: 90_000 } }
    const service = {
      maxForwards: 20,
      timers: { inviteExpiresMilliseconds: 60_000 },
      errors: { keepaliveFailure: 480 },
    }
    expect(resolveBehaviour(route, trunk, service)).toEqual({
      ...builtInBehaviour,
      maxForwards: 20,
      timers: { noResponseMilliseconds: 1000, inviteExpiresMilliseconds: 90_000 },
      errors: { keepaliveFailure: 480 },
    })
  })

  it('takes a list whole, and what is beside it from where it is', () => {
    const trunk = { hunting: { huntOn: { codes: [480] } } }
    const service = { hunting: { scheme: 'Random' as const, huntOn: { codes: [404], timeout: false } } }
    expect(resolveBehaviour(trunk, service).hunting).toEqual({
      scheme: 'Random',
      huntOn: { codes: [480], timeout: false },
      stopOn: [],
    })
  })

  it('leaves the levels and what is built in as they are', () => {
    const service = { errors: { keepaliveFailure: 480 } }
    resolveBehaviour({ errors: { keepaliveFailure: 500 } }, service)
    expect(service).toEqual({ errors: { keepaliveFailure: 480 } })
    expect(builtInBehaviour.errors.keepaliveFailure).toBe(503)
  })
})
