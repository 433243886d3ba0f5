import { createRequire } from 'node:module'

interface DrachtioMessage {
  get(name: string): string | undefined
  getParsedHeader(name: string): unknown
}

/** drachtio-srf does not export its parser. */
const Message = load()

/** Has drachtio-srf read a message, and the header fields that it reads by itself. */
export function parseWithDrachtioSrf(text: string): void {
  const message = new Message(Buffer.from(text, 'latin1').toString('utf8'))
  message.get('Call-ID')
}

function load(): new (text: string) => DrachtioMessage {
  const require = createRequire(import.meta.url)
  const path = require.resolve('drachtio-srf').replace(/srf\.js$/, 'sip-parser/message.js')
  return require(path) as new (text: string) => DrachtioMessage
}
