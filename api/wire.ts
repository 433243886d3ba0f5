import { z } from 'zod'

/**
 * The messages between the control side and a replica, as JSON text frames on a WebSocket that the replica opens.
 * Semantics are those of incremental xDS: a replica says what it has, gets the difference, and answers for every resource.
 *
 *     replica                            control side
 *     hello{known}          ─────────►
 *                           ◄─────────   delta{nonce, epoch, revision, upserts, removes}
 *     ack{nonce, errors[]}  ─────────►
 *                           ◄─────────   members{epoch, replicas}
 *     report{…}             ─────────►   what has changed, and on a slow beat
 *                           ◄─────────   findings{epoch, whole, findings[], bindings[]}
 *     drain{}               ─────────►   takes no new calls from here on
 */
export const wireSchema = 1

const key = z.string().min(3).max(600)
const trunk = z.string().describe('Name of the trunk.')
const lastCode = z.int().optional().describe('Status code of the last answer; absent when nothing came.')

export const Hello = z.strictObject({
  type: z.literal('hello').describe('Which message it is.'),
  schema: z.int().describe('Version of these messages that the replica speaks.'),
  fleet: z.string().describe('`namespace/name` of the VoiceService.'),
  replica: z.string().min(1).max(253).describe('Stable name, as `edge-0`.'),
  instance: z.string().min(1).max(64).describe('Made anew at every start of the process.'),
  epoch: z.int().min(0).describe('Highest epoch the replica has seen; a sender with a lower one is refused.'),
  revision: z.string().nullable().describe('Revision it runs; null when it runs nothing.'),
  known: z.record(key, z.string()).describe('Key and version of every resource it runs.'),
})
export type Hello = z.infer<typeof Hello>

export const Delta = z.strictObject({
  type: z.literal('delta').describe('Which message it is.'),
  nonce: z.string().min(1).max(64).describe('Comes back in the ack.'),
  epoch: z.int().min(0).describe('Rises with every change of leader; a lower one than seen before is refused.'),
  revision: z.string().describe('Revision of the snapshot after this delta.'),
  upserts: z.array(z.unknown()).describe('Resources that are new or changed; each is checked on its own.'),
  removes: z.array(key).describe('Keys of resources to remove.'),
})
export type Delta = z.infer<typeof Delta>

export const ResourceError = z.strictObject({
  key: key.describe('Key of the resource that is refused.'),
  version: z.string().describe('Version of it that is refused.'),
  field: z.string().describe('Path inside the resource; empty for the whole.'),
  code: z
    .enum(['Invalid', 'AddressInUse', 'AddressNotAvailable', 'PermissionDenied', 'Unsupported', 'Internal'])
    .describe('What kind of cause it is.'),
  message: z.string().max(2000).describe('Cause and way out.'),
})
export type ResourceError = z.infer<typeof ResourceError>

export const Ack = z.strictObject({
  type: z.literal('ack').describe('Which message it is.'),
  nonce: z.string().describe('The nonce of the delta.'),
  revision: z.string().nullable().describe('Revision the replica runs now; null when it runs nothing.'),
  errors: z
    .array(ResourceError)
    .describe('Resources refused; each stays at its last good version, and all others are applied.'),
  refused: z
    .enum(['EmptySnapshot', 'OldEpoch', 'Malformed', 'Internal'])
    .optional()
    .describe('Set when the whole delta was refused: nothing was applied.'),
})
export type Ack = z.infer<typeof Ack>

/** The replicas that share the work of the fleet. Ownership of a registration is by rendezvous hash over them. */
export const Members = z.strictObject({
  type: z.literal('members').describe('Which message it is.'),
  epoch: z.int().min(0).describe('As in delta.'),
  replicas: z.array(z.string()).describe('Names of the replicas that share the work, this one included.'),
})
export type Members = z.infer<typeof Members>

/** Why a target is not up: nothing came, a code that counts as failure, no connection, no TLS, or no address. */
export const TargetFailure = z.enum(['NoAnswer', 'Rejected', 'Unreachable', 'TlsFailed', 'NameNotResolved'])
export type TargetFailure = z.infer<typeof TargetFailure>

const probe = z
  .string()
  .min(1)
  .max(64)
  .describe('Names a peer as it is probed; targets of several trunks that are the same peer have the same.')
const failure = TargetFailure.optional().describe('Why it is not up.')
const endpoints = z.array(z.string().max(64)).max(16).optional()
const downEndpoints = endpoints.describe('Addresses of it, with ports, that are down, where others are not.')

