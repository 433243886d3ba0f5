import { isAlias, isMap, isPair, isScalar, isSeq, type Document, type LineCounter, type Node } from 'yaml'
import type { Place } from './manifests.ts'

/** Path inside a document: keys and indexes. */
export type Path = readonly (string | number)[]

/** `spec.targets[0].port`, as Kubernetes writes paths; a key that is no plain word stands in brackets. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    const key = String(part)
    if (!/^[A-Za-z_$][-\w$]*$/.test(key)) return `${text}["${key}"]`
    return text === '' ? key : `${text}.${key}`
  }, '')
}

export function parsePath(field: string): Path {
  const parts = field.matchAll(/\["([^"]*)"\]|\[(\d+)\]|([^.[\]]+)/g)
  return Array.from(parts, ([, quoted, index, key]) => (index === undefined ? (quoted ?? key ?? '') : Number(index)))
}

/** A YAML document with what it takes to say where something stands in it. */
export interface Source {
  readonly file: string
  readonly document: Document.Parsed
  readonly lines: LineCounter
}

/** The node at a path; undefined when there is none. */
export function nodeAt(source: Source, path: Path): Node | undefined {
  let node = resolve(source, source.document.contents)
  for (const part of path) node = child(source, node, part)?.value
  return node
}

/** Where a value stands; what is missing is looked for in what is around it. */
export function placeAt(source: Source, path: Path): Place {
  let node = resolve(source, source.document.contents)
  let offset = node?.range?.[0] ?? source.document.range[0]
  for (const part of path) {
    const next = child(source, node, part)
    if (next === undefined) break
    // A key without a value has an empty node behind it; the key is what people look for.
    offset = next.value === undefined || isEmpty(next.value) ? next.offset : (next.value.range?.[0] ?? next.offset)
    node = next.value
  }
  return placeOfOffset(source, offset)
}

/** Where a key stands, rather than its value. */
export function keyPlace(source: Source, path: Path): Place {
  const parent = nodeAt(source, path.slice(0, -1))
  const last = path.at(-1)
  const found = last === undefined ? undefined : child(source, parent, last)
  return found === undefined ? placeAt(source, path) : placeOfOffset(source, found.offset)
}

export function placeOfOffset({ file, lines }: Pick<Source, 'file' | 'lines'>, offset: number): Place {
  const { line, col } = lines.linePos(offset)
  return { file, line: Math.max(1, line), column: Math.max(1, col) }
}

interface Child {
  readonly value: Node | undefined
  /** Where its key, or for an item of a list it itself, begins. */
  readonly offset: number
}

function child(source: Source, parent: Node | undefined, part: string | number): Child | undefined {
  if (isSeq(parent)) {
    const item = parent.items[Number(part)]
    return isNode(item) ? { value: resolve(source, item), offset: item.range?.[0] ?? 0 } : undefined
  }
  if (!isMap(parent)) return undefined
  for (const pair of parent.items) {
    if (!isPair(pair) || !isScalar(pair.key) || String(pair.key.value) !== String(part)) continue
    const value = isNode(pair.value) ? resolve(source, pair.value) : undefined
    return { value, offset: pair.key.range?.[0] ?? 0 }
  }
  return undefined
}

function resolve({ document }: Source, node: unknown): Node | undefined {
  if (isAlias(node)) return node.resolve(document)
  return isNode(node) ? node : undefined
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value)
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && (node.source === undefined || node.source === '') && node.value === null
}
