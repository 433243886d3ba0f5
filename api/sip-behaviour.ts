import { z } from 'zod'

/**
 * SIP behaviour, the same schema at three levels: route > SipTrunk > VoiceService. An absent field inherits; an explicit
 * value, `false` included, overrides. What no level sets takes the value in `builtInBehaviour`.
 */
export const SipBehaviour = z.strictObject({
  maxForwards: z
    .int()
    .min(1)
    .max(70)
    .optional()
    .describe(
      'Hops a request may still take. Upper bound for the Max-Forwards that is carried from one leg to the other, less one (RFC 3261 section 8.1.1.6, RFC 7332).',
    ),
  timers: z
    .strictObject({
      noResponseMilliseconds: z
        .int()
        .min(500)
        .max(32_000)
        .optional()
        .describe('How long an INVITE may stay without any response before the next target is tried.'),
      inviteExpiresMilliseconds: z
        .int()
        .min(60_000)
        .max(1_800_000)
        .optional()
        .describe(
          'How long a call may ring. When it ends the target gets CANCEL and the caller 408 (RFC 3261 section 13.2.1). A smaller Expires of the caller wins.',
        ),
    })
    .optional()
    .describe('How long to wait for whom.'),
  errors: z
    .strictObject({
      keepaliveFailure: z
        .int()
        .min(400)
        .max(699)
        .optional()
        .describe(
          'Status code sent to the caller when every target of the route is down. Evaluated where the call comes in: on the trunk it comes from, or the route.',
        ),
    })
    .optional()
    .describe('Status codes of answers that the fleet makes up by itself.'),
})
export type SipBehaviour = z.infer<typeof SipBehaviour>

/** Behaviour with every field decided. Replicas get only this and never merge. */
export const ResolvedSipBehaviour = z.strictObject({
  maxForwards: z.int(),
  timers: z.strictObject({ noResponseMilliseconds: z.int(), inviteExpiresMilliseconds: z.int() }),
  errors: z.strictObject({ keepaliveFailure: z.int() }),
})
export type ResolvedSipBehaviour = z.infer<typeof ResolvedSipBehaviour>

/** The end of the chain of inheritance. */
export const builtInBehaviour: ResolvedSipBehaviour = {
  maxForwards: 70,
  timers: { noResponseMilliseconds: 4_000, inviteExpiresMilliseconds: 180_000 },
  errors: { keepaliveFailure: 503 },
}
