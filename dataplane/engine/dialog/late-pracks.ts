import type { SipMessage } from '../message/sip-message.ts'
import type { TimerTarget, TimerWheel } from '../transaction/timer-wheel.ts'
import { GIVE_UP } from '../transaction/timers.ts'
import type { Dialog } from './dialog.ts'
import { rackOf } from '../message/reliability.ts'
import type { ReliableProvisionals } from './reliable-provisionals.ts'

/**
 * Reliable provisional responses whose INVITE was refused before their PRACK came. RFC 3262 §3: the UAS "MUST be prepared to
 * process PRACK requests for those outstanding responses", though their early dialogs are gone.
 */
export class LatePracks implements TimerTarget {
  readonly #wheel: TimerWheel
  readonly #outstanding = new Map<string, ReliableProvisionals>()
  /** Their keys, oldest first; each leaves when its time is over. */
  #keys: string[] = []

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel
  }

  expect({ callId, localTag, remoteTag }: Dialog, provisionals: ReliableProvisionals): void {
    const key = `${callId} ${localTag} ${remoteTag}`
    this.#outstanding.set(key, provisionals)
    this.#keys.push(key)
    this.#wheel.start(GIVE_UP, this, 'over')
  }

  /** Whether it is one of those that may still come. */
  take(prack: SipMessage): boolean {
    const rack = rackOf(prack)
    const provisionals = this.#outstanding.get(`${prack.callId} ${prack.toTag} ${prack.fromTag}`)
    return rack !== undefined && provisionals?.acknowledge(rack) === true
  }

  onTimer(): void {
    const key = this.#keys.shift()
    if (key !== undefined) this.#outstanding.delete(key)
  }

  stop(): void {
    this.#outstanding.clear()
    this.#keys = []
  }
}
