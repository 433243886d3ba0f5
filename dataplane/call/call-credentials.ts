import type { RunningConfig } from '../config/running.ts'
import { decodeUser, type Uri } from '../engine/message/uri.ts'
import type { IncomingRequest } from '../sip/port.ts'
import type { ChallengedPortHost } from './challenged-port.ts'
import { callingNumber } from './identity-headers.ts'
import type { Leg } from './leg.ts'
import { newToken } from './token.ts'
import { type Account, type ChallengeResult, TrunkCredentials } from './trunk-credentials.ts'

/** What the credentials of a call are chosen by. */
export interface ChallengedCall {
  readonly invite: Pick<IncomingRequest, 'message'>
  readonly called: Uri
  readonly verdict: {
    readonly trunk: { readonly name: string }
    readonly attempts: readonly { readonly trunk: string }[]
  }
  readonly config: Pick<RunningConfig, 'trunks'>
}

/** Told when a peer of a trunk wanted credentials; `why` nothing answered it, as a phrase. */
export type OnTrunkChallenge = (trunk: string, result: ChallengeResult, why?: string) => void

/** Who answers when the peers of a call challenge what is sent to them: the trunk that each of its dialogs is with. */
export class CallCredentials implements ChallengedPortHost {
  readonly #call: ChallengedCall
  readonly #onChallenge: OnTrunkChallenge
  /** Made when they are needed: most calls are never challenged. */
  #byDialog: Map<string, TrunkCredentials> | undefined
  #bySide: Map<string, TrunkCredentials> | undefined

  constructor(call: ChallengedCall, onChallenge: OnTrunkChallenge) {
    this.#call = call
    this.#onChallenge = onChallenge
  }

  /** Whether any trunk of the call has something to answer with. */
  get some(): boolean {
    const { trunk, attempts } = this.#call.verdict
    return this.#has(trunk.name) || attempts.some((attempt) => this.#has(attempt.trunk))
  }

  /** Of the account of our own side's number, where there is one: to the callee we are the caller, and the other way round. */
  of({ side, trunk }: Pick<Leg, 'side' | 'trunk'>): TrunkCredentials {
    const key = `${side} ${trunk}`
    const known = this.#bySide?.get(key)
    if (known !== undefined) return known
    const { invite, called } = this.#call
    const number = side === 'A' ? decodeUser(called) : callingNumber(invite.message)
    const made = new TrunkCredentials(this.#accounts(trunk), number, newToken, (result, why) =>
      this.#onChallenge(trunk, result, why),
    )
    this.#bySide ??= new Map()
    this.#bySide.set(key, made)
    return made
  }

  dialogOpened(leg: Leg, dialogId: string): void {
    if (!this.#has(leg.trunk)) return
    this.#byDialog ??= new Map()
    this.#byDialog.set(dialogId, this.of(leg))
  }

  credentialsIn(dialogId: string): TrunkCredentials | undefined {
    return this.#byDialog?.get(dialogId)
  }

  #has(trunk: string): boolean {
    return this.#accounts(trunk).length > 0
  }

  #accounts(trunk: string): readonly Account[] {
    const { credentials = [], registrations = [] } = this.#call.config.trunks.get(trunk) ?? {}
    return credentials.length === 0 ? registrations : [...credentials, ...registrations]
  }
}
