import type { Clock, Timer } from '#lib/clock.ts'
import type { SipPort } from '../sip/port.ts'
import type { Leg } from './leg.ts'
import { ownRequestHeaders } from './relay.ts'

/** What the keepalive asks of the call. */
export interface KeepaliveHost {
  guard(run: () => void): void
  open(): () => void
  /** The peer has no such dialog any more. */
  lost(leg: Leg, status: number): void
}

/**
 * Answers after which the dialog is over: 481 and 408 by RFC 3261 section 12.2.1.2, the others by the table of RFC 5057
 * section 5.1. Anything else concerns the OPTIONS alone, and shows that somebody is there.
 */
const fatal: ReadonlySet<number> = new Set([404, 408, 410, 416, 481, 482, 483, 484, 485, 502, 604])

/**
 * OPTIONS inside the dialog of each leg, by itself (feature item 25): so a call whose peer has died or has forgotten it
 * comes to an end where no session timer sees to that.
 */
export class InDialogKeepalive {
  readonly #host: KeepaliveHost
  readonly #sip: SipPort
  readonly #clock: Clock
  readonly #random: () => number
  readonly #timers = new Map<Leg, Timer>()

  constructor(host: KeepaliveHost, { sip, clock, random }: { sip: SipPort; clock: Clock; random: () => number }) {
    this.#host = host
    this.#sip = sip
    this.#clock = clock
    this.#random = random
  }

  /** The leg is up. The first comes a little early, so that calls that began together do not ask together. */
  start(leg: Leg): void {
    const { enabled, intervalSeconds } = leg.sip.inDialogKeepalive
    if (enabled) this.#wait(leg, intervalSeconds * 1000 * (1 - this.#random() / 10))
  }

  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  #wait(leg: Leg, milliseconds: number): void {
    this.#timers.set(
      leg,
      this.#clock.after(milliseconds, () => this.#host.guard(() => this.#ask(leg))),
    )
  }

  #ask(leg: Leg): void {
    const { intervalSeconds, skipWhenSessionTimer } = leg.sip.inDialogKeepalive
    this.#wait(leg, intervalSeconds * 1000)
    if (leg.state.at !== 'up' || (skipWhenSessionTimer && leg.timer !== undefined)) return
    const close = this.#host.open()
    this.#sip.send(
      { method: 'OPTIONS', dialogId: leg.dialogId, headers: [...ownRequestHeaders(), ['Accept', 'application/sdp']] },
      {
        onResponse: ({ status }) => {
          if (status < 200) return
          if (fatal.has(status)) this.#host.guard(() => this.#host.lost(leg, status))
          close()
        },
        onFailure: ({ code }) => {
          if (code === 'DialogGone') this.#host.guard(() => this.#host.lost(leg, 481))
          close()
        },
      },
    )
  }
}
