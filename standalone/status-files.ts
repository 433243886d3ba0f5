import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { SipTrunkStatus } from '#api/sip-trunk.ts'
import { apiVersion, type VoiceServiceStatus } from '#api/voice-service.ts'

/** A resource with its status, as it is written to a file. */
export interface StatusDocument {
  readonly kind: 'VoiceService' | 'SipTrunk'
  readonly namespace: string
  readonly name: string
  readonly generation: number
  /** When it was first read, in milliseconds since 1970. */
  readonly createdAt: number
  readonly status: VoiceServiceStatus | SipTrunkStatus
}

const ownName = /^(voiceservice|siptrunk)-.*\.yaml$/

export function statusFileName({ kind, namespace, name }: Pick<StatusDocument, 'kind' | 'namespace' | 'name'>): string {
  return `${kind.toLowerCase()}-${namespace}-${name}.yaml`
}

/**
 * One YAML file per resource, with the same status as in Kubernetes. A file is replaced as a whole, and only when its
 * content changed; files of resources that no longer exist are removed.
 */
export class StatusFiles {
  readonly #directory: string
  readonly #onError: (error: Error) => void
  readonly #written = new Map<string, string>()
  #lastError = ''

  constructor(directory: string, onError: (error: Error) => void) {
    this.#directory = directory
    this.#onError = onError
  }

  /** What cannot be written is told once to `onError`, and tried again with the next status. */
  write(documents: readonly StatusDocument[]): void {
    try {
      mkdirSync(this.#directory, { recursive: true })
      const texts = new Map(documents.map((document) => [statusFileName(document), format(document)]))
      this.#removeOthers(texts)
      for (const [name, text] of texts) this.#replace(name, text)
      this.#lastError = ''
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error))
      if (cause.message !== this.#lastError) this.#onError(cause)
      this.#lastError = cause.message
    }
  }

  #replace(name: string, text: string): void {
    if (this.#written.get(name) === text) return
    const path = join(this.#directory, name)
    writeFileSync(`${path}.tmp`, text)
    renameSync(`${path}.tmp`, path)
    this.#written.set(name, text)
  }

  #removeOthers(texts: ReadonlyMap<string, string>): void {
    for (const name of readdirSync(this.#directory)) {
      if (!ownName.test(name) || texts.has(name)) continue
      rmSync(join(this.#directory, name), { force: true })
      this.#written.delete(name)
    }
  }
}

function format({ kind, namespace, name, generation, createdAt, status }: StatusDocument): string {
  const creationTimestamp = new Date(createdAt).toISOString()
  return stringify({ apiVersion, kind, metadata: { name, namespace, generation, creationTimestamp }, status })
}
