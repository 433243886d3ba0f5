import { expect, it } from 'vitest'
import { Readiness } from './ready.ts'

it('is ready when every named task is done, and names those that are open', () => {
  const readiness = new Readiness()
  let changes = 0
  readiness.onChange(() => changes++)
  const haveSnapshot = readiness.task('first configuration')
  const haveEngine = readiness.task('SIP engine')
  haveSnapshot()
  haveSnapshot()
  expect(readiness.ready).toBe(false)
  expect(readiness.waitingFor).toEqual(['SIP engine'])
  haveEngine()
  expect(readiness.ready).toBe(true)
  expect(changes).toBe(2)
})
