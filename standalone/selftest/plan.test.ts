import { describe, expect, it } from 'vitest'
import { SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import { VoiceService } from '#api/voice-service.ts'
import type { World } from '../../operator/compile/world.ts'
import { planSelftest } from './plan.ts'

const apiVersion = 'sbcfleet.dev/v1alpha1'
const meta = (name: string) => ({ name, namespace: 'voice' })

function world(changes: { route?: object; carrier?: object; pbx?: object; listeners?: object[] } = {}): World {
  return {
    voiceService: VoiceService.parse({
      apiVersion,
      kind: 'VoiceService',
      metadata: meta('edge'),
      spec: {
        listeners: changes.listeners ?? [
          { name: 'inside', transport: 'UDP', port: 5060 },
          { name: 'outside', transport: 'UDP', port: 5080 },
        ],
        routes: [
          {
            name: 'outbound',
            match: { trunks: ['pbx'], calledPattern: '\\+?[0-9]{4,15}' },
            targets: [{ trunkRef: { name: 'carrier' } }],
            ...changes.route,
          },
        ],
      },
    }),
    trunks: [
      trunk('pbx', { listeners: ['inside'], targets: [{ name: 'a', host: '127.0.0.1', port: 5090 }], ...changes.pbx }),
      trunk('carrier', {
        targets: [{ name: 'a', host: '127.0.0.1', port: 5070 }],
        registration: {
          registrars: [{ name: 'primary', host: '127.0.0.1', port: 5070 }],
          accounts: [{ name: 'main', number: '+15550100', secretRef: { name: 'carrier-account' } }],
        },
        ...changes.carrier,
      }),
    ],
    secrets: [
      SecretManifest.parse({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: meta('carrier-account'),
        stringData: { password: 'plain' },
        data: { username: Buffer.from('edge').toString('base64') },
      }),
    ],
  }
}

function trunk(name: string, spec: object): SipTrunk {
  return SipTrunk.parse({
    apiVersion,
    kind: 'SipTrunk',
    metadata: meta(name),
    spec: { voiceServiceRef: { name: 'edge' }, ...spec },
  })
}

describe('planSelftest', () => {
  it('plays every peer, and calls along the first route', () => {
    const accounts = new Map([['+15550100', { username: 'edge', password: 'plain' }]])
    const near = { trunk: 'pbx', host: '127.0.0.1', port: 5090, accounts: new Map() }
    const far = { trunk: 'carrier', host: '127.0.0.1', port: 5070, accounts }
    expect(planSelftest([world()], undefined)).toEqual({
      peers: [near, far],
      call: {
        fleet: 'voice/edge',
        route: 'outbound',
        near,
        far: [far],
        entry: { host: '127.0.0.1', port: 5060 },
        called: '+15550123',
        calling: '+15550123',
      },
    })
  })

  it('plays a registrar that is no target of its trunk', () => {
    const plan = planSelftest(
      [world({ carrier: { targets: [{ name: 'a', host: '127.0.0.1', port: 5071 }] } })],
      undefined,
    )
    expect(plan).toMatchObject({ peers: [{ port: 5090 }, { port: 5071, accounts: new Map() }, { port: 5070 }] })
  })

  it('calls the listener of the right IP family, at the address given', () => {
    const plan = planSelftest(
      [
        world({
          listeners: [
            { name: 'udp', transport: 'UDP', port: 5060 },
            { name: 'six', transport: 'UDP', port: 5060, ipFamily: 'IPv6' },
          ],
          pbx: { listeners: ['udp', 'six'], targets: [{ name: 'a', host: '::1', port: 5090 }] },
        }),
      ],
      [['192.0.2.1', '2001:db8::1']],
    )
    expect(plan).toMatchObject({ call: { entry: { host: '2001:db8::1', port: 5060 } } })
  })

  it.each([
    ['no VoiceService has a route', []],
    [
      'route outbound of voice/edge: trunk carrier has no UDP target on 127.0.0.0/8',
      [world({ carrier: { targets: [{ name: 'a', host: 'sip.example.com' }], registration: undefined } })],
    ],
    [
      'no trunk that it takes calls from has a UDP target',
      [world({ pbx: { targets: [{ name: 'a', host: '127.0.0.1', transport: 'TCP' }] } })],
    ],
    ['no usual number fits its calledPattern', [world({ route: { match: { calledPattern: 'x{40}' } } })]],
    [
      'trunk pbx has no UDP listener of the IP family of 127.0.0.1',
      [world({ listeners: [{ name: 'inside', transport: 'TCP', port: 5060 }] })],
    ],
  ])('says that %s', (reason, worlds) => expect(planSelftest(worlds, undefined)).toContain(reason))
})
