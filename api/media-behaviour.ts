import { z } from 'zod'

const MediaMode = z.enum(['Bypass', 'Anchor'])
export type MediaMode = z.infer<typeof MediaMode>

/** Where media goes, as it is written at each level. */
export const mediaFields = {
  media: z
    .strictObject({
      mode: MediaMode.optional().describe(
        'Bypass: media goes from peer to peer, around the fleet. Anchor: it goes through one of `spec.media.engines` of the VoiceService, and neither peer sees an address of the other. Where the legs of a call differ, Anchor holds for both.',
      ),
    })
    .optional()
    .describe('Where the media of a call goes.'),
}

/** The same with every field decided. */
export const resolvedMediaFields = {
  media: z.strictObject({ mode: MediaMode }),
}

/** The end of the chain of inheritance. */
export const builtInMedia: { media: { mode: MediaMode } } = { media: { mode: 'Bypass' } }
