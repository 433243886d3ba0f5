import { describe, expect, it } from 'vitest'
import type { Clock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { TrunkCounters } from './counters.ts'
import { unknownHealth } from './keepalive.ts'
import type { Outside } from './outside.ts'
import { Pace } from './pace.ts'
import { ProbeSession } from './probe-session.ts'
import { HostResolution } from './resolution.ts'
import { ScriptedPort } from './scripted-port.ts'
import { granting } from './scripted-registrar.ts'
import { configOf, registration, runTrunks, settle, target, trunk, addressesOf } from './trunks-fixture.ts'

const keepalive = { ...trunk().keepalive, failureThreshold: 1 }

/** A clock whose timers come late: the process stands still until `wake`. */
class StandingClock implements Clock {
  #now = 0
  readonly #timers: { due: number; run: () => void }[] = []
  now = () => this.#now
  wallTime = () => this.#now
  after(milliseconds: number, run: () => void) {
    const timer = { due: this.#now + milliseconds, run }
    this.#timers.push(timer)
    return { cancel: () => void this.#timers.splice(this.#timers.indexOf(timer), 1) }
  }
  wake(milliseconds: number): void {
    this.#now += milliseconds
    for (const timer of this.#timers.filter(({ due }) => due <= this.#now)) {
      this.#timers.splice(this.#timers.indexOf(timer), 1)
      timer.run()
    }
  }
}

describe('a replica that stood still', () => {
  it.each([
    [4400, 'Down'],
    [9000, 'Unknown'],
  ] as const)(
    'for %i ms of a timeout of 4 s makes a target %s: it may not have read the answer',
    (milliseconds, state) => {
      const clock = new StandingClock()
      const outside: Outside = {
        sip: new ScriptedPort(),
        clock,
        log: createLog({ level: 'error', name: 'test', write: () => undefined }),
        random: () => 0.5,
        token: () => 'token',
        resolution: new HostResolution({ clock, locate: () => Promise.reject(new Error('no DNS')) }),
        counters: new TrunkCounters(),
        probePace: new Pace(clock, 100),
        registerPace: new Pace(clock, 100),
        onChange: () => {},
        onAddresses: () => {},
      }
      const session = new ProbeSession(
        {
          peer: 'a',
          request: { method: 'OPTIONS', headers: [] },
          policy: keepalive,
          health: unknownHealth,
          since: 0,
          onResult() {},
        },
        outside,
      )
      session.start(0)
      clock.wake(0)
      clock.wake(milliseconds)
      expect(session.health.state).toBe(state)
      session.halt()
    },
  )
})

describe('200 trunks that fail at once', () => {
  const names = Array.from({ length: 200 }, (_, index) => `t${index}`)
  const config = configOf(
    names.map((name, index) =>
      trunk({
        name,
        keepalive,
        targets: [target({ host: `198.51.${Math.floor(index / 200)}.${(index % 200) + 1}` })],
        registrations: [registration({ number: `${index}` })],
      }),
    ),
  )

  it('are all down within an interval, and all back within another, with one probe and few REGISTERs each', () => {
    const run = runTrunks(config)
    run.sip.script = (request) => (request.method === 'OPTIONS' ? request.answer(200) : granting(3600)(request))
    run.clock.advance(10_000)
    const up = () => run.trunks.targets().filter(({ state }) => state === 'Up').length
    expect([up(), run.trunks.registrations().filter(({ state }) => state === 'Registered').length]).toEqual([200, 200])

    run.sip.script = (request) => request.answerLocally(408)
    const before = run.sip.sent.length
    run.clock.advance(60_000)
    expect(up()).toBe(0)
    // Registrations last: nothing is refreshed before its time.
    expect(run.sip.sent.length - before).toBeLessThanOrEqual(400)

    run.sip.script = (request) => (request.method === 'OPTIONS' ? request.answer(200) : granting(3600)(request))
    run.clock.advance(31_000)
    expect(up()).toBe(200)
    expect(run.trunks.registrations().every(({ state }) => state === 'Registered')).toBe(true)
  })
})

describe('a wall clock that is set', () => {
  it('moves no probe and no refresh', () => {
    const clock = new ManualClock()
    const run = runTrunks(configOf([trunk({ keepalive, targets: [target()], registrations: [registration()] })]), {
      clock,
    })
    run.sip.script = (request) => (request.method === 'OPTIONS' ? request.answer(200) : granting(100)(request))
    run.clock.advance(1000)
    const before = run.sip.sent.length
    clock.setWallTime(Date.UTC(2030, 0, 1))
    run.clock.advance(59_000)
    expect(run.sip.sent.slice(before).map(({ method }) => method)).toEqual([])
    run.clock.advance(30_000)
    expect(run.sip.sent.slice(before).map(({ method }) => method)).toEqual(['OPTIONS', 'REGISTER'])
    expect(run.trunks.registrations()[0]).toMatchObject({
      state: 'Registered',
      expiresAt: Date.UTC(2030, 0, 1) + 79_500 + 100_000,
    })
  })
})

describe('a DNS that flaps', () => {
  it('takes nothing away that answers', async () => {
    let works = true
    const run = runTrunks(configOf([trunk({ keepalive, targets: [target({ host: 'sip.carrier.example' })] })]), {
      resolve: () =>
        works
          ? Promise.resolve({ addresses: ['198.51.100.9'], ttlSeconds: 10 })
          : Promise.reject(Object.assign(new Error('no'), { code: 'ESERVFAIL' })),
    })
    run.sip.script = (request) => request.answer(200)
    await settle()
    run.clock.advance(1000)
    for (let turn = 0; turn < 20; turn++) {
      works = !works
      run.clock.advance(10_000)
      await settle()
      expect(run.trunks.usable('carrier', 'a')).toBe(true)
      expect(addressesOf(run.trunks, 'carrier', 'a')).toEqual(['198.51.100.9'])
    }
  })
})
