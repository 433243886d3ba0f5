import { z } from 'zod'
import type { LogLevel } from '#lib/log.ts'

/** Every variable that the operator reads, for its documentation and for the messages about wrong values. */
export const variables = {
  SBCFLEET_POD_NAME: 'Name of the pod. Required.',
  SBCFLEET_POD_NAMESPACE: 'Namespace of the pod, in which Lease and certificate are kept. Required.',
  SBCFLEET_ADDRESS: 'IP address that is listened on. Required.',
  SBCFLEET_NAMESPACES: 'Namespaces whose fleets are run, with commas between them. Absent: all.',
  SBCFLEET_LEASE: 'Name of the Lease that operator replicas compete for. Default: sbcfleet.',
  SBCFLEET_CONTROL_SERVICE: 'Name of the headless Service in front of the operator replicas. Required.',
  SBCFLEET_CONTROL_PORT: 'Port that fleet replicas connect to. Default: 8443.',
  SBCFLEET_PROBE_PORT: 'Port of /healthz, /readyz and /metrics. Default: 8080.',
  SBCFLEET_TLS_SECRET: 'Name of the Secret with the certificate of the control side. Default: sbcfleet-control-tls.',
  SBCFLEET_TLS_ISSUER:
    'Who makes that certificate: Operator, or Other, as cert-manager, with tls.crt, tls.key and ca.crt. Default: Operator.',
  SBCFLEET_REPLICA_IMAGE: 'Image of fleet replicas. Required.',
  SBCFLEET_REPLICA_IMAGE_PULL_POLICY: 'Always, IfNotPresent or Never. Default: IfNotPresent.',
  SBCFLEET_REPLICA_IMAGE_PULL_SECRETS: 'Names of Secrets for pulling that image, with commas between them.',
  SBCFLEET_REPLICA_LOG_LEVEL: 'Log level of fleet replicas. Default: info.',
  SBCFLEET_LOG_LEVEL: 'trace, debug, info, warn or error. Default: info.',
} as const

const name = z
  .string('expected the name of a Kubernetes object')
  .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'expected the name of a Kubernetes object')
const port = z.coerce.number<string>('expected a port').int('expected a port').min(1, 'expected a port').max(65535)
const level = z.enum(['trace', 'debug', 'info', 'warn', 'error'] satisfies LogLevel[])
const names = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
  )
  .pipe(z.array(name))

const Environment = z.object({
  SBCFLEET_POD_NAME: name,
  SBCFLEET_POD_NAMESPACE: name,
  SBCFLEET_ADDRESS: z.union([z.ipv4(), z.ipv6()], 'expected an IP address'),
  SBCFLEET_NAMESPACES: names,
  SBCFLEET_LEASE: name.default('sbcfleet'),
  SBCFLEET_CONTROL_SERVICE: name,
  SBCFLEET_CONTROL_PORT: port.default(8443),
  SBCFLEET_PROBE_PORT: port.default(8080),
  SBCFLEET_TLS_SECRET: name.default('sbcfleet-control-tls'),
  SBCFLEET_TLS_ISSUER: z.enum(['Operator', 'Other']).default('Operator'),
  SBCFLEET_REPLICA_IMAGE: z.string('expected an image').min(1, 'expected an image'),
  SBCFLEET_REPLICA_IMAGE_PULL_POLICY: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
  SBCFLEET_REPLICA_IMAGE_PULL_SECRETS: names,
  SBCFLEET_REPLICA_LOG_LEVEL: level.default('info'),
  SBCFLEET_LOG_LEVEL: level.default('info'),
} satisfies Record<keyof typeof variables, z.ZodType>)

/** What the operator is told by its environment. */
export type Env = z.output<typeof Environment>

/** Variables with wrong values, each named with its value and what is expected. */
export class EnvError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'EnvError'
    this.problems = problems
  }
}

/** Reads all variables; an empty one counts as absent. Throws an `EnvError` that names every wrong one. */
export function readEnv(environment: Readonly<Record<string, string | undefined>> = process.env): Env {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const result = Environment.safeParse(given)
  if (result.success) return result.data
  throw new EnvError(
    result.error.issues.map(({ path: [variable = ''], message }) => {
      const value = given[String(variable)]
      return `${String(variable)} is ${value === undefined ? 'not set' : JSON.stringify(value)}: ${message}`
    }),
  )
}
