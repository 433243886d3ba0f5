import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readMessage } from '../dataplane/engine/message/parse.ts'
import { buildResponse } from '../dataplane/engine/message/response.ts'
import { serialiseText } from '../dataplane/engine/message/serialise.ts'
import type { SipMessage } from '../dataplane/engine/message/sip-message.ts'
import { parseNameAddr } from '../dataplane/engine/message/name-addr.ts'
import { type DialogPort, type Kind, kinds, newBranch, sdp, type Seen, SessionDialog } from './session-dialog.ts'

/** What the parent of this process asks. */
export type PeersOrder =
  | {
      readonly order: 'begin'
      /** Port of the fleet that calls are sent to. */
      readonly port: number
      readonly calls: number
      readonly callsPerSecond: number
      readonly seconds: number
      /** What callers and callees can do; every combination in turn. */
      readonly callers: readonly Kind[]
      readonly callees: readonly Kind[]
    }
  | { readonly order: 'seen' }

const seen: Seen = { up: 0, refreshed: 0, missed: 0, doubled: 0, ended: 0, refused: 0, calledAgain: 0 }

/** A socket with the dialogs on it, and the transactions of RFC 3261 section 17 as far as loopback needs them. */
class Peer implements DialogPort {
  readonly dialogs = new Map<string, SessionDialog>()
  readonly #socket: Socket
  readonly #onInvite: (invite: SipMessage, peer: Peer) => SessionDialog | undefined
  readonly #waiting = new Map<string, { timer: NodeJS.Timeout; onFinal: (response: SipMessage) => void }>()
  /** Answers by branch, for requests that come again. */
  readonly #answers = new Map<string, string>()
  /** Our 2xx without ACK, by Call-ID. */
  readonly #unacknowledged = new Map<string, NodeJS.Timeout>()
  remotePort = 0

  constructor(socket: Socket, onInvite: (invite: SipMessage, peer: Peer) => SessionDialog | undefined) {
    this.#socket = socket
    this.#onInvite = onInvite
    socket.on('message', (bytes, from) => {
      const parsed = readMessage(bytes.toString('latin1'))
      if (!parsed.ok) return
      this.remotePort = from.port
      if (parsed.message.kind === 'response') this.#response(parsed.message)
      else this.#request(parsed.message)
    })
  }

  get port(): number {
    return this.#socket.address().port
  }

  get hostPort(): string {
    return `127.0.0.1:${this.port}`
  }

  send(text: string): void {
    this.#socket.send(text, this.remotePort, '127.0.0.1')
  }

  request(branch: string, text: string, onFinal: (response: SipMessage) => void): void {
    const again = (milliseconds: number, left: number): NodeJS.Timeout =>
      setTimeout(() => {
        if (left === 0) {
          this.#waiting.delete(branch)
          seen.refused++
          return
        }
        this.send(text)
        const waiting = this.#waiting.get(branch)
        if (waiting !== undefined) waiting.timer = again(Math.min(milliseconds * 2, 4000), left - 1)
      }, milliseconds)
    this.#waiting.set(branch, { timer: again(500, 10), onFinal })
    this.send(text)
  }

