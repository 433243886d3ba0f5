import { z } from 'zod'
import { type Rule, withRules } from './fields.ts'

/** RFC 4028 section 4: no session interval is shorter than 90 s; here none is longer than a day. */
const sessionSeconds = z.int().min(90).max(86_400)

const TimerMode = z.enum(['PassThrough', 'LegByLeg', 'Disabled'])
const PreferredRefresher = z.enum(['Auto', 'Sbc', 'Peer'])
const RefreshMethod = z.enum(['Auto', 'ReInvite', 'Update'])
const TakeRefresherRole = z.enum(['WhenPeerUnsupported', 'Never', 'Always'])
const MidcallMode = z.enum(['PassThrough', 'PassThroughMediaChange', 'PreserveCodec', 'Block', 'Disabled'])

const EarlyUpdate = z.enum(['PassThrough', 'Block', 'BlockRenegotiate'])

const SessionTimer = withRules(
  z.strictObject({
    mode: TimerMode.optional().describe(
      'PassThrough: one timer from peer to peer, whose refreshes cross. LegByLeg: a timer on each leg by itself; the fleet answers and sends refreshes. Disabled: nothing is said of timers. Where the legs of a call differ, LegByLeg wins over PassThrough.',
    ),
    expiresSeconds: sessionSeconds
      .optional()
      .describe('Session interval where the fleet asks for one. It is raised to minSeSeconds where that is inherited.'),
    minSeSeconds: sessionSeconds
      .optional()
      .describe('Shortest session interval that is accepted; a caller with a shorter one gets 422 with Min-SE.'),
    alwaysRequest: z
      .boolean()
      .optional()
      .describe('Whether the callee is asked for a session timer also when the caller has not asked.'),
    preferRefresher: PreferredRefresher.optional().describe(
      'Who refreshes where the fleet may choose. Auto: the peer that asked, and whoever the callee names where the fleet asked.',
    ),
    method: RefreshMethod.optional().describe(
      'How the fleet refreshes: by re-INVITE with the session description sent last, or by UPDATE without one. Auto: UPDATE to peers whose Allow has it.',
    ),
    takeRefresherRole: TakeRefresherRole.optional().describe(
      'When the fleet refreshes a leg by itself. WhenPeerUnsupported: where the other peer has no session timer and this one has. Never: not for that. Always: on every leg, whatever the peer supports; timers are then leg by leg.',
    ),
  }),
  [
    {
      cel: '!has(self.minSeSeconds) || !has(self.expiresSeconds) || self.minSeSeconds <= self.expiresSeconds',
      message: 'minSeSeconds must not be greater than expiresSeconds',
      holds: ({ minSeSeconds = 0, expiresSeconds = Infinity }) => minSeSeconds <= expiresSeconds,
      path: () => ['minSeSeconds'],
    },
  ],
)

/** Behaviour of a call that is up, as it is written at each level. */
export const sessionFields = {
  sessionTimer: SessionTimer.optional().describe('Session timer (RFC 4028).'),
  midcall: z
    .strictObject({
      mode: MidcallMode.optional().describe(
        'What becomes of an offer inside a call. PassThrough: it goes to the other leg. PassThroughMediaChange: it does where it adds a stream in both directions; anything else is answered here. Block: all is answered here, new streams rejected. Both answer only where media is anchored (488 otherwise), and make the session timers leg by leg. PreserveCodec: offers and answers go with the codec of the call alone; an offer without that codec gets 488, and so does one whose answer lacks it, after which the answerer is put back to what was agreed. Disabled: what changes nothing goes to the other leg, anything else gets 488. Where the legs of a call differ, the more restrictive mode holds.',
      ),
    })
    .optional()
    .describe('Re-INVITE and UPDATE inside a call.'),
  update: z
    .strictObject({
      early: EarlyUpdate.optional().describe(
        'What becomes of an UPDATE before the call is answered. PassThrough: it goes to the other leg, where that peer knows UPDATE; an offer only where both peers acknowledge provisional answers (reliable1xx), and 488 otherwise. Block: it is answered here, an offer only where media is anchored (488 otherwise). BlockRenegotiate: as Block, and once the call is up whoever sent the offer is asked for a new one, for the other side, where midcall.mode is PassThrough. Where the legs of a call differ, Block holds over BlockRenegotiate, and that over PassThrough.',
      ),
    })
    .optional()
    .describe('UPDATE (RFC 3311).'),
  inDialogKeepalive: z
    .strictObject({
      enabled: z.boolean().optional().describe('Whether the peer gets OPTIONS inside the dialog of a call.'),
      intervalSeconds: z.int().min(60).max(1200).optional().describe('Time between two of them.'),
      skipWhenSessionTimer: z
        .boolean()
        .optional()
        .describe('Whether a leg whose session timer runs goes without them.'),
    })
    .optional()
    .describe(
      'OPTIONS inside a dialog, on each leg by itself. An answer that ends a dialog (RFC 5057) ends the call. Where it is enabled on either leg, OPTIONS of a peer is answered by the fleet; elsewhere it goes to the other leg.',
    ),
}

