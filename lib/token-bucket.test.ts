import { describe, expect, it } from 'vitest'
import { TokenBucket } from './token-bucket.ts'

describe('a token bucket', () => {
  const rate = { perSecond: 10, burst: 3 }
  const taken = (bucket: TokenBucket, now: number, times: number) =>
    Array.from({ length: times }, () => bucket.take(rate, now)).filter(Boolean).length

  it('gives its burst at once, and then what the rate allows', () => {
    const bucket = new TokenBucket(rate, 0)
    expect(taken(bucket, 0, 10)).toBe(3)
    expect(taken(bucket, 99, 10)).toBe(0)
    expect(taken(bucket, 100, 10)).toBe(1)
    expect(taken(bucket, 350, 10)).toBe(2)
  })

  it('holds no more than its burst, however long nothing was taken', () => {
    const bucket = new TokenBucket(rate, 0)
    expect(taken(bucket, 3_600_000, 10)).toBe(3)
  })

  it('follows a rate that changes', () => {
    const bucket = new TokenBucket({ perSecond: 0, burst: 0 }, 0)
    expect(bucket.take({ perSecond: 0, burst: 0 }, 1000)).toBe(false)
    expect(bucket.take({ perSecond: 1, burst: 1 }, 2000)).toBe(true)
  })
})
