import type { Clock, Timer } from '#lib/clock.ts'

/** What a timer wakes. The event is the name it was started with, so that no closure is needed per timer. */
export interface TimerTarget {
  onTimer(event: string): void
}

/** A timer on the wheel; keep it to stop it. */
export interface WheelTimer {
  readonly target: TimerTarget
  readonly event: string
  /** Slot number, counted from the start of the wheel, in which it falls due. */
  readonly due: number
  next: WheelTimer | undefined
  previous: WheelTimer | undefined
  running: boolean
}

const SLOT_MILLISECONDS = 10
const SLOTS = 4096

interface Slot {
  first: WheelTimer | undefined
  last: WheelTimer | undefined
}

/**
 * All timers of the engine on one clock timer. Starting and stopping cost a few assignments. Timers fall due up to one
 * slot of 10 ms late, never early; those of one slot in the order in which they were started.
 */
export class TimerWheel {
  readonly #clock: Clock
  readonly #start: number
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => ({ first: undefined, last: undefined }))
  /** All slots up to this one have been run. */
  #done = 0
  #count = 0
  #wakeUp: Timer | undefined
  #wakeUpSlot = 0
  #running = false
  #stopped = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#start = clock.now()
  }

  /** Number of timers that run. */
  get count(): number {
    return this.#count
  }

  /** Wakes the target with the event once, after at least so many milliseconds. */
  start(milliseconds: number, target: TimerTarget, event: string): WheelTimer {
    const due = Math.ceil((this.#clock.now() - this.#start + milliseconds) / SLOT_MILLISECONDS)
    const timer: WheelTimer = {
      target,
      event,
      due: Math.max(due, this.#done + 1),
      next: undefined,
      previous: undefined,
      running: true,
    }
    if (this.#stopped) return { ...timer, running: false }
    this.#append(timer)
    this.#count++
    if (!this.#running && (this.#wakeUp === undefined || timer.due < this.#wakeUpSlot)) this.#wakeAt(timer.due)
    return timer
  }

  /** Stops a timer; nothing happens if it has fired or was stopped before. */
  cancel(timer: WheelTimer | undefined): void {
    if (timer === undefined || !timer.running) return
    timer.running = false
    this.#remove(timer)
    this.#count--
    if (this.#count === 0 && !this.#running) this.#sleep()
  }

  /** Stops all timers for good. */
  stop(): void {
    this.#stopped = true
    this.#sleep()
    for (const slot of this.#slots) {
      for (let timer = slot.first; timer !== undefined; timer = timer.next) timer.running = false
      slot.first = undefined
      slot.last = undefined
    }
    this.#count = 0
  }

  #run(): void {
    this.#wakeUp = undefined
    this.#running = true
    const now = Math.floor((this.#clock.now() - this.#start) / SLOT_MILLISECONDS)
    // A clock that stood still for longer than one turn of the wheel: one turn sees every slot.
    if (now - this.#done > SLOTS) this.#done = now - SLOTS
    try {
      while (this.#done < now && this.#count > 0) this.#runSlot(++this.#done, now)
      this.#done = Math.max(this.#done, now)
    } finally {
      this.#running = false
      if (this.#count > 0 && !this.#stopped) this.#wakeAt(this.#nextDue())
    }
  }

  #runSlot(number: number, now: number): void {
    const slot = this.#slot(number)
    let timer = slot.first
    while (timer !== undefined) {
      const next: WheelTimer | undefined = timer.next
      if (timer.due <= now) {
        timer.running = false
        this.#remove(timer)
        this.#count--
        timer.target.onTimer(timer.event)
        // What the target did may have stopped the next one: begin again from the front, which only holds later turns.
        timer = next === undefined || next.running ? next : slot.first
      } else timer = next
    }
  }

  /** First slot that holds a timer; after a whole turn, the last one looked at, where the search goes on. */
  #nextDue(): number {
    for (let number = this.#done + 1; number < this.#done + SLOTS; number++) {
      if (this.#slot(number).first !== undefined) return number
    }
    return this.#done + SLOTS
  }

  #wakeAt(slot: number): void {
    this.#wakeUp?.cancel()
    this.#wakeUpSlot = slot
    const elapsed = this.#clock.now() - this.#start
    this.#wakeUp = this.#clock.after(Math.max(0, slot * SLOT_MILLISECONDS - elapsed), () => this.#run())
  }

  #sleep(): void {
    this.#wakeUp?.cancel()
    this.#wakeUp = undefined
  }

  #slot(number: number): Slot {
    const slot = this.#slots[number % SLOTS]
    if (slot === undefined) throw new RangeError(`no slot ${number}`)
    return slot
  }

  #append(timer: WheelTimer): void {
    const slot = this.#slot(timer.due)
    timer.previous = slot.last
    if (slot.last === undefined) slot.first = timer
    else slot.last.next = timer
    slot.last = timer
  }

  #remove(timer: WheelTimer): void {
    const slot = this.#slot(timer.due)
    if (timer.previous === undefined) slot.first = timer.next
    else timer.previous.next = timer.next
    if (timer.next === undefined) slot.last = timer.previous
    else timer.next.previous = timer.previous
    timer.next = undefined
    timer.previous = undefined
  }
}