  #response(response: SipMessage): void {
    const waiting = this.#waiting.get(response.branch)
    if (waiting === undefined) {
      // The ACK of a 2xx was lost.
      if (response.method === 'INVITE' && response.status >= 200 && response.status < 300) {
        this.dialogs.get(response.callId)?.acknowledge(response.cseq)
      }
      return
    }
    if (response.method === 'INVITE' || response.status >= 200) clearTimeout(waiting.timer)
    if (response.status < 200) return
    this.#waiting.delete(response.branch)
    if (response.method === 'INVITE' && response.status >= 300) this.#acknowledgeFailure(response)
    waiting.onFinal(response)
  }

  /** RFC 3261 section 17.1.1.3: in the transaction of its INVITE. */
  #acknowledgeFailure(response: SipMessage): void {
    const lines = [
      `ACK sip:x@127.0.0.1:${this.remotePort} SIP/2.0`,
      `Via: ${response.lines('Via')[0]}`,
      'Max-Forwards: 70',
      `From: ${response.get('From')}`,
      `To: ${response.get('To')}`,
      `Call-ID: ${response.callId}`,
      `CSeq: ${response.cseq} ACK`,
      'Content-Length: 0',
    ]
    this.send(`${lines.join('\r\n')}\r\n\r\n`)
  }

  #request(request: SipMessage): void {
    if (request.method === 'ACK') return clearTimeout(this.#unacknowledged.get(request.callId))
    const known = this.#answers.get(request.branch)
    if (known !== undefined) return this.send(known)
    const dialog = this.dialogs.get(request.callId)
    if (request.method === 'INVITE' && dialog === undefined && request.toTag === '') {
      const opened = this.#onInvite(request, this)
      if (opened !== undefined) this.#accept(request, opened)
    } else if (dialog === undefined) void this.#answer(request, 481)
    else this.#inside(request, dialog)
  }

  #inside(request: SipMessage, dialog: SessionDialog): void {
    switch (request.method) {
      case 'INVITE':
      case 'UPDATE':
        if (dialog.pending && request.method === 'INVITE') return void this.#answer(request, 491)
        dialog.refreshed()
        return this.#accept(request, dialog)
      case 'BYE':
        seen.ended++
        dialog.end()
        this.dialogs.delete(request.callId)
        this.#answer(request, 200)
        return
      default:
        this.#answer(request, request.method === 'OPTIONS' ? 200 : 405)
    }
  }

  #accept(request: SipMessage, dialog: SessionDialog): void {
    const body = request.method === 'INVITE' || request.body !== '' ? sdp : ''
    const text = this.#answer(request, 200, dialog, body)
    if (request.method !== 'INVITE') return
    const again = (milliseconds: number): NodeJS.Timeout =>
      setTimeout(() => {
        this.send(text)
        if (milliseconds < 16_000) this.#unacknowledged.set(request.callId, again(milliseconds * 2))
      }, milliseconds)
    clearTimeout(this.#unacknowledged.get(request.callId))
    this.#unacknowledged.set(request.callId, again(500))
  }

  #answer(request: SipMessage, status: number, dialog?: SessionDialog, body = ''): string {
    const text = serialiseText(
      buildResponse(request, {
        status,
        ...(dialog !== undefined && { toTag: dialog.localTag }),
        headers: [
          ...(dialog === undefined
            ? []
            : [['Contact', `<sip:peer@${this.hostPort}>`] as const, ...dialog.answers(request)]),
          ...(body === '' ? [] : [['Content-Type', 'application/sdp'] as const]),
        ],
        body,
      }),
    )
    this.send(text)
    this.#answers.set(request.branch, text)
    setTimeout(() => this.#answers.delete(request.branch), 32_000).unref()
    return text
  }
}

async function openPeer(onInvite: ConstructorParameters<typeof Peer>[1]): Promise<Peer> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20 })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return new Peer(socket, onInvite)
}

const kindOf = (name: string): Kind => kinds.find((kind) => kind === name) ?? 'none'

const caller = await openPeer(() => undefined)
// The called number says what the callee can do.
const callee = await openPeer((invite, peer) => {
  const kind = kindOf(/^sip:([^@;]*)/.exec(invite.uri)?.[1]?.replace(/\d/g, '') ?? '')
  const dialog = new SessionDialog(peer, kind, seen, {
    callId: invite.callId,
    localTag: newBranch(),
    target: parseNameAddr(invite.get('Contact') ?? '')?.uri ?? '',
  })
  dialog.remoteTag = invite.fromTag
  peer.dialogs.set(invite.callId, dialog)
  return dialog
})

/** A machine under load may refuse a call; what counts here is what becomes of those that are up. */
function call(index: number, order: PeersOrder & { order: 'begin' }, attempt = 0): void {
  const { callers, callees, port, seconds } = order
  const kind = callers[index % callers.length] ?? 'none'
  const called = callees[Math.floor(index / callers.length) % callees.length] ?? 'none'
  caller.remotePort = port
  const callId = `session-${process.pid}-${index}-${attempt}`
  const dialog = new SessionDialog(caller, kind, seen, {
    callId,
    localTag: newBranch(),
    target: `sip:${called}${index}@127.0.0.1:${port}`,
  })
  const branch = newBranch()
  const text = dialog.text('INVITE', { branch, headers: dialog.asks(seconds), body: sdp, cseq: 1 })
  caller.request(branch, text, (response) => {
    if (response.status >= 300) {
      seen.calledAgain++
      setTimeout(() => call(index, order, attempt + 1), 1000)
      return
    }
    caller.dialogs.set(callId, dialog)
    dialog.learn(response)
    dialog.acknowledge(response.cseq)
    seen.up++
  })
}

process.on('message', (order: PeersOrder) => {
  if (order.order === 'seen') {
    process.send?.(seen)
    return
  }
  let index = 0
  const started = performance.now()
  const pace = setInterval(() => {
    const due = Math.min(order.calls, Math.ceil(((performance.now() - started) / 1000) * order.callsPerSecond))
    while (index < due) call(index++, order)
    if (index === order.calls) clearInterval(pace)
  }, 10)
})
process.send?.({ caller: caller.port, callee: callee.port })
