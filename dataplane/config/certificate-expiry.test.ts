import { expect, it } from 'vitest'
import { Secret } from '#lib/secret.ts'
import { Authority } from '../../test/tls/certificates.ts'
import { listener } from '../policy/testing/configuration.ts'
import { certificateExpiries } from './certificate-expiry.ts'

it('every certificate of a listener tells when it expires', () => {
  const authority = new Authority()
  const credentials = (name: string, to: number) => {
    const { certificate, key } = authority.issue({ dns: [name] }, { from: 0, to })
    return { certificate, key: new Secret(key) }
  }
  const [soon, later] = [Date.UTC(2030, 0, 1), Date.UTC(2060, 5, 1)]
  const tls = {
    ...credentials('sbc.example', soon),
    others: [credentials('other.example', later)],
    minVersion: 'TLSv1.2' as const,
  }
  expect(certificateExpiries([listener({ name: 'udp' }), listener({ name: 'tls', transport: 'TLS', tls })])).toEqual([
    { listener: 'tls', names: 'DNS:sbc.example', expiresAt: soon },
    { listener: 'tls', names: 'DNS:other.example', expiresAt: later },
  ])
})
