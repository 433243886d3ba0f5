import { isUtf8 } from 'node:buffer'
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LineCounter, parseAllDocuments, type YAMLError } from 'yaml'
import { checkDocument, objectsOf } from './check-document.ts'
import { placeOfOffset } from './locate.ts'
import type { Entry, ManifestProblem, Manifests } from './manifests.ts'

/** Larger than any object Kubernetes would store, many times over. */
const maxFileBytes = 16 * 1024 * 1024

/** How often aliases may repeat what they stand for; beyond that a small file becomes gigabytes. */
const maxAliases = 100

interface Reading {
  readonly entries: Entry[]
  readonly problems: ManifestProblem[]
  readonly unread: string[]
}

/**
 * Reads every `*.yaml`, `*.yml` and `*.json` below a directory (or one such file), in the order of their names. Hidden
 * files are passed over, links are followed once. Never throws: what cannot be read is a problem, and never hides the rest.
 */
export async function readManifests(path: string): Promise<Manifests> {
  const reading: Reading = { entries: [], problems: [], unread: [] }
  const files = await findFiles(path, true, new Set(), reading)
  for (const file of files) await readFileInto(file, reading)
  if (files.length === 0 && reading.unread.length === 0) {
    reading.problems.push(atTop(path, 'holds no manifest; put *.yaml, *.yml or *.json files there'))
  }
  const entries = withoutDuplicates(reading)
  return { ...reading, entries }
}

async function findFiles(path: string, given: boolean, seen: Set<string>, reading: Reading): Promise<string[]> {
  try {
    const real = await realpath(path)
    if (seen.has(real)) return []
    seen.add(real)
    if (!(await stat(real)).isDirectory()) return given || /\.(ya?ml|json)$/.test(path) ? [path] : []
    const names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort()
    const found: string[] = []
    for (const name of names) found.push(...(await findFiles(join(path, name), false, seen, reading)))
    return found
  } catch (error) {
    reading.unread.push(path)
    reading.problems.push(atTop(path, cannotRead(error)))
    return []
  }
}

async function readFileInto(file: string, reading: Reading): Promise<void> {
  try {
    const status = await stat(file)
    // A read of a pipe would wait for whoever writes to it, and every later change with it.
    if (!status.isFile()) throw new Error('it is no regular file; remove it or rename it')
    if (status.size > maxFileBytes) throw new Error(`larger than ${maxFileBytes / 1024 / 1024} MiB; split it`)
    const text = decode(await readFile(file))
    // An editor empties a file before it writes it; what stood there must not be gone for that moment.
    if (text.trim() === '') throw new Error('it is empty; remove the file when nothing is meant')
    parseInto(file, text, reading)
  } catch (error) {
    reading.unread.push(file)
    reading.problems.push(atTop(file, cannotRead(error)))
  }
}

/** Bytes that are no UTF-8 would change names silently; NUL is what UTF-16 and binary files have. */
function decode(bytes: Uint8Array): string {
  if (!isUtf8(bytes) || bytes.includes(0)) throw new Error('it is not UTF-8 text; save it as UTF-8')
  return new TextDecoder().decode(bytes)
}

/** Reads the documents of one text. One that is broken leaves the others as they are. */
function parseInto(file: string, text: string, reading: Reading): void {
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true })
  for (const document of Array.isArray(documents) ? documents : []) {
    const source = { file, document, lines }
    const [error] = document.errors
    if (error !== undefined) {
      reading.unread.push(file)
      reading.problems.push({ ...placeOfOffset(source, error.pos[0]), message: syntaxMessage(error) })
      continue
    }
    try {
      const value: unknown = document.toJS({ maxAliasCount: maxAliases })
      for (const object of objectsOf(value, source)) {
        const { entry, problems, identified } = checkDocument(source, object.base, object.value)
        if (!identified) reading.unread.push(file)
        if (entry !== undefined) reading.entries.push(entry)
        reading.problems.push(...problems)
      }
    } catch (error) {
      // Aliases that lead nowhere, or that blow up, come to light only when values are made of the nodes.
      reading.unread.push(file)
      const message = error instanceof Error ? error.message : String(error)
      reading.problems.push({ ...placeOfOffset(source, document.range[0]), message: `broken YAML: ${message}` })
    }
  }
}

function syntaxMessage({ code, message }: YAMLError): string {
  const wayOut: Partial<Record<YAMLError['code'], string>> = {
    TAB_AS_INDENT: '; indent with spaces',
    DUPLICATE_KEY: '; remove one of the two',
    MISSING_CHAR: '; close what is open above',
    BAD_INDENT: '; indent like the lines around it',
  }
  return `broken YAML: ${message}${wayOut[code] ?? ''}`
}

/** The first of two resources of one name stays; the second is a problem that names both places. */
function withoutDuplicates({ entries, problems }: Reading): Entry[] {
  const first = new Map<string, Entry>()
  for (const entry of entries) {
    const other = first.get(entry.id)
    if (other === undefined) {
      first.set(entry.id, entry)
      continue
    }
    const { file, line } = other.place
    problems.push({
      ...entry.locate('metadata.name'),
      resource: entry.id,
      field: 'metadata.name',
      message: `defined twice: it stands at ${file}:${line} too, which is used; remove or rename one`,
    })
  }
  return [...first.values()]
}

function atTop(file: string, message: string): ManifestProblem {
  return { file, line: 1, column: 1, message }
}

function cannotRead(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'ENOENT':
      return 'cannot be read: it does not exist'
    case 'EACCES':
    case 'EPERM':
      return 'cannot be read: permission denied; make it readable for the user that runs this'
    default:
      return `cannot be read: ${error instanceof Error ? error.message : String(error)}`
  }
}
