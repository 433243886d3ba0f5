/** The API server's own word on a request that failed, as in `Status` of `meta/v1`. */
export interface Status {
  readonly kind?: string
  readonly message?: string
  readonly reason?: string
  readonly code?: number
  readonly details?: {
    readonly retryAfterSeconds?: number
    readonly causes?: readonly { readonly field?: string; readonly message?: string; readonly reason?: string }[]
  }
}

/** The API server said no. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** HTTP status code. */
  readonly code: number
  /** One word, as `NotFound`, `Conflict`, `Invalid`; empty when the answer was not the API server's. */
  readonly reason: string
  readonly status: Status
  /** When the server wants to be asked again, in milliseconds; undefined when it did not say. */
  readonly retryAfter: number | undefined

  constructor(request: string, code: number, status: Status, retryAfterSeconds?: number) {
    super(`${request}: ${code} ${status.reason ?? ''}: ${status.message ?? 'no message'}`)
    this.code = code
    this.reason = status.reason ?? ''
    this.status = status
    const seconds = retryAfterSeconds ?? status.details?.retryAfterSeconds
    this.retryAfter = seconds === undefined ? undefined : seconds * 1000
  }
}

/** The API server could not be reached, did not answer in time, or broke off. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'

  constructor(request: string, cause: Error) {
    super(`${request}: ${cause.message === '' ? cause.name : cause.message}${hint(cause)}`, { cause })
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404
}

/** Someone else changed the object since it was read, or it exists already. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.code === 409
}

/** The resource version or continue token is older than what the server remembers. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && error.code === 410
}

/**
 * The API server's schema of the object lacks a field that was sent: its CustomResourceDefinition is of an older release.
 * Server-side apply answers that with 500, and without a reason.
 */
export function isUnknownField(error: unknown): error is ApiError {
  return (
    error instanceof ApiError &&
    error.code === 500 &&
    error.status.message?.startsWith('failed to create typed patch object') === true
  )
}

function hint(cause: Error): string {
  const code = 'code' in cause ? cause.code : undefined
  if (code === 'ECONNREFUSED' || code === 'ETIMEDOUT') return ' (is the API server up, and allowed by NetworkPolicy?)'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return ' (is DNS reachable?)'
  if (typeof code === 'string' && /CERT|SIGNATURE/.test(code)) return ' (is the certificate authority the right one?)'
  return ''
}
