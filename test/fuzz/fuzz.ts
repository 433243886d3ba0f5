import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parseMessage } from '../../dataplane/engine/message/parse.ts'
import { parseWithDrachtioSrf } from './drachtio-parser.ts'
import type { Finding, FuzzedMessage } from './finding.ts'
import type { Connection } from '../engine/under-test.ts'
import { FuzzedReplica } from './fuzzed-replica.ts'
import { problemOf } from './inspect.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { tortureTexts } from './torture-texts.ts'
import { Traffic } from './traffic.ts'

/** No message may keep the process longer, in milliseconds. */
const LIMIT = 5
const BATCH = 32
const BATCHES_A_ROUND = 64
/** One of so many rounds goes through drachtio-srf over the network, which takes longer. */
const ROUNDS_WITHIN = 4
/** Messages before a finding that go with it. */
const HISTORY = 40

export interface FuzzResult {
  readonly seed: number
  readonly messages: number
  readonly findings: readonly Finding[]
  /** Of the mutated ones: taken as they are, answered, passed over. */
  readonly verdicts: { readonly accepted: number; readonly answered: number; readonly silent: number }
  /** Messages that the replica sent. */
  readonly sent: number
  readonly seconds: number
  /** The longest single message after measuring again, in milliseconds. */
  readonly slowestMilliseconds: number
  /** Memory in use after garbage collection, in bytes, at the end of the second round and at the end. */
  readonly heapBytes: readonly [early: number, end: number]
}

export interface FuzzOptions {
  readonly messages: number
  readonly seed: number
  /** Told now and then how far it is. */
  readonly onProgress?: (messages: number, heapBytes: number) => void
  /** Ends at the next round when it says so. */
  readonly stopped?: () => boolean
}

/**
 * Sends so many messages, most of them mutated, through parser, engine, drachtio-srf and call logic. A finding is: an
 * exception, a message that takes more than 5 ms each time it is measured, something sent that is malformed or has a
 * smuggled header field, a transaction, dialog or call left behind, or a socket that answers no more.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const run = new FuzzRun(options)
  const faults = (error: unknown) =>
    run.report('exception', error instanceof Error ? (error.stack ?? '') : String(error))
  process.on('uncaughtException', faults)
  process.on('unhandledRejection', faults)
  const { error } = console
  // drachtio-srf says so there when it cannot read a message, and passes over it.
  console.error = (...said: unknown[]) => run.report('exception', `drachtio-srf: ${said.map(String).join(' ')}`)
  try {
    return await run.run()
  } finally {
    console.error = error
    process.off('uncaughtException', faults)
    process.off('unhandledRejection', faults)
  }
}

/** Sends messages once more, as they are; the findings they lead to. */
export async function replay(messages: readonly FuzzedMessage[]): Promise<readonly Finding[]> {
  const run = new FuzzRun({ messages: messages.length, seed: 0 })
  return run.replay(messages)
}

class FuzzRun {
  readonly #options: FuzzOptions
  readonly #random: Random
  readonly #findings: Finding[] = []
  readonly #history: FuzzedMessage[] = []
  readonly #verdicts = { accepted: 0, answered: 0, silent: 0 }
  #replica: FuzzedReplica | undefined
  #traffic: Traffic
  #messages = 0
  #sent = 0
  #slowest = 0
  #heap: [number, number] = [0, 0]

  constructor(options: FuzzOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.#traffic = new Traffic(this.#random)
  }

  report(kind: Finding['kind'], detail: string): void {
    const { seed } = this.#options
    this.#findings.push({ kind, detail, seed, number: this.#messages, messages: [...this.#history] })
  }

