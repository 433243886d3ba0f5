import type {
  ClientTransaction,
  HeaderList,
  IncomingResponse,
  OutgoingRequest,
  SipPort,
  TransactionEvents,
} from '../sip/port.ts'
import type { TrunkCredentials } from './trunk-credentials.ts'

/** What the port asks of the call. */
export interface ChallengedPortHost {
  /** Whether anybody answers in any dialog. */
  readonly some: boolean
  /** Who answers for the peer of a dialog; undefined where nothing does. */
  credentialsIn(dialogId: string): TrunkCredentials | undefined
}

/**
 * Stands between SIP and a call: a request inside a dialog that is challenged goes out once more with what answers the
 * challenge (RFC 3261 section 22.2), and its sender never knows. To it the request takes two round trips; nothing comes
 * in between, since what was refused is sent again before anything else is read. The first INVITE of a dialog is left to
 * its sender, which has to keep its Call-ID.
 */
export function challengedPort(sip: SipPort, host: ChallengedPortHost): SipPort {
  if (!host.some) return sip
  return {
    onRequest: (handler) => sip.onRequest(handler),
    onDialogLost: (handler) => sip.onDialogLost(handler),
    send(request, events) {
      const { dialogId } = request
      if (dialogId === undefined) return sip.send(request, withAckCredentials(request, events))
      const credentials = host.credentialsIn(dialogId)
      if (credentials === undefined) return sip.send(request, events)
      return new ChallengedTransaction(sip, request, events, credentials)
    },
  }
}

class ChallengedTransaction implements ClientTransaction {
  readonly #sip: SipPort
  readonly #request: OutgoingRequest
  readonly #events: TransactionEvents
  readonly #current: { transaction: ClientTransaction }
  /** Nobody waits for it any more. */
  #over = false

  constructor(sip: SipPort, request: OutgoingRequest, events: TransactionEvents, credentials: TrunkCredentials) {
    this.#sip = sip
    this.#request = request
    this.#events = events
    const answers = credentials.forRequestInside(request.method)
    const retry = (uri: string, response: IncomingResponse) =>
      !this.#over && answers.meets(response) ? answers.headers(uri) : undefined
    this.#current = { transaction: this.#send([], retry) }
  }

  cancel(headers?: HeaderList): void {
    this.#over = true
    this.#current.transaction.cancel(headers)
  }

  abandon(): void {
    this.#over = true
    this.#current.transaction.abandon()
  }

  #send(
    answers: HeaderList,
    retry: (uri: string, response: IncomingResponse) => HeaderList | undefined,
  ): ClientTransaction {
    const request = { ...this.#request, headers: [...this.#request.headers, ...answers] }
    const events = withAckCredentials(request, this.#events)
    // The Request-URI is the remote target, which the server keeps: what it has sent says it.
    let uri: string | undefined
    return this.#sip.send(request, {
      ...(events.onTrying && { onTrying: () => events.onTrying?.() }),
      onSent: (sent) => {
        uri = sent.uri
        events.onSent?.(sent)
      },
      onResponse: (response) => {
        const next = uri === undefined ? undefined : retry(uri, response)
        if (next === undefined) events.onResponse(response)
        else this.#current.transaction = this.#send(next, retry)
      },
      onFailure: (error) => events.onFailure(error),
    })
  }
}

/**
 * RFC 3261 section 13.2.2.4: the ACK of a 2xx "MUST contain the same credentials as the INVITE", since nobody can
 * challenge an ACK (section 22.1).
 */
function withAckCredentials(request: OutgoingRequest, events: TransactionEvents): TransactionEvents {
  if (request.method !== 'INVITE') return events
  const credentials = request.headers.filter(([name]) => name === 'Authorization' || name === 'Proxy-Authorization')
  if (credentials.length === 0) return events
  return {
    ...events,
    onResponse: (response) => {
      const { status, reason, message, local, localReason, dialogId } = response
      const ack: IncomingResponse['ack'] = ({ headers = [], body } = {}) =>
        response.ack({ headers: [...headers, ...credentials], body })
      events.onResponse({ status, reason, message, local, localReason, dialogId, ack })
    },
  }
}
