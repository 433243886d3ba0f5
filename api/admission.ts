import { z } from 'zod'
import { withRules } from './fields.ts'

const calls = z.int().min(1).max(1_000_000)
const perSecond = z.int().min(1).max(10_000)
const atOnce = z.int().min(1).max(100_000)

/** How many calls there may be, of all trunks together. Each replica counts for itself. */
export const Admission = withRules(
  z.strictObject({
    maxCalls: calls
      .optional()
      .describe('Calls that may be up or being set up at one replica; the next gets 503. Absent: any number.'),
    callsPerSecond: perSecond
      .optional()
      .describe('Calls a second that may begin at one replica in the long run; more get 503. Absent: any number.'),
    burst: atOnce.optional().describe('Calls that may begin at once after a pause. Absent: as many as callsPerSecond.'),
  }),
  [
    {
      cel: '!has(self.burst) || has(self.callsPerSecond)',
      message: 'burst needs callsPerSecond',
      holds: ({ burst, callsPerSecond }) => burst === undefined || callsPerSecond !== undefined,
      path: () => ['burst'],
    },
  ],
)
export type Admission = z.infer<typeof Admission>

/** How many calls there may be with one peer. Each replica counts for itself. */
export const TrunkAdmission = withRules(
  z.strictObject({
    maxCalls: calls
      .optional()
      .describe(
        'Calls with the peer, from it and to it together, that may be up or being set up at one replica. Absent: any number.',
      ),
    maxCallsInbound: calls
      .optional()
      .describe(
        'Calls from the peer that may be up or being set up at one replica; the next gets 503. Absent: any number.',
      ),
    maxCallsOutbound: calls
      .optional()
      .describe(
        'Calls to the peer that may be up or being set up at one replica; the next goes to another trunk of its routes, or gets 503. Absent: any number.',
      ),
    callsPerSecond: perSecond
      .optional()
      .describe(
        'Calls a second that the peer may begin at one replica in the long run; more get 503. Absent: any number.',
      ),
    burst: atOnce
      .optional()
      .describe('Calls that the peer may begin at once after a pause. Absent: as many as callsPerSecond.'),
    callsPerSecondOutbound: perSecond
      .optional()
      .describe(
        'Calls a second that one replica sends to the peer in the long run; more go to another trunk of their routes, or get 503. Absent: any number.',
      ),
    burstOutbound: atOnce
      .optional()
      .describe('Calls that are sent to the peer at once after a pause. Absent: as many as callsPerSecondOutbound.'),
  }),
  [
    {
      cel: '!has(self.burst) || has(self.callsPerSecond)',
      message: 'burst needs callsPerSecond',
      holds: ({ burst, callsPerSecond }) => burst === undefined || callsPerSecond !== undefined,
      path: () => ['burst'],
    },
    {
      cel: '!has(self.burstOutbound) || has(self.callsPerSecondOutbound)',
      message: 'burstOutbound needs callsPerSecondOutbound',
      holds: ({ burstOutbound, callsPerSecondOutbound }) =>
        burstOutbound === undefined || callsPerSecondOutbound !== undefined,
      path: () => ['burstOutbound'],
    },
  ],
)
export type TrunkAdmission = z.infer<typeof TrunkAdmission>
