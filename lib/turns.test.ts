import { expect, it } from 'vitest'
import { Turns } from './turns.ts'

it('lets no more run at once than there are turns, in order, and goes on after failures', async () => {
  const turns = new Turns(2)
  const begun: number[] = []
  const work = [0, 1, 2, 3].map(() => Promise.withResolvers<void>())
  const taken = work.map(({ promise }, index) =>
    turns.take(() => {
      begun.push(index)
      return promise
    }),
  )
  await Promise.resolve()
  expect(begun).toEqual([0, 1])
  work[1]?.reject(new Error('no'))
  await expect(taken[1]).rejects.toThrow('no')
  expect(begun).toEqual([0, 1, 2])
  for (const { resolve } of work) resolve()
  await Promise.all(taken.filter((_, index) => index !== 1))
  expect(begun).toEqual([0, 1, 2, 3])
})
