import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import { limits } from '../message/scan.ts'
import { formatHostPort } from './address.ts'

/** RFC 7118 §4.1: the subprotocol that both sides have to agree on. */
const SUBPROTOCOL = 'sip'

const options = { perMessageDeflate: false, maxPayload: limits.messageBytes } as const

/** The HTTP side of a listener, bound to nothing: connections are handed to it, and come out as WebSockets. */
export function createWebSocketServer(accept: (socket: WebSocket, carrier: Socket) => void): Server {
  const sockets = new WebSocketServer({
    ...options,
    noServer: true,
    handleProtocols: (protocols) => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })
  const server = createServer((_request, response) => {
    response.writeHead(426, { Connection: 'close', Upgrade: 'websocket' })
    response.end()
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (!asksForSip(request)) {
      // Node reads and watches it no more: without this a client that breaks off ends the process, or stays.
      socket.on('error', () => socket.destroy())
      socket.resume()
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => accept(webSocket, socket))
  })
  return server
}

/** Makes a WebSocket of a connection that is being opened. Throws, and closes that, when no URL can be made of the host. */
export function connectWebSocket(to: { readonly host: string; readonly port: number }, carrier: Socket): WebSocket {
  const url = `ws://${formatHostPort(to.host, to.port)}/`
  try {
    return new WebSocket(url, SUBPROTOCOL, { ...options, createConnection: () => carrier })
  } catch (error) {
    // Nobody else knows of it, so that its errors would be nobody's.
    carrier.destroy()
    throw error
  }
}

function asksForSip({ headers }: IncomingMessage): boolean {
  const offered = headers['sec-websocket-protocol'] ?? ''
  return offered.split(',').some((protocol) => protocol.trim() === SUBPROTOCOL)
}
