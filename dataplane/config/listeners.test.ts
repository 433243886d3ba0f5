import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ListenerConfig, Resource } from '#api/snapshot.ts'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { Secret, stringifyWithSecrets } from '#lib/secret.ts'
import { freePorts } from '../../test/sip/free-port.ts'
import { Authority } from '../../test/tls/certificates.ts'
import { createEngine } from '../engine/engine.ts'
import type { Engine } from '../engine/engine.types.ts'
import { Applier } from './apply.ts'
import { listenerResource } from './testing/resources.ts'

const authority = new Authority()
const lines: string[] = []
const log = createLog({ level: 'info', name: 'test', write: (line) => lines.push(line) })

let engine: Engine
let applier: Applier
let port: number

beforeEach(async () => {
  lines.length = 0
  engine = createEngine({ clock: systemClock, log, admit: () => false })
  applier = new Applier({ fleet: 'voice/edge', addresses: ['127.0.0.1'], sockets: engine, clock: systemClock, log })
  ;[port = 0] = await freePorts(1)
})

afterEach(async () => {
  await applier.stop()
  await engine.stop()
})

function tlsListener(name: string, changes: Partial<ListenerConfig> = {}): Resource {
  const { certificate, key } = authority.issue({ dns: [name] })
  const tls = { certificate, key: new Secret(key), others: [], minVersion: 'TLSv1.2' } as const
  return listenerResource('tls', port, { transport: 'TLS', tls: { ...tls, others: [] }, ...changes })
}

const apply = (revision: string, resource: Resource) =>
  applier.apply({ revision, upserts: [JSON.parse(stringifyWithSecrets(resource))], removes: [] })

/** The name in the certificate that a new connection sees; rejects where no TLS is spoken. */
async function shown(): Promise<string | undefined> {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    ca: authority.certificate,
    checkServerIdentity: () => undefined,
  })
  await once(socket, 'secureConnect')
  const { subjectaltname } = socket.getPeerCertificate()
  socket.destroy()
  return subjectaltname
}

describe('a TLS listener', () => {
  it('that gets another certificate shows it from then on, and its socket stays open', async () => {
    expect((await apply('one', tlsListener('one.example'))).errors).toEqual([])
    expect(await shown()).toBe('DNS:one.example')
    expect((await apply('two', tlsListener('two.example'))).errors).toEqual([])
    expect(await shown()).toBe('DNS:two.example')
    expect(lines.filter((line) => line.includes('"act":"reload"'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('"act":"open"'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('"act":"close"'))).toEqual([])
  })

  it('whose new certificate cannot be used keeps the old one, and says why', async () => {
    await apply('one', tlsListener('one.example'))
    const other = authority.issue({ dns: ['other.example'] })
    const { certificate } = authority.issue({ dns: ['two.example'] })
    const mixed = { certificate, key: new Secret(other.key), others: [], minVersion: 'TLSv1.2' as const }
    const { revision, errors } = await apply('two', tlsListener('two.example', { tls: mixed }))
    expect(revision).toBe('two')
    expect(errors).toMatchObject([{ key: 'Listener/tls', code: 'Invalid', field: 'body.tls' }])
    expect(errors[0]?.message).toMatch(/the certificate of listener tls cannot be used: .*key/)
    expect(await shown()).toBe('DNS:one.example')
  })

  it('takes the port over from a TCP listener that it replaces, and gives it back', async () => {
    await apply('one', listenerResource('tls', port, { transport: 'TCP' }))
    await expect(shown()).rejects.toThrow()
    expect((await apply('two', tlsListener('two.example'))).errors).toEqual([])
    expect(await shown()).toBe('DNS:two.example')
    expect((await apply('three', listenerResource('tls', port, { transport: 'TCP' }))).errors).toEqual([])
    await expect(shown()).rejects.toThrow()
    expect(applier.running.current?.listeners.get('tls')?.transport).toBe('TCP')
  })
})

describe('a listener with an advertised address', () => {
  it('is known by that one, and bound to its own', async () => {
    const advertised = { advertisedAddress: 'sbc.example', advertisedPort: 5099 }
    await apply('one', listenerResource('udp', port, advertised))
    const bound = { address: '127.0.0.1', port }
    expect(applier.running.current?.listeners.get('udp')).toMatchObject({ address: 'sbc.example', port: 5099, bound })
    await apply('two', listenerResource('udp', port, { advertisedPort: 5098 }))
    expect(applier.running.current?.listeners.get('udp')).toMatchObject({ address: '127.0.0.1', port: 5098, bound })
    expect(lines.filter((line) => line.includes('"act":"reload"'))).toHaveLength(1)
  })
})
