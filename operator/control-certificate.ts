import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import { type CertificateSet, flaw, renewalDelay, renewed } from './certificates/plan.ts'
import { isConflict } from './kube/api-error.ts'
import type { KubeClient } from './kube/client.ts'
import type { KubeObject, ObjectName, Resource } from './kube/resource.ts'

export interface SecretObject extends KubeObject {
  readonly type?: string
  readonly data?: Readonly<Record<string, string>>
}

export const secrets: Resource<SecretObject> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
}

export interface ControlCertificateOptions {
  readonly api: Pick<KubeClient, 'create' | 'replace'>
  readonly secret: ObjectName
  readonly dnsNames: readonly string[]
  /** Whether this program makes the certificate; otherwise somebody else does, as cert-manager. */
  readonly issues: boolean
  /** Only the leader writes. */
  readonly isLeader: () => boolean
  /** A usable set is there, the first or another one. */
  readonly onChange: (set: CertificateSet) => void
  readonly clock: Clock
  readonly log: Log
}

const retryMilliseconds = 5_000
/** Longest that a timer may run. */
const longestDelay = 86_400_000

/**
 * The certificate that replicas see: read from a Secret that all operator replicas watch, and made and renewed by the
 * leader unless somebody else does that. A set that cannot be used leaves the one before in place, with a warning.
 */
export class ControlCertificate {
  readonly #options: ControlCertificateOptions
  #secret: SecretObject | undefined
  /** Whether there is a Secret is known. */
  #isSeen = false
  #used: string | undefined
  #timer: Timer | undefined
  #checking: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: ControlCertificateOptions) {
    this.#options = options
  }

  /** The Secret as it is now; undefined when there is none. */
  see(secret: SecretObject | undefined): void {
    this.#secret = secret
    this.#isSeen = true
    this.check()
  }

  /** Looks whether something is to be done; also when this process became the leader. */
  check(): void {
    this.#checking = this.#checking.then(() => this.#check())
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#checking
  }

  async #check(): Promise<void> {
    if (this.#stopped || !this.#isSeen) return
    const { clock, dnsNames, issues, isLeader, log } = this.#options
    const present = setIn(this.#secret)
    const next = issues && isLeader() ? renewed(present, { dnsNames, now: clock.wallTime() }) : undefined
    if (next !== undefined) return this.#write(next)
    if (present === undefined) return this.#missing()
    const found = flaw(present, dnsNames[0] ?? '', clock.wallTime())
    if (found !== undefined)
      log.warn({ secret: this.#options.secret.name, reason: found }, 'the certificate cannot be used')
    else this.#use(present)
    this.#checkAfter(Math.min(longestDelay, renewalDelay(present, clock.wallTime()) || longestDelay))
  }

  #use(set: CertificateSet): void {
    const text = JSON.stringify([set.server.certificate, set.authorities])
    if (text === this.#used) return
    this.#used = text
    this.#options.log.info({ secret: this.#options.secret.name }, 'a certificate is used')
    this.#options.onChange(set)
  }

  #missing(): void {
    const { issues, log, secret } = this.#options
    const fields = { secret: `${secret.namespace}/${secret.name}` }
    if (issues) log.info(fields, 'waiting for the leader to make the certificate')
    else log.warn(fields, 'the Secret is missing, or lacks tls.crt, tls.key or ca.crt; replicas cannot connect')
  }

  async #write(set: CertificateSet): Promise<void> {
    const { api, secret, log } = this.#options
    const { name, namespace } = secret
    const resourceVersion = this.#secret?.metadata.resourceVersion
    const object: SecretObject = {
      metadata: {
        name,
        ...(namespace !== undefined && { namespace }),
        ...(resourceVersion !== undefined && { resourceVersion }),
        labels: { 'app.kubernetes.io/name': 'sbcfleet', 'app.kubernetes.io/managed-by': 'sbcfleet' },
      },
      type: 'kubernetes.io/tls',
      data: dataOf(set),
    }
    try {
      this.#secret =
        resourceVersion === undefined ? await api.create(secrets, object) : await api.replace(secrets, object)
      log.info({ secret: name }, 'a certificate was made')
      this.check()
    } catch (error) {
      // Somebody wrote it meanwhile: the watch brings what.
      if (!isConflict(error)) log.error({ err: error, secret: name }, 'the certificate cannot be written')
      this.#checkAfter(retryMilliseconds)
    }
  }

  #checkAfter(milliseconds: number): void {
    this.#timer?.cancel()
    if (!this.#stopped) this.#timer = this.#options.clock.after(milliseconds, () => this.check())
  }
}

function dataOf({ server, authority, next, authorities }: CertificateSet): Record<string, string> {
  const encode = (text: string) => Buffer.from(text).toString('base64')
  return {
    'tls.crt': encode(server.certificate),
    'tls.key': encode(server.key),
    'ca.crt': encode(authorities),
    ...(authority !== undefined && {
      'authority.crt': encode(authority.certificate),
      'authority.key': encode(authority.key),
    }),
    ...(next !== undefined && {
      'next-authority.crt': encode(next.certificate),
      'next-authority.key': encode(next.key),
    }),
  }
}

function setIn(secret: SecretObject | undefined): CertificateSet | undefined {
  const read = (key: string) => {
    const value = secret?.data?.[key]
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString()
  }
  const [certificate, key, authorities] = ['tls.crt', 'tls.key', 'ca.crt'].map(read)
  if (certificate === undefined || key === undefined || authorities === undefined) return undefined
  const pair = (name: string) => {
    const [its, itsKey] = [`${name}.crt`, `${name}.key`].map(read)
    return its === undefined || itsKey === undefined ? undefined : { certificate: its, key: itsKey }
  }
  const [authority, next] = ['authority', 'next-authority'].map(pair)
  return { server: { certificate, key }, authorities, ...(authority && { authority }), ...(next && { next }) }
}