export const TargetReport = z.strictObject({
  trunk,
  target: z.string().describe('Name of the target.'),
  state: z.enum(['Up', 'Down', 'Unknown']).describe('Down only when keepalive or calls found it so.'),
  lastCode,
  since: z.int().describe('When the state last changed, in milliseconds since 1970.'),
  failure,
  detail: z.string().max(500).optional().describe('Last failure, for people.'),
  failures: z.int().min(0).optional().describe('Failed probes in a row; absent when there are none.'),
  downEndpoints,
  endpoints: endpoints.describe(
    'Addresses, with ports, that its name stands for; absent where it is an address or has not resolved.',
  ),
  probe: probe.optional().describe('Set by the replica that probes for the fleet: its findings count for the others.'),
})
export type TargetReport = z.infer<typeof TargetReport>

/** What the prober of a peer has found, as all replicas are told. */
export const Finding = z.strictObject({
  probe,
  state: z.enum(['Up', 'Down', 'Unknown']).describe('State of the peer.'),
  since: z.int().describe('When the state last changed, in milliseconds since 1970.'),
  lastCode,
  failure,
  detail: z.string().max(500).optional().describe('Last failure, for people.'),
  downEndpoints,
})
export type Finding = z.infer<typeof Finding>

const BindingFields = {
  contact: z.string().max(600).describe('URI of the Contact that is registered.'),
  callId: z.string().max(255).describe('Call-ID of the REGISTERs.'),
  cseq: z.int().min(0).describe('CSeq of the last REGISTER that was answered.'),
  expiresAt: z.int().describe('When the binding lapses, in milliseconds since 1970.'),
  serviceRoute: z
    .array(z.string().max(1000))
    .max(10)
    .describe('Route that calls of the account take (RFC 3608), best first.'),
}

/** A binding at a registrar, as all replicas are told: for calls of the account, and for whoever takes it over. */
export const Binding = z.strictObject({
  trunk,
  account: z.string().describe('Name of the account.'),
  registrar: z.string().describe('Name of the registrar.'),
  replica: z.string().describe('Replica that registered.'),
  ...BindingFields,
})
export type Binding = z.infer<typeof Binding>

export const Findings = z.strictObject({
  type: z.literal('findings').describe('Which message it is.'),
  epoch: z.int().min(0).describe('As in delta.'),
  whole: z.boolean().describe('Whether this is all there is; otherwise it is what has changed.'),
  findings: z.array(Finding).describe('What probers have found.'),
  bindings: z.array(Binding).describe('Bindings that are in place; `expiresAt` 0 for one that was removed.'),
})
export type Findings = z.infer<typeof Findings>

export const RegistrationReport = z.strictObject({
  trunk,
  account: z.string().describe('Name of the account.'),
  registrar: z.string().describe('Name of the registrar.'),
  state: z
    .enum(['Registered', 'Unregistered', 'Pending', 'Standby', 'Leaving'])
    .describe(
      'Whether the binding is in place. Standby: a better registrar has the account. Leaving: it is no longer wanted, and the registrar has not yet answered that it is removed.',
    ),
  since: z.int().describe('When the state last changed, in milliseconds since 1970.'),
  lastCode,
  expiresAt: z.int().optional().describe('When the binding lapses, in milliseconds since 1970.'),
  failure: z
    .enum(['AuthFailed', 'NoAnswer', 'Rejected', 'TlsFailed', 'NameNotResolved'])
    .optional()
    .describe('Why the last attempt failed.'),
  detail: z.string().max(500).optional().describe('Last failure, for people.'),
  binding: z.strictObject(BindingFields).optional().describe('What is registered, while it is in place.'),
})
export type RegistrationReport = z.infer<typeof RegistrationReport>

const ReportFields = {
  targets: z.array(TargetReport).describe('Targets of which this replica knows something by itself.'),
  registrations: z.array(RegistrationReport).describe('Only those that this replica owns.'),
  calls: z.int().min(0).describe('Calls up now.'),
}

/** All that a replica has to say of itself, as the control side puts it together from its reports. */
export const ReplicaReport = z.strictObject(ReportFields)
export type ReplicaReport = z.infer<typeof ReplicaReport>

export const Report = z.strictObject({
  type: z.literal('report').describe('Which message it is.'),
  whole: z.boolean().describe('Whether this is all there is, as after hello; otherwise it is what has changed.'),
  ...ReportFields,
  gone: z
    .array(z.string().max(700))
    .describe('What was reported before and is no more: `trunk/target` or `trunk/account/registrar`.'),
})
export type Report = z.infer<typeof Report>

export const Drain = z.strictObject({ type: z.literal('drain').describe('Which message it is.') })
export type Drain = z.infer<typeof Drain>

/** Sent before the control side closes a connection for a reason that a retry does not cure at once. */
export const Bye = z.strictObject({
  type: z.literal('bye').describe('Which message it is.'),
  reason: z.string().max(500).describe('Cause and way out.'),
})
export type Bye = z.infer<typeof Bye>

export const FromReplica = z.discriminatedUnion('type', [Hello, Ack, Report, Drain])
export type FromReplica = z.infer<typeof FromReplica>
export const ToReplica = z.discriminatedUnion('type', [Delta, Members, Findings, Bye])
export type ToReplica = z.infer<typeof ToReplica>
