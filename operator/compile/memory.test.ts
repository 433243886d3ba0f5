import { describe, expect, it } from 'vitest'
import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { VoiceService } from '#api/voice-service.ts'
import { compile } from './compile.ts'
import { Memory } from './memory.ts'
import type { World } from './world.ts'

function voiceService(expiresSeconds: number): VoiceService {
  return VoiceService.parse({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'VoiceService',
    metadata: { namespace: 'voice', name: 'edge' },
    spec: {
      listeners: [{ name: 'udp', transport: 'UDP', port: 5060 }],
      sip: { sessionTimer: { expiresSeconds } },
    },
  })
}

/** Trunks of neighbouring numbers want the same address. */
function trunk(index: number, changes: object = {}): SipTrunk {
  return SipTrunk.parse({
    apiVersion: 'sbcfleet.dev/v1alpha1',
    kind: 'SipTrunk',
    metadata: {
      namespace: 'voice',
      name: `trunk-${index}`,
      creationTimestamp: `2026-01-0${1 + (index % 5)}T00:00:00Z`,
    },
    spec: {
      voiceServiceRef: { name: 'edge' },
      targets: [{ name: 'main', host: `192.0.2.${index >> 1}` }],
      registration: {
        registrars: [{ name: 'main', host: `192.0.2.${index}` }],
        accounts: [{ name: 'main', number: '100', secretRef: { name: 'account' } }],
      },
      ...changes,
    },
  })
}

function secret(password: string): SecretManifest {
  const data = { password: Buffer.from(password).toString('base64') }
  return SecretManifest.parse({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'voice', name: 'account' },
    data,
  })
}

describe('compiling with a memory of the last time', () => {
  it('comes to the same as without, whatever changes', () => {
    const memory = new Memory()
    let world: World = { voiceService: voiceService(1800), secrets: [secret('a')], trunks: [] }
    const trunks = Array.from({ length: 12 }, (_, index) => trunk(index))
    const steps: (() => Partial<World>)[] = [
      () => ({ trunks }),
      () => ({ trunks: trunks.with(3, trunk(3, { targets: [{ name: 'main', host: '192.0.2.77' }] })) }),
      () => ({ trunks: world.trunks.with(4, trunk(4, { registration: undefined })) }),
      () => ({ trunks: world.trunks.with(5, trunk(5, { registration: undefined })) }),
      () => ({ trunks: world.trunks.toSpliced(4, 1) }),
      () => ({ trunks: [trunk(4, { registration: undefined }), ...world.trunks.toReversed()] }),
      () => ({ secrets: [secret('b')] }),
      () => ({ secrets: [] }),
      () => ({ secrets: [secret('c')], voiceService: voiceService(3600) }),
      () => ({ trunks: world.trunks.with(0, trunk(0, { access: { allowedSources: ['198.51.100.0/24'] } })) }),
      () => ({ trunks: world.trunks.with(1, trunk(1, { access: { allowedSources: ['198.51.100.0/24'] } })) }),
      () => ({ trunks: world.trunks.toSpliced(0, 1) }),
    ]
    for (const step of steps) {
      world = { ...world, ...step() }
      expect(compile(world, memory)).toEqual(compile(world))
    }
  })

  it('makes again only what has changed', () => {
    const memory = new Memory()
    const trunks = [0, 2, 4].map((index) => trunk(index))
    const world = { voiceService: voiceService(1800), secrets: [secret('a')], trunks }
    const before = compile(world, memory).snapshot.resources
    const changed = trunk(2, { keepalive: { upIntervalSeconds: 100 } })
    const after = compile({ ...world, trunks: trunks.with(1, changed) }, memory).snapshot.resources
    const remade = after.filter((one) => !before.includes(one)).map(({ key }) => key)
    expect(remade).toEqual(['Listener/udp', 'Trunk/trunk-2'])
  })
})
