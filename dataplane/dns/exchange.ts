import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import type { Clock } from '#lib/clock.ts'
import { decodeResponse, type DnsResponse, encodeQuery, type Question } from './dns-message.ts'

export interface DnsServer {
  readonly address: string
  readonly port: number
}

interface Exchange {
  readonly server: DnsServer
  readonly question: Question
  /** With EDNS (RFC 6891). */
  readonly extended: boolean
  readonly clock: Clock
  readonly timeoutMilliseconds: number
}

/**
 * Asks one server: over UDP from a port of the moment, and again over TCP when the answer did not fit (RFC 7766). Rejects
 * when nothing that answers the question comes in time, or not all of it.
 */
export async function askServer(exchange: Exchange): Promise<DnsResponse> {
  const response = await askUdp(exchange)
  if (!response.truncated) return response
  const whole = await askTcp(exchange)
  // Without its records it would say that there are none.
  if (whole.truncated) throw fault(exchange.server, 'an answer that is truncated over TCP as well')
  return whole
}

/**
 * The socket is connected, so that the kernel drops what does not come from the server, and tells when nobody listens
 * there. What has another ID or question is passed over: RFC 5452 section 9.1.
 */
function askUdp({ server, question, extended, clock, timeoutMilliseconds }: Exchange): Promise<DnsResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<DnsResponse>()
  const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4')
  let ended = false
  const end = (settle: () => void) => {
    if (ended) return
    ended = true
    timer.cancel()
    socket.close()
    settle()
  }
  const timer = clock.after(timeoutMilliseconds, () => end(() => reject(silence(server))))
  socket.on('error', (error) => end(() => reject(fault(server, error))))
  socket.on('message', (data) => {
    const response = decodeResponse(data, question)
    if (response !== undefined) end(() => resolve(response))
  })
  // With a callback of its own, connect() would tell that one of errors.
  socket.on('connect', () => {
    if (!ended) socket.send(encodeQuery(question, extended))
  })
  socket.connect(server.port, server.address)
  return promise
}

/** RFC 1035 section 4.2.2: "the message is prefixed with a two byte length field". */
function askTcp({ server, question, extended, clock, timeoutMilliseconds }: Exchange): Promise<DnsResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<DnsResponse>()
  const socket = connect({ host: server.address, port: server.port })
  const end = (settle: () => void) => {
    timer.cancel()
    socket.destroy()
    settle()
  }
  const timer = clock.after(timeoutMilliseconds, () => end(() => reject(silence(server))))
  let received = Buffer.alloc(0)
  socket.on('connect', () => {
    const query = encodeQuery(question, extended)
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    socket.write(Buffer.concat([length, query]))
  })
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data])
    if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
    const response = decodeResponse(received.subarray(2, 2 + received.readUInt16BE(0)), question)
    end(() => (response === undefined ? reject(fault(server, 'an answer to another question')) : resolve(response)))
  })
  socket.on('error', (error) => end(() => reject(fault(server, error))))
  socket.on('close', () => end(() => reject(fault(server, 'the connection was closed'))))
  return promise
}

function silence(server: DnsServer): Error {
  return new Error(`no answer from DNS server ${server.address} port ${server.port}`)
}

function fault({ address, port }: DnsServer, error: Error | string): Error {
  const cause = typeof error === 'string' ? error : 'code' in error ? String(error.code) : error.message
  return new Error(`DNS server ${address} port ${port}: ${cause}`)
}
