import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import type { Resource } from '#api/snapshot.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Secret, stringifyWithSecrets } from '#lib/secret.ts'
import { freePorts } from '../../test/sip/free-port.ts'
import type { ListenerAddress } from '../engine/engine.types.ts'
import { Applier, type Verdict } from './apply.ts'
import { listenerResource, routeResource, trunkResource } from './testing/resources.ts'

const open: Socket[] = []
const log = createLog({ level: 'error', name: 'test', write: () => undefined })

afterEach(async () => {
  await Promise.all(open.splice(0).map((socket) => close(socket)))
})

async function close(socket: Socket): Promise<void> {
  const closed = once(socket, 'close')
  socket.close()
  await closed
}

async function bind(address: string, port: number): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(port, address, resolve)
  })
  open.push(socket)
  return socket
}

/** Real UDP sockets with the engine's manners. */
function udpSockets() {
  const sockets = new Map<string, Socket>()
  return {
    names: () => [...sockets.keys()].sort(),
    async open(listener: ListenerAddress) {
      sockets.set(listener.name, await bind(listener.address, listener.port))
      return listener
    },
    reload: () => {},
    async close(name: string) {
      const socket = sockets.get(name)
      sockets.delete(name)
      if (socket === undefined) throw new Error(`there is no socket ${name}`)
      open.splice(open.indexOf(socket), 1)
      await close(socket)
    },
  }
}

function setUp(addresses = ['127.0.0.1']) {
  const clock = new ManualClock()
  const sockets = udpSockets()
  const applier = new Applier({ fleet: 'voice/edge', addresses, sockets, clock, log })
  const apply = (revision: string, upserts: readonly unknown[], removes: readonly string[] = []) =>
    applier.apply({ revision, upserts: upserts.map(overTheWire), removes })
  return { clock, sockets, applier, apply }
}

function overTheWire(value: unknown): unknown {
  return JSON.parse(stringifyWithSecrets(value))
}

function changed(resource: Resource, changes: object): unknown {
  return { ...resource, body: { ...resource.body, ...changes } }
}

describe('apply', () => {
  it('opens listeners, then swaps one reference that never changes afterwards', async () => {
    const [port = 0] = await freePorts(1)
    const { applier, sockets, apply } = setUp()
    const seen: (string | undefined)[] = []
    applier.running.onChange((next, previous) => seen.push(previous?.revision, next.revision, sockets.names().join()))
    const verdict = await apply('one', [listenerResource('udp', port), trunkResource('a'), routeResource('all', {})])
    expect(verdict).toEqual({ revision: 'one', errors: [] })
    const { current } = applier.running
    expect(current?.listeners.get('udp')).toMatchObject({ address: '127.0.0.1', port })
    expect([...(current?.trunks.keys() ?? [])]).toEqual(['a'])
    expect(current?.routes.inOrder.map(({ config }) => config.name)).toEqual(['all'])
    expect(seen).toEqual([undefined, 'one', `UDP 127.0.0.1:${port}`])
    expect(applier.listenerOf(`UDP 127.0.0.1:${port}`)).toBe('udp')

    await apply('two', [trunkResource('b')], ['Route/all'])
    expect(current?.routes.inOrder).toHaveLength(1)
    expect(current?.trunks.has('b')).toBe(false)
    expect([...(applier.running.current?.trunks.keys() ?? [])]).toEqual(['a', 'b'])
    expect(applier.running.current?.routes.inOrder).toEqual([])
  })

  it('makes secrets of passwords, and of nothing else', async () => {
    const { applier, apply } = setUp()
    const registration = {
      account: 'main',
      registrar: 'primary',
      number: '100',
      host: 'sip.example',
      port: 5060,
      transport: 'UDP',
      listener: 'udp',
      expiresSeconds: 3600,
      refreshPercent: 80,
      contactUser: '100',
      bulk: false,
      retry: { minSeconds: 5, maxSeconds: 120 },
      username: '100',
      password: new Secret('not for the eyes of others'),
    } as const
    await apply('one', [trunkResource('a', { registrations: [registration] })])
    const trunk = applier.running.current?.trunks.get('a')
    expect(trunk?.registrations[0]?.password).toBeInstanceOf(Secret)
    expect(JSON.stringify(trunk)).not.toContain('eyes')
  })

  it('moves a listener: the new socket is open before the old one is closed', async () => {
    const [before = 0, after = 0] = await freePorts(2)
    const { applier, sockets, apply } = setUp()
    await apply('one', [listenerResource('udp', before)])
    let during: string[] = []
    applier.running.onChange(() => (during = sockets.names()))
    await apply('two', [listenerResource('udp', after)])
    expect(during).toHaveLength(2)
    expect(sockets.names()).toEqual([`UDP 127.0.0.1:${after}`])
  })

  it('keeps the socket of a listener that is renamed', async () => {
    const [port = 0] = await freePorts(1)
    const { applier, sockets, apply } = setUp()
    await apply('one', [listenerResource('udp', port)])
    await apply('two', [listenerResource('inside', port)], ['Listener/udp'])
    expect(sockets.names()).toEqual([`UDP 127.0.0.1:${port}`])
    expect(applier.listenerOf(`UDP 127.0.0.1:${port}`)).toBe('inside')
  })

  it('refuses an empty configuration, and what runs stays', async () => {
    const { applier, apply } = setUp()
    expect(await apply('none', [])).toEqual({ revision: null, errors: [], refused: 'EmptySnapshot' })
    await apply('one', [trunkResource('a')])
    expect(await apply('none', [], ['Trunk/a'])).toEqual({ revision: 'one', errors: [], refused: 'EmptySnapshot' })
    expect(applier.running.current?.trunks.has('a')).toBe(true)
  })

  it('does one change at a time, in order', async () => {
    const [port = 0] = await freePorts(1)
    const { applier, apply } = setUp()
    const verdicts = await Promise.all([
      apply('one', [listenerResource('udp', port)]),
      apply('two', [trunkResource('a')]),
      apply('three', [], ['Listener/udp']),
    ])
    expect(verdicts.map(({ revision }) => revision)).toEqual(['one', 'two', 'three'])
    expect([...(applier.running.current?.resources.keys() ?? [])]).toEqual(['Trunk/a'])
  })

  it('goes on when a part cannot follow the configuration', async () => {
    const { applier, apply } = setUp()
    applier.running.onChange(() => {
      throw new Error('a part with a fault')
    })
    const told: string[] = []
    applier.running.onChange(({ revision }) => told.push(revision))
    expect(await apply('one', [trunkResource('a')])).toMatchObject({ revision: 'one', errors: [] })
    expect(told).toEqual(['one'])
  })
})

