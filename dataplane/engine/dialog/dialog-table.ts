import type { ClientTransaction } from '../transaction/client-transaction.ts'
import { detached } from '#lib/detached.ts'
import type { ServerTransaction } from '../transaction/server-transaction.ts'
import type { Flow } from '../transport/transport.ts'
import type { Application } from './application.ts'
import type { Dialog } from './dialog.ts'
import type { ReliableProvisionals } from './reliable-provisionals.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { UnacknowledgedSuccess } from './unacknowledged-success.ts'

/** A dialog with what goes on in it now. */
export interface LiveDialog {
  readonly state: Dialog
  /** Those that it lives for, where a SUBSCRIBE has made it. */
  subscriptions: Subscriptions | undefined
  /** The application that its requests go to; none for a fork that the engine ends by itself. */
  application: Application | undefined
  /** The way its last request came, which requests take back where the peer cannot be connected to: over WebSocket and TLS. */
  way: Flow | undefined
  /** The peer's last INVITE, and its last UPDATE. */
  invite: ServerTransaction | undefined
  update: ServerTransaction | undefined
  /** Our last INVITE. */
  ownInvite: ClientTransaction | undefined
  /** Each 2xx of ours that waits for its ACK: a peer may send its next INVITE before the ACK of the last has come. */
  unacknowledged: readonly UnacknowledgedSuccess[]
  /** Provisional responses of ours to the peer's last INVITE, where they are reliable. */
  reliable: ReliableProvisionals | undefined
  /** The peer's last reliable provisional response to an INVITE of ours, by the CSeq of that. */
  heard: { readonly sequence: number; readonly rseq: number; readonly due: boolean } | undefined
  /** CSeq of an INVITE of ours whose 2xx the application has not acknowledged yet. */
  acknowledgementDue: number | undefined
  /** The last ACK of a 2xx, sent again for each retransmission of that. */
  acknowledgement: { readonly sequence: number; readonly text: string; readonly flow: Flow } | undefined
}

/** The dialogs that are alive. */
export class DialogTable {
  readonly #byTags = new Map<string, LiveDialog>()
  /** Forks of one INVITE share an id; later ones come last. */
  readonly #byId = new Map<string, LiveDialog[]>()
  /** Told of each dialog that goes. */
  onRemove: (dialog: LiveDialog) => void = () => {}

  get count(): number {
    return this.#byTags.size
  }

  /** Takes a new dialog in. */
  add(state: Dialog, application: Application | undefined): LiveDialog {
    const dialog: LiveDialog = {
      state,
      subscriptions: undefined,
      application,
      way: undefined,
      invite: undefined,
      update: undefined,
      ownInvite: undefined,
      unacknowledged: none,
      reliable: undefined,
      heard: undefined,
      acknowledgementDue: undefined,
      acknowledgement: undefined,
    }
    this.#byTags.set(detached(keyOf(state.callId, state.localTag, state.remoteTag)), dialog)
    const forks = this.#byId.get(state.id)
    if (forks === undefined) this.#byId.set(state.id, [dialog])
    else forks.push(dialog)
    return dialog
  }

  /** RFC 3261 §12: "A dialog is identified at each UA with a dialog ID, which consists of a Call-ID value, a local tag and a remote tag." */
  find(callId: string, localTag: string, remoteTag: string): LiveDialog | undefined {
    return this.#byTags.get(keyOf(callId, localTag, remoteTag))
  }

  /** The dialogs of that id: forks of one INVITE. */
  forksOf(id: string): readonly LiveDialog[] {
    return this.#byId.get(id) ?? []
  }

  /** The dialog an application means: the one with that tag of the peer, else the confirmed one, before that the latest early one. */
  ofId(id: string, remoteTag = ''): LiveDialog | undefined {
    const forks = this.#byId.get(id)
    const named = remoteTag === '' ? undefined : forks?.find(({ state }) => state.remoteTag === remoteTag)
    return named ?? forks?.find((fork) => fork.state.state === 'confirmed') ?? forks?.at(-1)
  }

  /** Removes a dialog and stops what it repeats. Removing twice does no harm. */
  remove(dialog: LiveDialog): void {
    const { state } = dialog
    for (const success of dialog.unacknowledged) success.stop()
    dialog.unacknowledged = none
    dialog.subscriptions?.stop()
    // RFC 3261 §17.1.1.2 has no limit for an INVITE that was answered provisionally; one whose dialog is over gets the
    // limit of one that was cancelled (§9.1), or it would wait for ever.
    if (state.state === 'confirmed') dialog.ownInvite?.cancelSent()
    const key = keyOf(state.callId, state.localTag, state.remoteTag)
    if (this.#byTags.get(key) === dialog) {
      this.#byTags.delete(key)
      this.onRemove(dialog)
    }
    const left = this.#byId.get(state.id)?.filter((fork) => fork !== dialog)
    if (left === undefined || left.length === 0) this.#byId.delete(state.id)
    else this.#byId.set(state.id, left)
  }

  has(dialog: LiveDialog): boolean {
    const { state } = dialog
    return this.find(state.callId, state.localTag, state.remoteTag) === dialog
  }

  stop(): void {
    for (const dialog of this.#byTags.values()) {
      for (const success of dialog.unacknowledged) success.stop()
      dialog.subscriptions?.stop()
    }
    this.#byTags.clear()
    this.#byId.clear()
  }
}

function keyOf(callId: string, localTag: string, remoteTag: string): string {
  return `${callId} ${localTag} ${remoteTag}`
}

const none: readonly UnacknowledgedSuccess[] = []
