import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { apiVersion, VoiceService } from '#api/voice-service.ts'
import type { World } from '../../operator/compile/world.ts'

/** A fleet with one listener and two trunks on loopback; calls of the PBX go to the carrier. */
export function worldOf(options: {
  port: number
  pbx: number
  carrier: number
  calledPattern?: string
  keepalive?: boolean
}): World {
  const { port, pbx, carrier, calledPattern = '.*', keepalive = false } = options
  const metadata = (name: string) => ({ name, namespace: 'voice', generation: 1 })
  const trunk = (name: string, target: number, spec: object = {}) =>
    SipTrunk.parse({
      apiVersion,
      kind: 'SipTrunk',
      metadata: metadata(name),
      spec: {
        voiceServiceRef: { name: 'edge' },
        targets: [{ name: 'a', host: '127.0.0.1', port: target }],
        keepalive: { enabled: keepalive },
        ...spec,
      },
    })
  const registration = {
    registrars: [{ name: 'primary', host: '127.0.0.1', port: carrier, expiresSeconds: 3600 }],
    accounts: [{ name: 'main', number: '100', secretRef: { name: 'account' } }],
  }
  return {
    voiceService: VoiceService.parse({
      apiVersion,
      kind: 'VoiceService',
      metadata: metadata('edge'),
      spec: {
        replicas: 1,
        listeners: [{ name: 'udp', transport: 'UDP', port }],
        routes: [
          { name: 'out', match: { trunks: ['pbx'], calledPattern }, targets: [{ trunkRef: { name: 'carrier' } }] },
        ],
      },
    }),
    trunks: [trunk('pbx', pbx), trunk('carrier', carrier, { registration })],
    secrets: [
      SecretManifest.parse({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: metadata('account'),
        stringData: { password: 'a password of the test' },
      }),
    ],
  }
}
