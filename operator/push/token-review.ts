import { Turns } from '#lib/turns.ts'
import type { KubeClient } from '../kube/client.ts'
import type { KubeObject, Resource } from '../kube/resource.ts'
import { tokenAudience, voiceServiceOfAccount } from '../resources/fleet.ts'
import type { Authenticate, Identity } from './authenticate.ts'

/** `TokenReview` of authentication.k8s.io/v1, as far as we read it. */
interface TokenReview extends KubeObject {
  readonly spec: { readonly token: string; readonly audiences: readonly string[] }
  readonly status?: {
    readonly authenticated?: boolean
    readonly audiences?: readonly string[]
    readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> }
  }
}

const tokenReviews: Resource<TokenReview> = {
  group: 'authentication.k8s.io',
  version: 'v1',
  kind: 'TokenReview',
  plural: 'tokenreviews',
  namespaced: false,
}

/** A thousand replicas that connect at once are no reason for a thousand connections to the API server. */
const reviewsAtOnce = 20

/**
 * Takes the pods of fleets by the token of their ServiceAccount, which must be made for us: the API server says whose it is.
 * A pod may speak for itself only, and only in the fleet that its ServiceAccount belongs to.
 */
export function tokenReview(api: Pick<KubeClient, 'create'>): Authenticate {
  const turns = new Turns(reviewsAtOnce)
  return async ({ headers }) => {
    const token = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1]
    if (token === undefined) return undefined
    // Nothing of a TokenReview is kept, so it needs no name.
    const asked = { metadata: { name: '' }, spec: { token, audiences: [tokenAudience] } }
    const review = await turns.take(() => api.create(tokenReviews, asked))
    return identityOf(review.status)
  }
}

/** Undefined when the token is not good, not for us, or not of a pod of a fleet. */
export function identityOf(status: TokenReview['status']): Identity | undefined {
  if (status?.authenticated !== true || status.audiences?.includes(tokenAudience) !== true) return undefined
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(status.user?.username ?? '') ?? []
  const pod = status.user?.extra?.['authentication.kubernetes.io/pod-name']?.[0]
  if (namespace === undefined || account === undefined || pod === undefined) return undefined
  const voiceService = voiceServiceOfAccount(account)
  if (voiceService === undefined || !isReplicaOf(pod, voiceService)) return undefined
  return { fleet: `${namespace}/${voiceService}`, replica: pod }
}

function isReplicaOf(pod: string, voiceService: string): boolean {
  return pod.startsWith(`${voiceService}-`) && /^[0-9]+$/.test(pod.slice(voiceService.length + 1))
}
