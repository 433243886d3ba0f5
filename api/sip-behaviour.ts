import { z } from 'zod'
import { setOf, withRules } from './fields.ts'
import { builtInMedia, mediaFields, resolvedMediaFields } from './media-behaviour.ts'
import { answersNeedMedia, builtInSession, resolvedSessionFields, sessionFields } from './session-behaviour.ts'

export const HuntingScheme = z.enum(['Priority', 'RoundRobin', 'Weighted', 'Random'])
export type HuntingScheme = z.infer<typeof HuntingScheme>

const RedirectMode = z.enum(['Consume', 'PassThrough', 'Reject'])
const RedirectScope = z.enum(['Trunk', 'Fleet'])
export const Reliable1xx = z.enum(['Supported', 'Require', 'Disabled'])
export type Reliable1xx = z.infer<typeof Reliable1xx>

const CodeRange = withRules(
  z.strictObject({
    from: z.int().min(400).max(699).describe('First status code.'),
    to: z.int().min(400).max(699).describe('Last status code.'),
  }),
  [
    {
      cel: 'self.from <= self.to',
      message: 'from must not be greater than to',
      path: () => ['from'],
      holds: ({ from, to }) => from <= to,
    },
  ],
)

/**
 * SIP behaviour, the same schema at three levels: route > SipTrunk > VoiceService. An absent field inherits; an explicit
 * value, `false` included, overrides. What no level sets takes the value in `builtInBehaviour`.
 */
export const SipBehaviour = withRules(
  z.strictObject({
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
            'How long a call may ring. When it ends the target gets CANCEL and the caller 408 (RFC 3261 section 13.2.1). A smaller Expires of the caller wins, and its end is 487 (section 13.3.1).',
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
        retryAfterSeconds: z
          .int()
          .min(1)
          .max(3600)
          .optional()
          .describe(
            'Retry-After in that answer, in seconds (RFC 3261 section 20.33). A caller that heeds it sends nothing to this fleet meanwhile. Absent: no Retry-After.',
          ),
        reasonQ850: z
          .int()
          .min(1)
          .max(127)
          .optional()
          .describe('Q.850 cause in the Reason of that answer (RFC 3326), as `Q.850;cause=41`. Absent: no Reason.'),
      })
      .optional()
      .describe('Answers that the fleet makes up by itself.'),
    hunting: z
      .strictObject({
        scheme: HuntingScheme.optional().describe(
          'In which order the targets of a trunk are tried. Priority: lower values of `priority` first, equals drawn by `weight`. RoundRobin: every call begins with the next one. Weighted: all are drawn by `weight`. Random: all are drawn alike. Only Priority looks at `priority`.',
        ),
        huntOn: z
          .strictObject({
            codes: setOf(z.int().min(400).max(699), { max: 64 })
              .optional()
              .describe('Status codes after which the next target is tried; every other one ends the call.'),
            timeout: z
              .boolean()
              .optional()
              .describe('Whether the next target is tried when nothing came, or nothing could be sent.'),
          })
          .optional()
          .describe('What sends a call to the next target.'),
        stopOn: z
          .array(CodeRange)
          .max(16)
          .meta({ 'x-kubernetes-list-type': 'atomic' })
          .optional()
          .describe('Status codes that end the call, whatever huntOn says.'),
      })
      .optional()
      .describe('How another target is found for a call. Evaluated where the call goes to.'),
    redirect: z
      .strictObject({
        mode: RedirectMode.optional().describe(
          'Consume: the fleet calls the contacts of a 300, 301, 302 or 305 itself, and the caller sees only how that ends. PassThrough: the caller gets the redirection, with the addresses of the fleet in its contacts. Reject: the caller gets 480.',
        ),
        scope: RedirectScope.optional().describe(
          'Which contacts Consume may call, since a redirection could send calls anywhere at your cost. Trunk: those that are targets of the trunk that redirects. Fleet: targets of any SipTrunk of the VoiceService. A contact that is no target is never called; when none is left the caller gets 480.',
        ),
        maxContacts: z
          .int()
          .min(1)
          .max(16)
          .optional()
          .describe('How many contacts of one redirection are called at most, best `q` first.'),
        maxHops: z
          .int()
          .min(1)
          .max(16)
          .optional()
          .describe('How often a call may be redirected by who it was redirected to.'),
      })
      .optional()
      .describe('What becomes of a redirection (RFC 3261 section 8.1.3.4). Evaluated where the call goes to.'),
    reliable1xx: Reliable1xx.optional().describe(
      'Provisional answers that are acknowledged by PRACK (RFC 3262, 100rel), on each leg by itself. Supported: a callee is told that it may, and is acknowledged; to a caller that can, what the callee sent reliably goes on reliably, and everything to one that requires it. Require: the callee must, and a caller that cannot gets 421. Disabled: callees are not told so, and a caller that requires it gets 420. A callee is not asked where the call has no offer and its caller cannot.',
    ),
    ...sessionFields,
    ...mediaFields,
  }),
  [answersNeedMedia],
)
export type SipBehaviour = z.infer<typeof SipBehaviour>

/** Behaviour with every field decided. Replicas get only this and never merge. */
export const ResolvedSipBehaviour = z.strictObject({
  maxForwards: z.int(),
  timers: z.strictObject({ noResponseMilliseconds: z.int(), inviteExpiresMilliseconds: z.int() }),
  errors: z.strictObject({
    keepaliveFailure: z.int(),
    retryAfterSeconds: z.int().optional(),
    reasonQ850: z.int().optional(),
  }),
  hunting: z.strictObject({
    scheme: HuntingScheme,
    huntOn: z.strictObject({ codes: z.array(z.int()), timeout: z.boolean() }),
    stopOn: z.array(z.strictObject({ from: z.int(), to: z.int() })),
  }),
  redirect: z.strictObject({
    mode: RedirectMode,
    scope: RedirectScope,
    maxContacts: z.int(),
    maxHops: z.int(),
  }),
  reliable1xx: Reliable1xx,
  ...resolvedSessionFields,
  ...resolvedMediaFields,
})
export type ResolvedSipBehaviour = z.infer<typeof ResolvedSipBehaviour>

/** The end of the chain of inheritance. */
export const builtInBehaviour: ResolvedSipBehaviour = {
  maxForwards: 70,
  timers: { noResponseMilliseconds: 4_000, inviteExpiresMilliseconds: 180_000 },
  errors: { keepaliveFailure: 503 },
  // 404, 500 and 503 say that this target cannot take the call, so another may; 480, 486 and 6xx speak of the callee, who
  // is the same everywhere.
  hunting: { scheme: 'Priority', huntOn: { codes: [404, 500, 503], timeout: true }, stopOn: [] },
  redirect: { mode: 'Consume', scope: 'Trunk', maxContacts: 5, maxHops: 5 },
  reliable1xx: 'Supported',
  ...builtInSession,
  ...builtInMedia,
}
