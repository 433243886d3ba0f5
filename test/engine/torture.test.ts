import { afterEach, describe, expect, it } from 'vitest'
import { invalidMessages } from '../../dataplane/engine/testdata/torture-invalid.ts'
import type { TortureMessage } from '../../dataplane/engine/testdata/torture-message.ts'
import { ipv6Messages } from '../../dataplane/engine/testdata/torture-ipv6.ts'
import { semanticMessages } from '../../dataplane/engine/testdata/torture-semantics.ts'
import { validMessages } from '../../dataplane/engine/testdata/torture-valid.ts'
import { FuzzedReplica } from '../fuzz/fuzzed-replica.ts'
import { problemOf } from '../fuzz/inspect.ts'

let replica: FuzzedReplica | undefined

afterEach(() => replica?.stop())

/** What a whole replica says to a message from one of its trunks. */
async function answerTo(torture: TortureMessage): Promise<TortureMessage['answer']> {
  const sent: { text: string; side: string }[] = []
  const started = await FuzzedReplica.start((text, side) => sent.push({ text, side }))
  replica = started
  started.receive(torture.text, 'pbx')
  await started.settled()
  for (const { text } of sent) expect(problemOf(text)).toBeUndefined()
  expect(started.errors).toEqual([])
  if (sent.some(({ text, side }) => side === 'carrier' && text.startsWith('INVITE '))) return 'called'
  const final = sent.find(({ text }) => /^SIP\/2\.0 [2-6]/.test(text))
  return final === undefined ? 'none' : Number(final.text.slice(8, 11))
}

describe.each([
  ['RFC 4475 §3.1.1', validMessages],
  ['RFC 4475 §3.1.2', invalidMessages],
  ['RFC 4475 §3.2 to §3.4', semanticMessages],
  ['RFC 5118', ipv6Messages],
])('a trunk that sends messages of %s', (_collection, messages) => {
  it.each(messages)('§$section $title: gets $answer, since $why', async (torture) => {
    expect(await answerTo(torture)).toBe(torture.answer)
  })
})
