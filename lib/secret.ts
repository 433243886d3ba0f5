import { inspect } from 'node:util'

/** A value that never shows itself in logs, dumps, JSON or golden files; `reveal` is the only way to it. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [inspect.custom](): string {
    return '[redacted]'
  }
}

/** JSON text with secrets in the clear: for the wire to a replica and for hashing, nowhere else. */
export function stringifyWithSecrets(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    const original = this[key]
    return original instanceof Secret ? original.reveal() : shown
  })
}
