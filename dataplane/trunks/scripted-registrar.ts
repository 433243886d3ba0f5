import { digestResponse } from '../digest/digest.ts'
import type { SentRequest } from './scripted-port.ts'

/** For tests: scripts for a `ScriptedPort` that play a registrar. */

/** Takes every binding, for so many seconds at most. */
export function granting(seconds: number) {
  return (request: SentRequest) => {
    const asked = Number(request.get('Expires'))
    request.answer(200, [['Contact', `${request.get('Contact')};expires=${Math.min(asked, seconds)}`]])
  }
}

/** A registrar that wants digest with MD5 and takes each nonce as often as it likes. */
export function registrar(options: { password: string; expiresSeconds?: number; stale?: boolean }) {
  const { password, expiresSeconds = 3600, stale = false } = options
  const state = { nonce: 'nonce-1', challenges: 0, bindings: new Map<string, number>() }
  const challenge = (request: SentRequest, old: boolean) => {
    state.challenges++
    const parameters = `realm="carrier.example", nonce="${state.nonce}", qop="auth"${old ? ', stale=true' : ''}`
    request.answer(401, [['WWW-Authenticate', `Digest ${parameters}`]], 'Unauthorized')
  }
  const answer = (request: SentRequest) => {
    const sent = credentialsOf(request)
    if (sent === undefined) return challenge(request, false)
    if (sent['nonce'] !== state.nonce) return challenge(request, stale)
    if (sent['response'] !== expectedResponse(sent, password)) return challenge(request, false)
    state.bindings.set(request.get('Contact') ?? '', Number(request.get('Expires')))
    granting(expiresSeconds)(request)
  }
  return Object.assign(state, { answer })
}

/** Parameters of the Authorization header, quotes taken off. */
export function credentialsOf(request: SentRequest): Record<string, string> | undefined {
  const found = request.get('Authorization')?.matchAll(/(\w+)=(?:"([^"]*)"|([^",\s]+))/g)
  if (found === undefined) return undefined
  return Object.fromEntries(Array.from(found, ([, name, quoted, plain]) => [name, quoted ?? plain]))
}

function expectedResponse(sent: Record<string, string>, password: string): string {
  return digestResponse(
    { realm: 'carrier.example', nonce: sent['nonce'] ?? '', hash: 'md5', session: false, qop: 'auth' },
    { username: 'carrier-user', password },
    { method: 'REGISTER', uri: 'sip:198.51.100.1', nc: sent['nc'] ?? '', cnonce: sent['cnonce'] ?? '' },
  )
}
