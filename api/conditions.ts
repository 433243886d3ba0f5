import { z } from 'zod'

/** Every condition type with every reason it can carry: what users select on, alert on and look up in the reference. */
export const reasons = {
  Accepted: {
    Accepted: 'The resource was compiled; every part of it is in the configuration.',
    PartiallyInvalid: 'Some parts were left out, each named in the message; the rest is in the configuration.',
    LimitedByEngine:
      'All of it is in the configuration, but the chosen engine cannot do some of it; each is named in the message.',
    Invalid: 'Nothing of the resource could be used; the message names the field and the way out.',
    VoiceServiceNotFound: 'The VoiceService that the trunk refers to does not exist in its namespace.',
  },
  ResolvedRefs: {
    ResolvedRefs: 'Every object referred to exists and has what is needed.',
    SecretNotFound: 'A Secret that is referred to does not exist in the namespace.',
    SecretKeyMissing: 'A Secret that is referred to lacks a key.',
    SecretInvalid: 'A Secret that is referred to holds something that cannot be used, as a key of another certificate.',
    TrunkNotFound:
      'A SipTrunk that is referred to does not exist in the namespace, or belongs to another VoiceService.',
    TrunkNotAccepted: 'A SipTrunk that is referred to is left out itself; its condition Accepted says why.',
    VoiceServiceNotFound: 'The VoiceService that the trunk refers to does not exist in its namespace.',
    ListenerNotFound: 'A listener that is referred to is not in the VoiceService.',
  },
  Programmed: {
    Programmed: 'Every replica runs this generation.',
    Pending: 'Some replicas have not yet acknowledged this generation, or their pods have yet to be replaced.',
    NoReplicas: 'No replica is connected.',
    ScaledToZero: 'True: no replica is wanted, so that none lacks anything. No call is taken.',
    RejectedByDataplane: 'A replica refused; the message names the replica, the field and the cause.',
    ResourcesRefused:
      'An object of the fleet cannot be made: the API server refuses it, or somebody else has one of its name; the message says which.',
    FailedCreate:
      'Pods of the fleet cannot be made, as for a quota, an admission rule or a missing ServiceAccount; the message has the words of the event about its StatefulSet. On a VoiceService only.',
    NotAccepted: 'Nothing to run, since the resource is not accepted.',
  },
  Registered: {
    Registered: 'Every account is registered with every registrar.',
    Partial:
      'Some registrations are in place, others are not. True when every account has one, False when an account has none.',
    Unregistered: 'No registration is in place; the message has the last answer.',
    AuthFailed: 'A registrar refused the credentials; check the Secret.',
    NoAnswer: 'A registrar does not answer.',
    NameNotResolved: 'The DNS has no address for a registrar.',
    TlsFailed: 'TLS with a registrar fails; the message has the cause, most often a certificate.',
    Pending: 'The first REGISTER has not been answered yet.',
    NotConfigured: 'The trunk has no registration.',
  },
  Reachable: {
    AllTargetsUp: 'Every target answers.',
    PartiallyUp: 'Some targets answer, others do not.',
    AllTargetsDown: 'All targets are down, for several causes; the message has the last results.',
    NoAnswer: 'All targets are down: none answers.',
    Rejected503: 'All targets are down: each answers with a code that counts as failure, as 503 does.',
    TlsFailed: 'All targets are down: TLS with them fails; the message has the cause, most often a certificate.',
    Unreachable: 'All targets are down: no connection can be made, or nothing can be sent.',
    NameNotResolved: 'All targets are down: the DNS has no address for them.',
    Pending: 'The first OPTIONS has not been answered yet.',
    Unmonitored: 'Keepalive is off; targets are taken as up.',
  },
  Ready: {
    Ready: 'Accepted, references resolved, and programmed on every replica.',
    NotAccepted: 'See the condition Accepted.',
    PartiallyInvalid: 'Parts of it are left out, while the rest runs; see the condition Accepted.',
    NotResolved: 'See the condition ResolvedRefs.',
    NotProgrammed: 'See the condition Programmed.',
    Pending: 'The operator has not looked at it yet; is it running?',
  },
  Reconciling: {
    Progressing: 'On the way to Ready; there only as long as that is so, and on Kubernetes only.',
  },
  Stalled: {
    NotAccepted: 'Will not become Ready unless the resource is changed; there only as long as that is so.',
    Refused: 'Will not become Ready unless what was refused is changed; there only as long as that is so.',
  },
} as const satisfies Record<string, Record<string, string>>

export type ConditionType = keyof typeof reasons
export type Reason<T extends ConditionType> = keyof (typeof reasons)[T] & string

/** A condition as Kubernetes has it, but for the times, which whoever writes it into a status adds. */
export interface Condition<T extends ConditionType = ConditionType> {
  readonly type: T
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: Reason<T>
  readonly message: string
}

/** A condition of whichever type, with a reason of that type. */
export type AnyCondition = { [T in ConditionType]: Condition<T> }[ConditionType]

/** A reason of another type, or a type that does not exist, does not compile. */
export function condition<T extends ConditionType>(value: Condition<T>): Condition<T> {
  return value
}

/** A condition as it stands in `status.conditions` (Kubernetes API conventions, "Typical status properties"). */
export const StatusCondition = z.strictObject({
  type: z.string().min(1).max(316).describe('What the condition is about.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  reason: z.string().min(1).max(1024).describe('Why, as one word to select on.'),
  message: z.string().max(32768).describe('Why, and what to do, for people.'),
  observedGeneration: z.int().min(0).optional().describe('Generation of the resource that this speaks of.'),
  lastTransitionTime: z.iso.datetime().describe('When `status` last changed.'),
})
export type StatusCondition = z.infer<typeof StatusCondition>
