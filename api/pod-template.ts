import { z } from 'zod'
import { Name } from './fields.ts'

const quantity = z
  .string()
  .min(1)
  .max(32)
  .regex(/^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$/, 'must be a quantity such as 500m, 2 or 512Mi')
  .meta({ form: 'quantity' })

const amounts = z.strictObject({
  cpu: quantity.optional().describe('Processors, as `500m` or `2`.'),
  memory: quantity.optional().describe('Memory, as `512Mi`.'),
})

const labelValue = z
  .string()
  .max(63)
  .regex(/^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/, 'must be the value of a label')

/** What a container gets. */
export const containerResources = z.strictObject({
  requests: amounts.optional().describe('What it is given for certain.'),
  limits: amounts.optional().describe('What it may not exceed.'),
})

/** Entries by name, 32 at most. */
function entries<V extends z.ZodType>(value: V) {
  return z
    .record(z.string().min(1).max(317), value)
    .refine((record) => Object.keys(record).length <= 32, 'must have at most 32 entries')
    .meta({ maxProperties: 32 })
}

const labels = entries(labelValue)

export const annotations = entries(z.string().max(4096))

const Toleration = z.strictObject({
  key: z.string().max(317).optional().describe('Key of the taint. Absent: any, with operator Exists.'),
  operator: z.enum(['Exists', 'Equal']).optional().describe('How the value is compared. Absent: Equal.'),
  value: z.string().max(63).optional().describe('Value of the taint.'),
  effect: z
    .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
    .optional()
    .describe('Effect of the taint. Absent: any.'),
  tolerationSeconds: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .optional()
    .describe('How long a NoExecute taint is tolerated, in seconds. Absent: for ever.'),
})

const TopologySpread = z.strictObject({
  topologyKey: z
    .string()
    .min(1)
    .max(317)
    .describe('Label of nodes that makes a domain, as topology.kubernetes.io/zone.'),
  maxSkew: z.int().min(1).max(1000).default(1).describe('By how many replicas domains may differ.'),
  whenUnsatisfiable: z
    .enum(['DoNotSchedule', 'ScheduleAnyway'])
    .default('ScheduleAnyway')
    .describe('What becomes of a replica that would break the rule.'),
})

const tolerations = z.array(Toleration).max(32).meta({ 'x-kubernetes-list-type': 'atomic' })

/** What a VoiceService may say of the pods of its replicas; everything else about them is the operator's. */
export const PodTemplate = z.strictObject({
  labels: labels.optional().describe('Further labels of the pods.'),
  annotations: annotations.optional().describe('Annotations of the pods.'),
  resources: containerResources
    .optional()
    .describe(
      'Processors and memory of a replica. Absent: requests of 100m and 192Mi, and a limit of 512Mi of memory.',
    ),
  nodeSelector: labels.optional().describe('Labels that a node must have.'),
  tolerations: tolerations.optional().describe('Taints of nodes that replicas bear.'),
  affinity: z
    .looseObject({})
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .optional()
    .describe('Affinity as in the specification of a pod; the API server checks it when the StatefulSet is written.'),
  topologySpread: z
    .array(TopologySpread)
    .max(8)
    .refine(
      (spread) => new Set(spread.map(({ topologyKey }) => topologyKey)).size === spread.length,
      'the same topologyKey stands in this list twice',
    )
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['topologyKey'] })
    .optional()
    .describe('How replicas are spread. Absent: over nodes, where that can be done.'),
  hostNetwork: z
    .boolean()
    .default(false)
    .describe(
      "Whether replicas use the network of their node, at most one on each. Peers see the node's address; the namespace must allow it (Pod Security: privileged).",
    ),
  priorityClassName: Name.optional().describe('PriorityClass of the pods.'),
  drainSeconds: z
    .int()
    .min(0)
    .max(86_400)
    .default(30)
    .describe('How long calls may go on when a replica is stopped, in seconds.'),
})
export type PodTemplate = z.infer<typeof PodTemplate>
