import { z } from 'zod'
import { LocalRef, Port, withRules } from './fields.ts'
import { containerResources } from './pod-template.ts'
import { adminPort } from './replica-ports.ts'

/** Key of the Secret that `secretRef` names. */
export const drachtioSecretKey = 'secret'

/** The drachtio-server that speaks SIP for each replica, with `engine: Drachtio`. */
export const DrachtioServer = withRules(
  z.strictObject({
    secretRef: LocalRef.describe(
      'Secret with what an application must say to be served (`secret`). Read when a replica starts.',
    ),
    port: Port.default(9022).describe(
      "Port for applications, on 127.0.0.1 of the pod and nowhere else, since drachtio-server obeys whoever reaches it. Standalone: on the replica's own loopback address.",
    ),
    image: z
      .string()
      .min(1)
      .max(512)
      .regex(/^[a-z0-9][-A-Za-z0-9._/:@]*$/, 'must be the reference of an image')
      .meta({ form: 'image' })
      .default('drachtio/drachtio-server:0.9.10')
      .describe(
        'Image of the sidecar container on Kubernetes; its program is `drachtio`. Standalone passes over it: there drachtio-server is started by whoever runs it.',
      ),
    resources: containerResources
      .optional()
      .describe(
        'Processors and memory of the sidecar. Absent: requests of 100m and 128Mi, and a limit of 1Gi of memory.',
      ),
  }),
  [
    {
      cel: `self.port != ${adminPort}`,
      message: `port ${adminPort} of 127.0.0.1 is where replicas serve their admin interface; take another one`,
      holds: ({ port }) => port !== adminPort,
      path: () => ['port'],
    },
  ],
)
export type DrachtioServer = z.infer<typeof DrachtioServer>
