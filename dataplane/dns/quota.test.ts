import { expect, it } from 'vitest'
import { Quota } from './quota.ts'

it('a quota gives its places in order, is full when as many wait as may, and takes back the place of work that failed', async () => {
  const quota = new Quota({ atOnce: 1, waiting: 2 })
  const began: number[] = []
  const works = [1, 2, 3].map(() => Promise.withResolvers<void>())
  const fulls: boolean[] = []
  const runs = works.map(({ promise }, index) => {
    fulls.push(quota.full)
    return quota.run(() => {
      began.push(index)
      return promise
    })
  })
  expect([...fulls, quota.full]).toEqual([false, false, false, true])
  expect(began).toEqual([0])
  works[0]?.reject(new Error('broken'))
  await expect(runs[0]).rejects.toThrow('broken')
  expect(quota.full).toBe(false)
  works[1]?.resolve()
  works[2]?.resolve()
  await Promise.all(runs.slice(1))
  expect(began).toEqual([0, 1, 2])
  await expect(quota.run(async () => 'a free place')).resolves.toBe('a free place')
})