  async run(): Promise<FuzzResult> {
    const { messages, seed, onProgress, stopped } = this.#options
    const start = performance.now()
    for (let round = 0; this.#messages < messages && stopped?.() !== true; round++) {
      const replica = await this.#start(round % ROUNDS_WITHIN === 0 ? 'over the network' : 'within the process')
      await this.#round(replica)
      await replica.stop()
      const heap = heapAfterCollection()
      if (round < 2) this.#heap[0] = heap
      this.#heap[1] = heap
      onProgress?.(this.#messages, heap)
      if (this.#findings.length >= 20) break
    }
    return {
      seed,
      messages: this.#messages,
      findings: this.#findings,
      verdicts: this.#verdicts,
      sent: this.#sent,
      seconds: Math.round((performance.now() - start) / 100) / 10,
      slowestMilliseconds: Math.round(this.#slowest * 1000) / 1000,
      heapBytes: this.#heap,
    }
  }

  async replay(messages: readonly FuzzedMessage[]): Promise<readonly Finding[]> {
    for (const connection of ['within the process', 'over the network'] as const) {
      const replica = await this.#start(connection)
      for (const message of messages) {
        this.#deliver(replica, message)
        await replica.settled()
        replica.clock.advance(20)
      }
      await this.#closeRound(replica)
      await replica.stop()
    }
    return this.#findings
  }

  async #start(connection: Connection): Promise<FuzzedReplica> {
    const replica = await FuzzedReplica.start((text, side) => {
      this.#sent++
      const problem = problemOf(text)
      if (problem !== undefined) this.report('output', `${problem}\n${text}`)
      this.#traffic.sent(text, side)
    }, connection)
    this.#replica = replica
    return replica
  }

  async #round(replica: FuzzedReplica): Promise<void> {
    for (let batch = 0; batch < BATCHES_A_ROUND && this.#messages < this.#options.messages; batch++) {
      for (let one = 0; one < BATCH; one++) this.#sendOne(replica)
      await replica.settled()
      replica.clock.advance(this.#random.below(10) === 0 ? 3000 : 20)
      this.#collectErrors(replica)
    }
    await this.#closeRound(replica)
    this.#history.length = 0
    this.#traffic = new Traffic(this.#random)
  }

  /** Ends everything, and looks whether everything has ended. */
  async #closeRound(replica: FuzzedReplica): Promise<void> {
    await replica.wipe()
    if (!(await replica.answersOverSockets())) this.report('silence', 'a real socket answers no more')
    // On a busy machine the kernel may have kept until then what was sent over the real sockets.
    await replica.wipe()
    this.#collectErrors(replica)
    const { leftover } = replica
    if (leftover !== undefined) this.report('leak', leftover)
  }

  #sendOne(replica: FuzzedReplica): void {
    const random = this.#random
    const usual = this.#traffic.next()
    const { side } = usual
    const original = random.once(20) ? (random.of(tortureTexts) ?? usual.text) : usual.text
    // One of six goes as it is, or no conversation would get far.
    const text = random.once(6) ? original : mutate(original, random, tortureTexts)
    const way = random.once(40) ? random.of(['UDP', 'TCP'] as const) : 'intake'
    this.#deliver(replica, { text, side, way })
  }

  #deliver(replica: FuzzedReplica, message: FuzzedMessage): void {
    const { text, side, way } = message
    this.#messages++
    this.#history.push(message)
    if (this.#history.length > HISTORY) this.#history.shift()
    if (way !== 'intake') return replica.sendOver(way, text, this.#random.below(text.length + 1))
    let spent = Math.max(replica.receive(text, side), this.#parse(text))
    if (spent > LIMIT) spent = this.#measureAgain(text, side)
    this.#slowest = Math.max(this.#slowest, spent)
  }

  /** What drachtio-srf makes of it when the engine lets it through; milliseconds. */
  #parse(text: string): number {
    const parsed = parseMessage(text)
    if (!parsed.ok) {
      this.#verdicts[parsed.message === undefined ? 'silent' : 'answered']++
      return 0
    }
    this.#verdicts.accepted++
    const start = performance.now()
    try {
      parseWithDrachtioSrf(parsed.message.text)
    } catch (error) {
      this.report('exception', `drachtio-srf: ${error instanceof Error ? error.stack : String(error)}`)
    }
    return performance.now() - start
  }

  /** A pause of the machine or of the garbage collection takes time once; what is slow is slow each time. */
  #measureAgain(text: string, side: FuzzedMessage['side']): number {
    let best = Infinity
    for (let again = 0; again < 20 && best > LIMIT; again++) {
      // Another branch, or it would be taken for a retransmission and be fast.
      const other = text.replace('z9hG4bK', `z9hG4bK${this.#messages}x${again}`)
      const start = performance.now()
      this.#replica?.receive(other, side)
      this.#parse(other)
      best = Math.min(best, performance.now() - start)
    }
    if (best > LIMIT) this.report('slow', `${best.toFixed(1)} ms, the fastest of twenty`)
    return best
  }

  #collectErrors(replica: FuzzedReplica): void {
    for (const line of replica.errors.splice(0)) this.report('exception', line)
  }
}

function heapAfterCollection(): number {
  collect()
  return process.memoryUsage().heapUsed
}

const collect = exposedCollector()

function exposedCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
