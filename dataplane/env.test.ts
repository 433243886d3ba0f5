import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { EnvError, readEnv } from './env.ts'

const good = {
  SBCFLEET_FLEET: 'voice/edge',
  SBCFLEET_REPLICA: 'edge-0',
  SBCFLEET_CONTROL_URLS: 'ws://127.0.0.1:4000/replicas, wss://control.example/replicas',
  SBCFLEET_TOKEN: 'secret',
  SBCFLEET_ADDRESSES: '127.0.0.2,::1',
}

function problemsOf(changes: Record<string, string | undefined>): readonly string[] {
  try {
    readEnv({ ...good, ...changes })
    return []
  } catch (error) {
    if (error instanceof EnvError) return error.problems
    throw error
  }
}

describe('readEnv', () => {
  it('reads what is required, and takes defaults for the rest', async () => {
    const { token, authorities, ...env } = readEnv(good)
    expect(env).toEqual({
      fleet: 'voice/edge',
      replica: 'edge-0',
      controlUrls: ['ws://127.0.0.1:4000/replicas', 'wss://control.example/replicas'],
      addresses: ['127.0.0.2', '::1'],
      dnsServers: [],
      drachtio: undefined,
      stateDirectory: undefined,
      logLevel: 'info',
      adminPort: undefined,
      healthPort: undefined,
      healthAddress: '127.0.0.1',
      drainMilliseconds: 30_000,
    })
    expect(await token()).toBe('secret')
    expect(await authorities()).toBeUndefined()
  })

  it('reads the token from its file every time', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'token-'))
    const file = join(directory, 'token')
    const { token } = readEnv({ ...good, SBCFLEET_TOKEN: undefined, SBCFLEET_TOKEN_FILE: file })
    await expect(token()).rejects.toThrow('ENOENT')
    await writeFile(file, 'first\n')
    expect(await token()).toBe('first')
    await writeFile(file, 'second\n')
    expect(await token()).toBe('second')
    await rm(directory, { recursive: true })
  })

  it('reads the certificate authorities from their file every time', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'authorities-'))
    const file = join(directory, 'ca.crt')
    const { authorities } = readEnv({ ...good, SBCFLEET_CONTROL_CA_FILE: file })
    await expect(authorities()).rejects.toThrow('ENOENT')
    await writeFile(file, 'PEM')
    expect(await authorities()).toBe('PEM')
    await rm(directory, { recursive: true })
  })

  it.each<[string, Record<string, string | undefined>, string]>([
    [
      'a fleet without namespace',
      { SBCFLEET_FLEET: 'edge' },
      'SBCFLEET_FLEET is "edge": expected namespace/name of a VoiceService',
    ],
    ['no replica', { SBCFLEET_REPLICA: undefined }, 'SBCFLEET_REPLICA is not set: expected a name such as edge-0'],
    [
      'a URL of another kind',
      { SBCFLEET_CONTROL_URLS: 'http://x' },
      'SBCFLEET_CONTROL_URLS is "http://x": expected one or more URLs',
    ],
    [
      'an address with a port',
      { SBCFLEET_ADDRESSES: '127.0.0.1:5060' },
      'SBCFLEET_ADDRESSES is "127.0.0.1:5060": expected one or more IP addresses',
    ],
    ['no address', { SBCFLEET_ADDRESSES: '' }, 'SBCFLEET_ADDRESSES is "": expected one or more IP addresses'],
    ['no token', { SBCFLEET_TOKEN: undefined }, 'SBCFLEET_TOKEN is not set: expected a token, or SBCFLEET_TOKEN_FILE'],
    [
      'two tokens',
      { SBCFLEET_TOKEN_FILE: '/x' },
      'SBCFLEET_TOKEN and SBCFLEET_TOKEN_FILE are both set: expected one of them',
    ],
    [
      'an unknown level',
      { SBCFLEET_LOG_LEVEL: 'loud' },
      'SBCFLEET_LOG_LEVEL is "loud": expected trace, debug, info, warn, error',
    ],
    [
      'a port that is no number',
      { SBCFLEET_ADMIN_PORT: '1e3' },
      'SBCFLEET_ADMIN_PORT is "1e3": expected a whole number from 0 to 65535',
    ],
    [
      'a port that is too high',
      { SBCFLEET_HEALTH_PORT: '65536' },
      'SBCFLEET_HEALTH_PORT is "65536": expected a whole number from 0 to 65535',
    ],
    [
      'a drachtio-server by name',
      { SBCFLEET_DRACHTIO_ADDRESS: 'localhost:9022', SBCFLEET_DRACHTIO_SECRET: 'cymru' },
      'SBCFLEET_DRACHTIO_ADDRESS is "localhost:9022": expected an IP address and a port, as 127.0.0.1:9022',
    ],
    [
      'a drachtio-server without its secret',
      { SBCFLEET_DRACHTIO_ADDRESS: '127.0.0.1:9022' },
      'SBCFLEET_DRACHTIO_SECRET is not set, or holds a "|": expected the secret of the drachtio-server',
    ],
    [
      'a negative time',
      { SBCFLEET_DRAIN_SECONDS: '-1' },
      'SBCFLEET_DRAIN_SECONDS is "-1": expected a whole number from 0 to 86400',
    ],
  ])('names variable, value and what is expected: %s', (_what, changes, message) => {
    expect(problemsOf(changes)).toEqual([expect.stringContaining(message)])
  })

  it('reads where the drachtio-server is, and keeps its secret to itself', () => {
    const { drachtio } = readEnv({
      ...good,
      SBCFLEET_DRACHTIO_ADDRESS: '127.0.0.2:9023',
      SBCFLEET_DRACHTIO_SECRET: 'cymru',
    })
    expect(drachtio).toMatchObject({ host: '127.0.0.2', port: 9023 })
    expect(drachtio?.secret.reveal()).toBe('cymru')
    expect(JSON.stringify(drachtio)).not.toContain('cymru')
  })

  it('names everything that is wrong at once, and never the token', () => {
    const problems = problemsOf({ SBCFLEET_FLEET: '', SBCFLEET_REPLICA: 'Edge', SBCFLEET_TOKEN_FILE: '/x' })
    expect(problems).toHaveLength(3)
    expect(problems.join()).not.toContain('secret')
  })
})
