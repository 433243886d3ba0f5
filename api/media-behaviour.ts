import { z } from 'zod'
import { withRules } from './fields.ts'

const MediaMode = z.enum(['Bypass', 'Anchor'])
export type MediaMode = z.infer<typeof MediaMode>

/** Where media goes, as it is written at each level. */
export const mediaFields = {
  media: withRules(
    z.strictObject({
      mode: MediaMode.optional().describe(
        'Bypass: media goes from peer to peer, around the fleet. Anchor: it goes through one of `spec.media.engines` of the VoiceService, and neither peer sees an address of the other. Where the legs of a call differ, Anchor holds for both.',
      ),
      timeoutSeconds: z
        .int()
        .min(0)
        .max(86_400)
        .optional()
        .describe(
          'After how long without any RTP or RTCP of either peer a call with anchored media is ended, in seconds, with BYE to both. 0 or absent: never. A call on hold is left alone. Where the legs of a call differ, the shorter time holds. rtpengine forgets silent calls by itself, after its own `timeout` of 60 s; let that be longer.',
        ),
    }),
    [
      {
        cel: '!has(self.timeoutSeconds) || self.timeoutSeconds == 0 || self.timeoutSeconds >= 10',
        message: 'timeoutSeconds must be 0, for never, or at least 10',
        path: () => ['timeoutSeconds'],
        holds: ({ timeoutSeconds = 0 }) => timeoutSeconds === 0 || timeoutSeconds >= 10,
      },
    ],
  )
    .optional()
    .describe('Where the media of a call goes.'),
}

/** The same with every field decided. */
export const resolvedMediaFields = {
  media: z.strictObject({ mode: MediaMode, timeoutSeconds: z.int().optional() }),
}

/** The end of the chain of inheritance. */
export const builtInMedia: { media: { mode: MediaMode; timeoutSeconds?: number } } = { media: { mode: 'Bypass' } }