describe('a resource that is not sound', () => {
  it.each<[string, unknown, string, string]>([
    [
      'a field of another release',
      changed(trunkResource('a'), { shape: 'round' }),
      'body.shape',
      'does not know the field',
    ],
    [
      'a value of the wrong type',
      changed(trunkResource('a'), { listeners: [5060] }),
      'body.listeners[0]',
      'expected string',
    ],
    ['a pattern that is no RE2', routeResource('all', { calledPattern: '(?=1)' }), 'body.match', 'calledPattern'],
    ['a key that is not that of its content', { ...trunkResource('a'), key: 'Trunk/b' }, 'key', 'must agree'],
  ])('is refused with the path and the cause: %s', async (_what, resource, field, message) => {
    const { applier, apply } = setUp()
    const verdict = await apply('one', [resource, trunkResource('good')])
    expect(verdict.revision).toBe('one')
    expect(verdict.errors).toMatchObject([{ code: 'Invalid', field, message: expect.stringContaining(message) }])
    expect([...(applier.running.current?.resources.keys() ?? [])]).toEqual(['Trunk/good'])
  })

  it('stays at its last good version, and is told of until it is mended', async () => {
    const { applier, apply } = setUp()
    await apply('one', [trunkResource('a'), trunkResource('b')])
    const bad = changed(trunkResource('a'), { allowedSources: 7 })
    expect((await apply('two', [{ ...(bad as object), version: 'bad' }])).errors).toMatchObject([
      { key: 'Trunk/a', version: 'bad', field: 'body.allowedSources' },
    ])
    expect(applier.running.current?.resources.get('Trunk/a')).toMatchObject({ version: trunkResource('a').version })
    expect((await apply('three', [], ['Trunk/b'])).errors).toHaveLength(1)
    expect((await apply('four', [trunkResource('a', { allowedSources: ['192.0.2.1'] })])).errors).toEqual([])
  })

  it('is forgotten when it is removed', async () => {
    const { apply } = setUp()
    await apply('one', [trunkResource('a'), { key: 'Trunk/b', version: '1' }])
    expect((await apply('two', [], ['Trunk/b'])).errors).toEqual([])
  })

  it('refuses the whole change when it cannot be named', async () => {
    const { applier, apply } = setUp()
    await apply('one', [trunkResource('a')])
    expect(await apply('two', [trunkResource('b'), { version: '1' }])).toMatchObject({ refused: 'Malformed' })
    expect(applier.running.current?.revision).toBe('one')
  })
})

