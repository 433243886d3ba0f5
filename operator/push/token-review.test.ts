import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { identityOf, tokenReview } from './token-review.ts'

const status = (username: string, pod: string | undefined, changes: object = {}) => ({
  authenticated: true,
  audiences: ['sbcfleet.dev/control'],
  user: { username, extra: pod === undefined ? {} : { 'authentication.kubernetes.io/pod-name': [pod] } },
  ...changes,
})
const account = 'system:serviceaccount:voice:edge-replica'

describe('the identity of a replica', () => {
  it('is that of its pod, in the fleet of its ServiceAccount', () => {
    expect(identityOf(status(account, 'edge-12'))).toEqual({ fleet: 'voice/edge', replica: 'edge-12' })
  })

  it.each<[string, Parameters<typeof identityOf>[0]]>([
    ['is not authenticated', status(account, 'edge-0', { authenticated: false })],
    ['is for somebody else', status(account, 'edge-0', { audiences: ['https://kubernetes.default.svc'] })],
    ['is of a user', status('admin', 'edge-0')],
    ['is of another ServiceAccount', status('system:serviceaccount:voice:default', 'edge-0')],
    ['is bound to no pod', status(account, undefined)],
    ['is of a pod of another fleet', status(account, 'other-0')],
    ['is of a pod that is no replica', status(account, 'edge-shell')],
    ['was not looked at', undefined],
  ])('is refused when the token %s', (_what, given) => {
    expect(identityOf(given)).toBeUndefined()
  })

  it('is not asked for without a token', async () => {
    const api = { create: () => Promise.reject(new Error('must not be asked')) }
    const authenticate = tokenReview(api)
    expect(await authenticate({ headers: {} } as IncomingMessage)).toBeUndefined()
    expect(await authenticate({ headers: { authorization: 'Basic eA==' } } as IncomingMessage)).toBeUndefined()
  })
})
