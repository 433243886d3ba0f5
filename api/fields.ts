import { z } from 'zod'

/**
 * A rule across fields, written once for both readers: `cel` for the API server, `holds` for manifests read from files.
 * `holds` must give the verdict the CEL expression gives.
 */
export interface Rule<T> {
  readonly cel: string
  readonly message: string
  readonly holds: (value: T) => boolean
  /** Where a file reader points to, in a value that breaks the rule; the object itself when absent. */
  readonly path?: (value: T) => PropertyKey[]
}

/** Binds rules to a schema: zod checks them in files, the generator writes them into the CRD as `x-kubernetes-validations`. */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  return schema
    .superRefine((value, context) => {
      for (const rule of rules) {
        if (rule.holds(value)) continue
        context.addIssue({ code: 'custom', message: rule.message, path: rule.path?.(value) ?? [] })
      }
    })
    .meta({
      'x-kubernetes-validations': rules.map(({ cel, message }) => ({ rule: cel, message })),
    }) as S
}

/** A list whose items are told apart by `name`, as server-side apply merges them. Names must be unique. */
export function namedList<S extends z.ZodType<{ name: string }>>(item: S, limits: { min?: number; max: number }) {
  return z
    .array(item)
    .min(limits.min ?? 0)
    .max(limits.max)
    .superRefine((items, context) => {
      const seen = new Set<string>()
      for (const [index, { name }] of items.entries()) {
        if (seen.has(name)) {
          context.addIssue({
            code: 'custom',
            message: `the name "${name}" is used twice in this list`,
            path: [index, 'name'],
          })
        }
        seen.add(name)
      }
    })
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] })
}

/** A list of different plain values. */
export function setOf<S extends z.ZodType<string | number>>(item: S, limits: { min?: number; max: number }) {
  return z
    .array(item)
    .min(limits.min ?? 0)
    .max(limits.max)
    .refine((items) => new Set(items).size === items.length, 'a value stands in this list twice')
    .meta({ 'x-kubernetes-list-type': 'set' })
}

/** RFC 1123 label: how Kubernetes names things, and how we name things inside them. */
export const Name = z
  .string()
  .min(1)
  .max(63)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    'must be lower-case letters, digits and "-", and start and end with a letter or digit',
  )
  .meta({ form: 'RFC 1123 label' })

/** Name of a Kubernetes object: an RFC 1123 subdomain. */
export const ObjectName = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'must be lower-case letters, digits, "-" and ".", and start and end with a letter or digit',
  )
  .meta({ form: 'RFC 1123 subdomain' })

export const Port = z.int().min(1).max(65535)

/** An IPv4 address, an IPv6 address without brackets, or a DNS name. */
export const Host = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/,
    'must be an IP address (IPv6 without brackets) or a DNS name',
  )
  .meta({ form: 'address or DNS name' })

/** An address block in CIDR notation, or a single address. */
export const Cidr = z
  .string()
  .min(2)
  .max(49)
  .regex(
    /^([0-9]{1,3}(\.[0-9]{1,3}){3}(\/([0-9]|[12][0-9]|3[0-2]))?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(\/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))?)$/,
    'must be an IP address or a block such as 192.0.2.0/24 or 2001:db8::/32',
  )
  .meta({ form: 'address or CIDR block' })

/** WS and WSS are SIP over WebSocket (RFC 7118), without and with TLS. */
export const Transport = z.enum(['UDP', 'TCP', 'TLS', 'WS', 'WSS'])
export type Transport = z.infer<typeof Transport>

/** Reference to an object of a known kind in the same namespace. */
export const LocalRef = z.strictObject({ name: ObjectName.describe('Name of the object, in the same namespace.') })

/** Oldest version of TLS that is spoken; older ones are broken (RFC 8996). */
export const TlsVersion = z.enum(['TLSv1.2', 'TLSv1.3'])

/** What the product reads of `metadata`; everything else is passed over. */
export const ObjectMeta = z.looseObject({
  name: ObjectName,
  namespace: ObjectName.default('default'),
  generation: z.int().min(0).optional(),
  /** Older resources win conflicts. `kubectl create --dry-run` writes it as null. */
  creationTimestamp: z.iso.datetime().nullish(),
})
export type ObjectMeta = z.infer<typeof ObjectMeta>