describe('a listener that cannot be bound', () => {
  it('is refused with cause and way out, and everything else is applied, trunks on it included', async () => {
    const taken = (await bind('127.0.0.1', 0)).address().port
    const [port = 0] = await freePorts(1)
    const { applier, sockets, apply } = setUp()
    const verdict = await apply('one', [
      listenerResource('udp', taken),
      listenerResource('other', port),
      trunkResource('a'),
    ])
    expect(verdict).toMatchObject({
      revision: 'one',
      errors: [
        {
          key: 'Listener/udp',
          field: 'body.port',
          code: 'AddressInUse',
          message: `UDP 127.0.0.1:${taken} is in use by another process: stop that process, or choose another port`,
        },
      ],
    })
    expect([...(applier.running.current?.resources.keys() ?? [])]).toEqual(['Listener/other', 'Trunk/a'])
    expect(sockets.names()).toEqual([`UDP 127.0.0.1:${port}`])
  })

  it('stays where it was when its new port is taken', async () => {
    const taken = (await bind('127.0.0.1', 0)).address().port
    const [port = 0] = await freePorts(1)
    const { applier, sockets, apply } = setUp()
    await apply('one', [listenerResource('udp', port)])
    expect((await apply('two', [listenerResource('udp', taken)])).errors).toHaveLength(1)
    expect(applier.running.current?.listeners.get('udp')?.port).toBe(port)
    expect(sockets.names()).toEqual([`UDP 127.0.0.1:${port}`])
  })

  it('keeps its place from another listener that was to have it', async () => {
    const taken = (await bind('127.0.0.1', 0)).address().port
    const [port = 0] = await freePorts(1)
    const { applier, apply } = setUp()
    await apply('one', [listenerResource('a', port)])
    const { errors } = await apply('two', [listenerResource('a', taken), listenerResource('b', port)])
    expect(errors).toMatchObject([
      { key: 'Listener/a', code: 'AddressInUse' },
      { key: 'Listener/b', code: 'AddressInUse', message: expect.stringContaining('belongs to listener a') },
    ])
    expect([...(applier.running.current?.listeners.keys() ?? [])]).toEqual(['a'])
  })

  it('is tried again, and told of when the port is free', async () => {
    const holder = await bind('127.0.0.1', 0)
    const { port } = holder.address()
    const { applier, clock, apply } = setUp()
    await apply('one', [listenerResource('udp', port), trunkResource('a')])
    const verdict = new Promise<Verdict>((resolve) => applier.onVerdict(resolve))
    open.splice(open.indexOf(holder), 1)
    await close(holder)
    clock.advance(1_000)
    expect(await verdict).toEqual({ revision: 'one', errors: [] })
    expect(applier.running.current?.listeners.has('udp')).toBe(true)
    expect(clock.pending).toBe(0)
  })

  it('is refused when the replica has no address of its family', async () => {
    const { apply } = setUp(['127.0.0.1'])
    const { errors } = await apply('one', [listenerResource('udp', 5060, { ipFamily: 'IPv6' }), trunkResource('a')])
    expect(errors).toMatchObject([{ code: 'AddressNotAvailable', field: 'body.ipFamily' }])
    expect(errors[0]?.message).toContain('SBCFLEET_ADDRESSES')
  })

  it('is refused when the address is not of this machine', async () => {
    const { apply } = setUp(['192.0.2.1'])
    const { errors } = await apply('one', [listenerResource('udp', 5060), trunkResource('a')])
    expect(errors).toMatchObject([{ code: 'AddressNotAvailable', field: 'body.ipFamily' }])
  })

  it('binds the first address of its family', async () => {
    const [port = 0] = await freePorts(1)
    const { sockets, apply } = setUp(['127.0.0.1', '127.0.0.9', '::1'])
    await apply('one', [listenerResource('four', port), listenerResource('six', port, { ipFamily: 'IPv6' })])
    expect(sockets.names()).toEqual([`UDP 127.0.0.1:${port}`, `UDP [::1]:${port}`])
  })

  it('is refused when another listener has the same socket', async () => {
    const [port = 0] = await freePorts(1)
    const { applier, apply } = setUp()
    await apply('one', [listenerResource('b', port)])
    const { errors } = await apply('two', [listenerResource('a', port)])
    expect(errors).toMatchObject([{ key: 'Listener/a', code: 'AddressInUse' }])
    expect([...(applier.running.current?.listeners.keys() ?? [])]).toEqual(['b'])
  })
})

describe('a socket that is lost while it runs', () => {
  it('is told with its listener, changes nothing that runs, and is forgotten once it is back', async () => {
    const [port = 0] = await freePorts(1)
    const { applier, apply } = setUp()
    await apply('one', [listenerResource('udp', port)])
    const told: Verdict[] = []
    applier.onVerdict((verdict) => told.push(verdict))
    applier.setTroubles(new Map([[`UDP 127.0.0.1:${port}`, 'the server went away']]))
    applier.setTroubles(new Map([[`UDP 127.0.0.1:${port}`, 'the server went away']]))
    applier.setTroubles(new Map([['UDP 127.0.0.9:1', 'of no listener']]))
    const message = `UDP 127.0.0.1:${port}: the server went away`
    expect(told).toMatchObject([
      { revision: 'one', errors: [{ key: 'Listener/udp', field: 'body.port', message }] },
      { revision: 'one', errors: [] },
    ])
    expect(applier.running.current?.listeners.size).toBe(1)
    await applier.stop()
  })
})
