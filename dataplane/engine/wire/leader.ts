import { randomUUID } from 'node:crypto'
import type { Delivery, Outcome } from '../dialog/application.ts'
import type { Flow } from '../transport/transport.ts'

/** The first line of a frame and the message after it, as one frame. One character per byte. */
export function frame(leader: string, message: string): string {
  const length = leader.length + 2 + message.length
  return message === '' ? `${leader.length}#${leader}` : `${length}#${leader}\r\n${message}`
}

/** A request from the network; outside a dialog it tells the local address it came in on. */
export function requestFrame(delivery: Delivery, time: string): string {
  const { source, dialogId } = delivery
  const receivedOn = dialogId === '' ? `|${source.listener.address}|${source.listener.port}` : ''
  return sipFrame('network', delivery, time, receivedOn)
}

export function responseFrame(delivery: Delivery, time: string): string {
  return sipFrame('network', delivery, time, '')
}

/** A BYE that the engine sent by itself. */
export function noticeFrame(delivery: Delivery, time: string): string {
  return sipFrame('application', delivery, time, '')
}

function sipFrame(origin: string, delivery: Delivery, time: string, end: string): string {
  const { text, source, transactionId, dialogId } = delivery
  const peer = `${protocolOf(source)}|${source.address}|${source.port}`
  return frame(
    `${randomUUID()}|sip|${origin}|${text.length}|${peer}|${time}|${transactionId}|${dialogId}${end === '' ? '|' : end}`,
    text,
  )
}

/** The reply to a request or response that the application ordered; `isResponse` by what it was. */
export function outcomeFrame(messageId: string, outcome: Outcome, time: string, isResponse: boolean): string {
  if (!outcome.ok) return replyFrame(messageId, `NOK|${outcome.reason}`)
  const { text, flow, transactionId, dialogId } = outcome
  const local = `${protocolOf(flow)}|${flow.listener.address}|${flow.listener.port}`
  const ids = isResponse ? `${transactionId}|${dialogId}|` : transactionId
  const leader = `${randomUUID()}|response|${messageId}|OK|application|${text.length}|${local}|${time}|${ids}|Msg sent:|`
  return frame(leader, text)
}

/** One of the replies to an order to proxy a request: a final response that came from there. */
export function proxiedFrame(
  messageId: string,
  text: string,
  from: { transport: string; address: string; port: number },
  time: string,
): string {
  const meta = `${text.length}|${from.transport}|${from.address}|${from.port}|${time}|||continue`
  return frame(`${randomUUID()}|response|${messageId}|OK|network|${meta}`, text)
}

/** A reply without a message: `OK`, `OK|…`, `NOK|…` or `NO|…`. */
export function replyFrame(messageId: string, result: string): string {
  return frame(`${randomUUID()}|response|${messageId}|${result}`, '')
}

function protocolOf(flow: Flow): string {
  return flow.listener.transport.toLowerCase()
}

/** `hh:mm:ss.uuuuuu` in UTC, as the protocol has it, of milliseconds since 1970. */
export function formatTime(wallTime: number): string {
  const day = Math.floor(wallTime) % 86_400_000
  const seconds = Math.floor(day / 1000)
  const two = (value: number): string => (value < 10 ? `0${value}` : String(value))
  const milliseconds = String(day % 1000).padStart(3, '0')
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${milliseconds}000`
}
