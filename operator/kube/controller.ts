import type { Clock } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { KubeMetrics } from './metrics.ts'
import { WorkQueue } from './work-queue.ts'

/** What a reconciliation that went well wants. */
export interface Outcome {
  /** Reconcile the key again after so many milliseconds, whether anything changes or not. */
  readonly after?: number
}

/**
 * Brings the world in line with the wish for one key. It gets no event, only the key, and reads what is there now. The
 * signal aborts when it takes too long or the program ends. Whatever it throws means: try again later.
 */
export type Reconcile = (key: string, signal: AbortSignal) => Promise<Outcome | void>

/** Thrown by a reconciliation that trying again cannot cure; only a change of the object can. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError'
}

export interface ControllerOptions {
  /** The label `controller` of its metrics. */
  readonly name: string
  readonly reconcile: Reconcile
  /** How many keys are worked on at once; 1 unless told. */
  readonly workers?: number
  /** Longest time for one reconciliation, in milliseconds; 60 s unless told. */
  readonly timeout?: number
  readonly clock: Clock
  readonly log: Log
  readonly metrics: KubeMetrics
}

/** Reconciles keys as they are added: each by one worker at a time, and again with back-off when it failed. */
export class Controller {
  readonly queue: WorkQueue
  readonly #options: Required<ControllerOptions>
  readonly #metrics: KubeMetrics['controller']
  readonly #labels: { readonly controller: string }
  readonly #stop = new AbortController()
  #running: Promise<unknown> | undefined
  #active = 0

  constructor(options: ControllerOptions) {
    this.#options = { workers: 1, timeout: 60_000, ...options }
    this.#metrics = options.metrics.controller
    this.#labels = { controller: options.name }
    this.queue = new WorkQueue(options)
    this.#metrics.maxConcurrent.set(this.#labels, this.#options.workers)
    this.#metrics.active.compute(this.#labels, () => this.#active)
  }

  /** Wants this key reconciled. */
  enqueue(key: string): void {
    this.queue.add(key)
  }

  /** Starts the workers. Keys may be added before. */
  start(): void {
    this.#running ??= Promise.all(Array.from({ length: this.#options.workers }, () => this.#work()))
  }

  /** Takes no more keys, aborts what runs, and resolves when that has ended. */
  async stop(): Promise<void> {
    this.queue.shutDown()
    this.#stop.abort(new Error('stopping'))
    await this.#running
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.queue.next()
      if (key === undefined || this.#stop.signal.aborted) return
      this.#active++
      await this.#reconcile(key)
      this.#active--
      this.queue.done(key)
    }
  }

  async #reconcile(key: string): Promise<void> {
    const { clock, reconcile, timeout } = this.#options
    const began = clock.now()
    const abort = new AbortController()
    const stop = () => abort.abort(this.#stop.signal.reason)
    this.#stop.signal.addEventListener('abort', stop, { once: true })
    const timer = clock.after(timeout, () => {
      this.#metrics.timeouts.add(this.#labels)
      abort.abort(new Error(`reconciling took longer than ${timeout / 1000} s`))
    })
    try {
      this.#succeeded(key, (await reconcile(key, abort.signal)) ?? {})
    } catch (error) {
      this.#failed(key, error)
    } finally {
      timer.cancel()
      this.#stop.signal.removeEventListener('abort', stop)
      this.#metrics.seconds.observe(this.#labels, (clock.now() - began) / 1000)
    }
  }

  #succeeded(key: string, { after }: Outcome): void {
    this.queue.forget(key)
    if (after !== undefined) this.queue.addAfter(key, after)
    this.#metrics.reconciles.add({ ...this.#labels, result: after === undefined ? 'success' : 'requeue_after' })
  }

  #failed(key: string, error: unknown): void {
    if (this.#stop.signal.aborted) return
    const { log, name } = this.#options
    const isTerminal = error instanceof TerminalError
    this.#metrics.errors.add(this.#labels)
    this.#metrics.reconciles.add({ ...this.#labels, result: 'error' })
    if (isMistake(error)) this.#metrics.panics.add(this.#labels)
    if (isTerminal) {
      this.#metrics.terminalErrors.add(this.#labels)
      this.queue.forget(key)
    } else {
      this.queue.addRateLimited(key)
    }
    log.error({ controller: name, key, err: error, failures: this.queue.failuresOf(key) }, 'reconciling failed')
  }
}

/** What a program throws when it is wrong, rather than the world around it. */
function isMistake(error: unknown): boolean {
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError
}
