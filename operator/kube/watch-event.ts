import type { Readable } from 'node:stream'
import { ApiError, type Status } from './api-error.ts'
import type { KubeObject } from './resource.ts'

/** One line of a watch. */
export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  /** Nothing has changed up to this resource version. */
  | { readonly type: 'BOOKMARK'; readonly object: KubeObject }

/** More than etcd takes for one object, so that a server gone wild cannot fill the memory. */
const longestLine = 16 * 1024 * 1024

/**
 * The events of a watch as they come. Ends when the server ends the watch. Throws when a line is no event, when the
 * stream ends within a line, and, as an `ApiError`, when the server reports an error in the stream.
 */
export async function* readEvents<T extends KubeObject>(stream: Readable): AsyncGenerator<WatchEvent<T>> {
  let parts: Buffer[] = []
  let length = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let begin = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, begin)) {
      parts.push(chunk.subarray(begin, end))
      const line = Buffer.concat(parts).toString('utf8')
      parts = []
      length = 0
      begin = end + 1
      if (line !== '') yield parseEvent(line)
    }
    if (begin < chunk.length) parts.push(chunk.subarray(begin))
    length += chunk.length - begin
    if (length > longestLine) throw new Error(`an event is longer than ${longestLine} bytes`)
  }
  if (length > 0) throw new Error('the watch ended within an event')
}

function parseEvent<T extends KubeObject>(line: string): WatchEvent<T> {
  const event = JSON.parse(line) as { type?: string; object?: unknown }
  const { object } = event
  const type = String(event.type)
  if (object === null || typeof object !== 'object') throw new Error('an event without an object')
  switch (type) {
    case 'ERROR': {
      const status = object as Status
      throw new ApiError('watch', status.code ?? 500, status)
    }
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      if (typeof (object as KubeObject).metadata?.resourceVersion !== 'string') {
        throw new Error('an event whose object has no resourceVersion')
      }
      return { type, object: object as T }
    default:
      throw new Error(`an event of unknown type ${type}`)
  }
}
