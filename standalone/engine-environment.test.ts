import { describe, expect, it } from 'vitest'
import { SecretManifest } from '#api/sip-trunk.ts'
import { apiVersion, VoiceService } from '#api/voice-service.ts'
import type { World } from '../operator/compile/world.ts'
import { EngineEnvironment } from './engine-environment.ts'

const metadata = (name: string) => ({ name, namespace: 'voice' })

function worldOf(engine: object, secret?: string): World {
  const listeners = [{ name: 'udp', transport: 'UDP', port: 5060 }]
  const manifest = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadata('drachtio'),
    stringData: { secret: secret ?? '' },
  }
  return {
    voiceService: VoiceService.parse({
      apiVersion,
      kind: 'VoiceService',
      metadata: metadata('edge'),
      spec: { ...engine, listeners },
    }),
    trunks: [],
    secrets: secret === undefined ? [] : [SecretManifest.parse(manifest)],
  }
}

const drachtio = { engine: 'Drachtio', drachtio: { secretRef: { name: 'drachtio' }, port: 9023 } }

describe('what a replica is told of its engine', () => {
  it('is nothing with the built-in one', () => {
    expect(new EngineEnvironment().of(worldOf({}), ['127.0.0.1'])).toEqual({})
  })

  it.each([
    [['127.0.0.2'], '127.0.0.2:9023'],
    [['::1', '127.0.0.1'], '127.0.0.1:9023'],
    [['192.0.2.7'], '127.0.0.1:9023'],
  ])('is that the drachtio-server of a replica on %j is at %s', (addresses, address) => {
    expect(new EngineEnvironment().of(worldOf(drachtio, 'cymru'), addresses)).toEqual({
      SBCFLEET_DRACHTIO_ADDRESS: address,
      SBCFLEET_DRACHTIO_SECRET: 'cymru',
    })
  })

  it.each([undefined, '', 'a|b', 'a\nb'])(
    'cannot be told with the secret %j, and is what it was where there was one',
    (bad) => {
      expect(new EngineEnvironment().of(worldOf(drachtio, bad), ['127.0.0.1'])).toBeUndefined()
      const known = new EngineEnvironment()
      const before = known.of(worldOf(drachtio, 'cymru'), ['127.0.0.1'])
      expect(known.of(worldOf(drachtio, bad), ['127.0.0.1'])).toEqual(before)
    },
  )
})
