import { param, parseParams } from '../message/params.ts'
import type { TimerTarget, TimerWheel, WheelTimer } from '../transaction/timer-wheel.ts'
import { GIVE_UP } from '../transaction/timers.ts'

/** Subscriptions that may share a dialog; each event that a peer makes up would take memory and a timer. */
const MOST_EVENTS = 16

/** How long a subscription lives whose end nobody has told, in seconds. */
const DEFAULT_LIFE = 3600

/** No subscription is kept for longer without a refresh, in seconds: a day. */
const LONGEST_LIFE = 86_400

/**
 * The subscriptions in one dialog, by their events. RFC 6665 §4.4.1: "A subscription is destroyed after a notifier sends a
 * NOTIFY request with a "Subscription-State" of "terminated"", and a dialog ends with the last thing it is used for. One that
 * is forgotten by both sides ends by its time.
 */
export class Subscriptions implements TimerTarget {
  readonly #wheel: TimerWheel
  readonly #onEmpty: () => void
  readonly #ends = new Map<string, WheelTimer>()

  constructor(wheel: TimerWheel, onEmpty: () => void) {
    this.#wheel = wheel
    this.#onEmpty = onEmpty
  }

  /** It is there, and lives for so many seconds from now; then there is as long again as a last NOTIFY may take. */
  extend(event: string, seconds: number): void {
    const known = this.#ends.get(event)
    if (known === undefined && this.#ends.size >= MOST_EVENTS) return
    this.#wheel.cancel(known)
    this.#ends.set(event, this.#wheel.start(1000 * Math.min(seconds, LONGEST_LIFE) + GIVE_UP, this, event))
  }

  end(event: string): void {
    const known = this.#ends.get(event)
    if (known === undefined) return
    this.#wheel.cancel(known)
    this.#ends.delete(event)
    if (this.#ends.size === 0) this.#onEmpty()
  }

  /** A NOTIFY was answered, with that value of Subscription-State. */
  notified(event: string, state: string): void {
    const { head, params } = split(state)
    const seconds = secondsIn(param(params, 'expires'))
    if (head.toLowerCase() === 'terminated') this.end(event)
    else if (seconds !== undefined && this.#ends.has(event)) this.extend(event, seconds)
  }

  stop(): void {
    for (const timer of this.#ends.values()) this.#wheel.cancel(timer)
    this.#ends.clear()
  }

  onTimer(event: string): void {
    this.end(event)
  }
}

/** The event of a SUBSCRIBE or NOTIFY with its id, by the value of Event: one subscription of a dialog (RFC 6665 §8.2.1). */
export function eventIn(value = ''): string {
  const { head, params } = split(value)
  return `${head};id=${param(params, 'id') ?? ''}`
}

/** For how many seconds a subscription is: what the 2xx says in Expires, else what was asked for. */
export function lifeOf(granted: string | undefined, asked: string | undefined): number {
  return secondsIn(granted) ?? secondsIn(asked) ?? DEFAULT_LIFE
}

/** RFC 3261 §20.19: "a 32-bit unsigned integer number of seconds". */
function secondsIn(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : undefined
}

function split(value: string): { head: string; params: readonly (readonly [string, string])[] } {
  const semicolon = value.indexOf(';')
  if (semicolon < 0) return { head: value.trim(), params: [] }
  return { head: value.slice(0, semicolon).trim(), params: parseParams(value, semicolon, value.length)?.params ?? [] }
}
