import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { ApiError } from './api-error.ts'
import { readEvents } from './watch-event.ts'

function added(name: string): string {
  return `${JSON.stringify({ type: 'ADDED', object: { metadata: { name, resourceVersion: '1' } } })}\n`
}

async function namesIn(...chunks: (string | Buffer)[]): Promise<string[]> {
  const names: string[] = []
  for await (const { object } of readEvents(Readable.from(chunks.map((chunk) => Buffer.from(chunk))))) {
    names.push(object.metadata.name)
  }
  return names
}

describe('the events of a watch', () => {
  it('come one by one from a chunk, and one from many chunks, cut within a character too', async () => {
    const bytes = Buffer.from(added('zürich'))
    const middle = bytes.indexOf(0xc3) + 1
    expect(await namesIn(`${added('a')}${added('b')}`, bytes.subarray(0, middle), bytes.subarray(middle))).toEqual([
      'a',
      'b',
      'zürich',
    ])
  })

  it('come byte by byte as well', async () => {
    const bytes = Buffer.from(added('a') + added('b'))
    expect(await namesIn(...Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(['a', 'b'])
  })

  it.each([
    ['a line cut by the end', added('a').slice(0, -9), 'ended within an event'],
    ['a whole event without its newline', added('a').slice(0, -1), 'ended within an event'],
    ['what is no JSON', '<html>\n', 'JSON'],
    ['JSON that is no event', '{"kind":"List"}\n', 'without an object'],
    ['an object without a version', '{"type":"ADDED","object":{"metadata":{}}}\n', 'no resourceVersion'],
    ['an event of a type to come', '{"type":"MOVED","object":{"metadata":{"resourceVersion":"1"}}}\n', 'type MOVED'],
  ])('end with an error for %s', async (_, text, message) => {
    await expect(namesIn(text)).rejects.toThrow(message)
  })

  it('end with the word of the server when it reports an error', async () => {
    const status = { code: 410, reason: 'Expired', message: 'too old resource version: 1 (9)' }
    const error = await namesIn(`${JSON.stringify({ type: 'ERROR', object: status })}\n`).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({ code: 410, reason: 'Expired' })
  })

  it('end with an error for a line that has no end', async () => {
    const megabyte = Buffer.alloc(1024 * 1024, 'x')
    await expect(namesIn(...Array.from({ length: 17 }, () => megabyte))).rejects.toThrow('longer than')
  })
})
