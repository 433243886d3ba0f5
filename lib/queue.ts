/** A piece of work; it is over when it calls `done`. */
export type Task = (done: () => void) => void

/** Runs tasks one after the other, in order. Work may be held up from outside. */
export class SerialQueue {
  readonly #limit: number
  #waiting: Task[] = []
  #running = false
  #holds = 0
  /** A task that is done at once leads to the next by the loop, not by another call. */
  #looping = false

  /** No more than `limit` tasks wait. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** False when too many wait already: the task is not taken. */
  push(task: Task): boolean {
    if (this.#waiting.length >= this.#limit) return false
    this.#waiting.push(task)
    this.#next()
    return true
  }

  /** No task starts until what comes back was called. Calling it twice does no harm. */
  hold(): () => void {
    this.#holds++
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#holds--
      this.#next()
    }
  }

  /** Forgets what waits. A task that runs goes on. */
  clear(): void {
    this.#waiting = []
  }

  #next(): void {
    if (this.#looping) return
    this.#looping = true
    try {
      while (!this.#running && this.#holds === 0) {
        const task = this.#waiting.shift()
        if (task === undefined) return
        this.#start(task)
      }
    } finally {
      this.#looping = false
    }
  }

  #start(task: Task): void {
    this.#running = true
    let over = false
    const done = () => {
      if (over) return
      over = true
      this.#running = false
      this.#next()
    }
    try {
      task(done)
    } catch (error) {
      done()
      throw error
    }
  }
}
