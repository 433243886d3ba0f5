import { parseNameAddr, tagOf } from '../message/name-addr.ts'
import type { ParsedMessage } from '../message/parsed-message.ts'
import type { ServerTransaction } from '../transaction/server-transaction.ts'
import type { Flow } from '../transport/transport.ts'
import type { Application } from './application.ts'
import { dialogIdOf } from './dialog.ts'
import type { DialogTable, LiveDialog } from './dialog-table.ts'
import type { ReliableProvisionals } from './reliable-provisionals.ts'

/** A request that the application has, and has not answered finally. */
export interface Exchange {
  readonly transaction: ServerTransaction
  readonly request: ParsedMessage
  readonly application: Application
  /** Dialog that it came in. */
  readonly inside: LiveDialog | undefined
  /** Tag of To in responses, unless the application chooses one. */
  readonly toTag: string
  /** Early dialogs that its provisional responses made. */
  readonly early: LiveDialog[]
  /** Its reliable provisional responses, once there are any. */
  reliable: ReliableProvisionals | undefined
}

/** The tag the application has put on To; else the one of its earlier responses, or the exchange's own. */
export function tagFor(exchange: Exchange, response: ParsedMessage): string {
  const { request } = exchange
  if (request.toTag !== '') return request.toTag
  const to = response.get('To')
  const address = to === undefined || !to.includes('tag') ? undefined : parseNameAddr(to)
  const chosen = address === undefined ? '' : tagOf(address)
  return chosen !== '' ? chosen : tagOfExchange(exchange)
}

/** The tag of To that the peer has seen; before any response, the one it will see. */
export function tagOfExchange({ early, toTag }: Exchange): string {
  return early[0]?.state.localTag ?? toTag
}

/** The way a request came, where there may be no other to who sent it: over UDP and TCP the address alone leads back. */
export function wayBack(source: Flow): Flow | undefined {
  const { transport } = source.listener
  return transport === 'UDP' || transport === 'TCP' ? undefined : source
}

/** Id of the dialogs that an INVITE outside a dialog may make; empty for anything else. */
export function inviteIdOf({ request, inside }: Exchange): string {
  return request.method === 'INVITE' && inside === undefined ? dialogIdOf(request.callId, request.fromTag) : ''
}

/**
 * A fork of our INVITE that the application does not have, since it knows all forks by one id and another one has answered.
 * Nor may the called party end an early dialog: §15 leaves that to the caller alone.
 */
export function isForeignFork(dialog: LiveDialog, dialogs: DialogTable, method: string): boolean {
  const { role, state, id } = dialog.state
  if (role === 'uas') return false
  const answered = dialogs.ofId(id)
  return state === 'early' ? method === 'BYE' || answered?.state.state === 'confirmed' : answered !== dialog
}
