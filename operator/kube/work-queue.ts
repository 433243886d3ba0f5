import type { Clock, Timer } from '#lib/clock.ts'
import type { KubeMetrics } from './metrics.ts'
import { RetryRate } from './retry-rate.ts'

export interface WorkQueueOptions {
  /** The label `name` of its metrics. */
  readonly name: string
  readonly clock: Clock
  readonly metrics: KubeMetrics
}

/**
 * Keys that want work. A key waits at most once, however often it is added; it is never given out while it is worked
 * on, and when it was added meanwhile it waits again as soon as that is done. So many changes cost one piece of work,
 * and no change is missed.
 */
export class WorkQueue {
  readonly #clock: Clock
  readonly #metrics: KubeMetrics['workQueue']
  readonly #labels: { readonly name: string }
  readonly #rate: RetryRate
  /** In the order of arrival, with the time of arrival. */
  readonly #waiting = new Map<string, number>()
  /** With the time when work began. */
  readonly #working = new Map<string, number>()
  /** Added while they are worked on. */
  readonly #again = new Set<string>()
  readonly #later = new Map<string, { due: number; timer: Timer }>()
  readonly #takers: ((key: string | undefined) => void)[] = []
  #isShutDown = false

  constructor({ name, clock, metrics }: WorkQueueOptions) {
    this.#clock = clock
    this.#metrics = metrics.workQueue
    this.#labels = { name }
    this.#rate = new RetryRate(clock)
    this.#metrics.depth.compute(this.#labels, () => this.#waiting.size)
    this.#metrics.unfinished.compute(this.#labels, () => this.#running().reduce((sum, seconds) => sum + seconds, 0))
    this.#metrics.longestRunning.compute(this.#labels, () => Math.max(0, ...this.#running()))
  }

  /** Keys that wait now. */
  get depth(): number {
    return this.#waiting.size
  }

  /** Lets a key wait for work. */
  add(key: string): void {
    if (this.#isShutDown || this.#waiting.has(key) || this.#again.has(key)) return
    this.#metrics.adds.add(this.#labels)
    if (this.#working.has(key)) this.#again.add(key)
    else this.#enqueue(key)
  }

  /** Adds a key after so many milliseconds, or earlier, if that was asked for too. */
  addAfter(key: string, milliseconds: number): void {
    if (this.#isShutDown) return
    if (milliseconds <= 0) return this.add(key)
    const due = this.#clock.now() + milliseconds
    const known = this.#later.get(key)
    if (known !== undefined && known.due <= due) return
    known?.timer.cancel()
    const timer = this.#clock.after(milliseconds, () => {
      this.#later.delete(key)
      this.add(key)
    })
    this.#later.set(key, { due, timer })
  }

  /** Adds a key whose work failed, later each time. */
  addRateLimited(key: string): void {
    this.#metrics.retries.add(this.#labels)
    this.addAfter(key, this.#rate.delayOf(key))
  }

  /** The next failure of this key counts as its first. */
  forget(key: string): void {
    this.#rate.forget(key)
  }

  /** How often the key has failed in a row. */
  failuresOf(key: string): number {
    return this.#rate.failuresOf(key)
  }

  /** The next key, which is then worked on until `done`; undefined when the queue is shut down. */
  next(): Promise<string | undefined> {
    if (this.#isShutDown) return Promise.resolve(undefined)
    for (const key of this.#waiting.keys()) return Promise.resolve(this.#begin(key))
    return new Promise((resolve) => this.#takers.push(resolve))
  }

  /** Work on this key has ended, well or not. */
  done(key: string): void {
    const began = this.#working.get(key)
    if (began === undefined) return
    this.#working.delete(key)
    this.#metrics.workSeconds.observe(this.#labels, (this.#clock.now() - began) / 1000)
    if (this.#again.delete(key) && !this.#isShutDown) this.#enqueue(key)
  }

  /** Gives out no more keys, and forgets those that wait. */
  shutDown(): void {
    this.#isShutDown = true
    for (const { timer } of this.#later.values()) timer.cancel()
    this.#later.clear()
    this.#waiting.clear()
    this.#again.clear()
    for (const take of this.#takers.splice(0)) take(undefined)
  }

  #enqueue(key: string): void {
    this.#waiting.set(key, this.#clock.now())
    const take = this.#takers.shift()
    if (take !== undefined) take(this.#begin(key))
  }

  #begin(key: string): string {
    const now = this.#clock.now()
    this.#metrics.queueSeconds.observe(this.#labels, (now - (this.#waiting.get(key) ?? now)) / 1000)
    this.#waiting.delete(key)
    this.#working.set(key, now)
    return key
  }

  /** How long the keys now worked on have taken, in seconds. */
  #running(): number[] {
    const now = this.#clock.now()
    return [...this.#working.values()].map((began) => (now - began) / 1000)
  }
}