/** The same with every field decided. */
export const resolvedSessionFields = {
  sessionTimer: z.strictObject({
    mode: TimerMode,
    expiresSeconds: z.int(),
    minSeSeconds: z.int(),
    alwaysRequest: z.boolean(),
    preferRefresher: PreferredRefresher,
    method: RefreshMethod,
    takeRefresherRole: TakeRefresherRole,
  }),
  midcall: z.strictObject({ mode: MidcallMode }),
  update: z.strictObject({ early: EarlyUpdate }),
  inDialogKeepalive: z.strictObject({
    enabled: z.boolean(),
    intervalSeconds: z.int(),
    skipWhenSessionTimer: z.boolean(),
  }),
}

const Resolved = z.strictObject(resolvedSessionFields)
export type ResolvedSessionTimer = z.infer<typeof Resolved>['sessionTimer']
export type MidcallMode = z.infer<typeof MidcallMode>

/** The end of the chain of inheritance. */
export const builtInSession: z.infer<typeof Resolved> = {
  sessionTimer: {
    mode: 'PassThrough',
    expiresSeconds: 1800,
    minSeSeconds: 1800,
    alwaysRequest: false,
    preferRefresher: 'Auto',
    method: 'Auto',
    takeRefresherRole: 'WhenPeerUnsupported',
  },
  midcall: { mode: 'PassThrough' },
  update: { early: 'PassThrough' },
  inDialogKeepalive: { enabled: false, intervalSeconds: 60, skipWhenSessionTimer: true },
}

/** The most restrictive first. */
const byRestriction: readonly MidcallMode[] = [
  'Disabled',
  'Block',
  'PassThroughMediaChange',
  'PreserveCodec',
  'PassThrough',
]

/** Feature item 8: when the legs of a call differ, "the more restrictive wins". */
export function moreRestrictive(one: MidcallMode, other: MidcallMode): MidcallMode {
  return byRestriction.find((mode) => mode === one || mode === other) ?? 'PassThrough'
}

/** Modes in which offers are answered here, for which media has to be here, too. */
export function answersHere(mode: MidcallMode | undefined): boolean {
  return mode === 'Block' || mode === 'PassThroughMediaChange'
}

/** A level that contradicts itself; what levels make together is looked at by the compiler. */
export const answersNeedMedia: Rule<{
  readonly midcall?: { readonly mode?: MidcallMode | undefined } | undefined
  readonly media?: { readonly mode?: string | undefined } | undefined
}> = {
  cel: "!(has(self.midcall) && has(self.midcall.mode) && self.midcall.mode in ['Block', 'PassThroughMediaChange'] && has(self.media) && has(self.media.mode) && self.media.mode == 'Bypass')",
  message:
    'midcall.mode Block and PassThroughMediaChange answer offers in the name of the other peer, which needs media.mode Anchor',
  holds: ({ midcall, media }) => !(answersHere(midcall?.mode) && media?.mode === 'Bypass'),
  path: () => ['midcall', 'mode'],
}
