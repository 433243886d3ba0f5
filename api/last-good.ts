import { z } from 'zod'

/** A part of a manifest as a release took it, this one or another: who reads it checks it as if it had just been applied. */
const manifestPart = z
  .looseObject({})
  .meta({ 'x-kubernetes-preserve-unknown-fields': true, 'x-kubernetes-map-type': 'atomic' })

const generation = z.int().min(0).describe('Generation that it is of.')
const uid = z.string().min(1).max(128).describe('uid of the object that it is of: another one of its name has its own.')

/** `status.lastGood` of a SipTrunk. */
export const LastGoodTrunk = z.strictObject({
  uid,
  generation,
  spec: manifestPart.describe('The whole spec.'),
})
export type LastGoodTrunk = z.infer<typeof LastGoodTrunk>

/** `status.lastGood` of a VoiceService. */
export const LastGoodRoutes = z.strictObject({
  uid,
  routes: z
    .array(z.strictObject({ generation, route: manifestPart.describe('The whole route.') }))
    .max(1024)
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .describe('Routes that have turned invalid, in the order of today.'),
})
export type LastGoodRoutes = z.infer<typeof LastGoodRoutes>
