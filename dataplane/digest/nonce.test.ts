import { describe, expect, it } from 'vitest'
import { makeNonce, readNonce } from './nonce.ts'

const scope = { key: 'a key', realm: 'edge', address: '192.0.2.1' }
const now = Date.UTC(2026, 0, 1, 23, 59, 59)

describe('a nonce', () => {
  it('is known by whoever has the key, with the time it was made, on the next day too', () => {
    expect(readNonce(makeNonce(scope, now), { ...scope })).toEqual({ madeAt: now })
    expect(readNonce(makeNonce(scope, now + 2000), scope)).toEqual({ madeAt: now + 2000 })
  })

  it('is another one every time, also within a millisecond', () => {
    expect(new Set(Array.from({ length: 100 }, () => makeNonce(scope, now))).size).toBe(100)
  })

  it('needs no quoting in a header', () => {
    expect(makeNonce(scope, now)).toMatch(/^[\w-]{40}$/)
  })

  it.each([
    ['key', { key: 'another key' }],
    ['realm', { realm: 'elsewhere' }],
    ['address', { address: '192.0.2.2' }],
    ['realm that runs into the address', { realm: 'edge192', address: '.0.2.1' }],
  ])('is not that of another %s', (_what, changed) => {
    expect(readNonce(makeNonce(scope, now), { ...scope, ...changed })).toBeUndefined()
  })

  it('is not known with any bit changed', () => {
    const bytes = Buffer.from(makeNonce(scope, now), 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(readNonce(changed.toString('base64url'), scope)).toBeUndefined()
    }
  })

  it('has one spelling, so that nobody can have it counted anew', () => {
    const nonce = makeNonce(scope, now)
    for (const other of [`${nonce}=`, ` ${nonce}`, `${nonce}\n`, nonce.slice(0, -1), `${nonce}A`, '', 'ä'.repeat(40)]) {
      expect(readNonce(other, scope)).toBeUndefined()
    }
    const standard = Buffer.from(nonce, 'base64url').toString('base64')
    if (standard !== nonce) expect(readNonce(standard, scope)).toBeUndefined()
  })
})
