import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { VoiceService } from '#api/voice-service.ts'
import { apiVersionOf } from '../kube/resource.ts'
import { type Fleet, type ReplicaSettings, voiceServiceOfAccount } from './fleet.ts'
import { fleetObjects } from './objects.ts'
import { sipPorts } from './services.ts'

/**
 * Every file is one case: a sentence on top, a VoiceService, `=====`, and the objects that are made of it. `UPDATE=1`
 * writes the second half anew; a changed file is read before it is committed.
 */
const folder = join(import.meta.dirname, 'testdata')
const separator = '\n=====\n'

const settings: ReplicaSettings = {
  image: 'replica.example/sbcfleet:1',
  imagePullPolicy: 'IfNotPresent',
  imagePullSecrets: ['pull'],
  operator: 'sbcfleet/sbcfleet',
  controlUrl: 'wss://sbcfleet-control.sbcfleet.svc:8443/replicas',
  authorities: 'PEM',
  logLevel: 'info',
}

function fleetOf(voiceService: unknown): Fleet {
  return { voiceService: VoiceService.parse(voiceService), uid: 'b1b1', settings }
}

function withListeners(...listeners: object[]) {
  const metadata = { name: 'edge', namespace: 'voice' }
  return fleetOf({ apiVersion: 'sbcfleet.dev/v1alpha1', kind: 'VoiceService', metadata, spec: { listeners } })
}

describe('the objects of a fleet', () => {
  it.each(readdirSync(folder))('are what %s says', (name) => {
    const path = join(folder, name)
    const [input = '', expected] = readFileSync(path, 'utf8').split(separator)
    const objects = fleetObjects(fleetOf(parse(input))).map(({ resource, manifest }) => ({
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      ...manifest,
    }))
    const actual = objects
      .map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
      .join('---\n')
    if (process.env['UPDATE'] !== undefined) writeFileSync(path, input + separator + actual)
    else expect(actual).toBe(expected)
  })

  it('do not restart replicas for a listener, a route or another number of replicas', () => {
    const udp = { name: 'udp', transport: 'UDP', port: 5060 }
    const templateOf = (fleet: Fleet) =>
      fleetObjects(fleet).flatMap(({ resource, manifest }) =>
        resource.kind === 'StatefulSet' && manifest.spec !== undefined && 'template' in manifest.spec
          ? [manifest.spec.template]
          : [],
      )
    const before = templateOf(withListeners(udp))
    expect(before).toHaveLength(1)
    expect(templateOf(withListeners(udp, { name: 'tcp', transport: 'TCP', port: 443 }))).toEqual(before)
  })
})

describe('the ports of the Services', () => {
  it('are found by _sip (RFC 3263 section 4.1) and by the names of the other listeners', () => {
    const { voiceService } = withListeners(
      { name: 'outside', transport: 'UDP', port: 5060 },
      { name: 'inside', transport: 'TCP', port: 5060 },
    )
    expect(sipPorts(voiceService)).toEqual([
      { name: 'sip', port: 5060, protocol: 'UDP' },
      { name: 'inside', port: 5060, protocol: 'TCP' },
    ])
  })

  it('are there once for two listeners that differ in their IP family only', () => {
    const { voiceService } = withListeners(
      { name: 'four', transport: 'UDP', port: 5060 },
      { name: 'six', transport: 'UDP', port: 5060, ipFamily: 'IPv6' },
    )
    expect(sipPorts(voiceService)).toHaveLength(1)
  })

  it.each(['a-listener-with-a-long-name', '5061', 'sip', 'a--b'])('have a name that a Service takes for %s', (name) => {
    const { voiceService } = withListeners(
      { name: 'first', transport: 'UDP', port: 5060 },
      { name, transport: 'UDP', port: 5061 },
    )
    const [, second] = sipPorts(voiceService)
    expect(second?.name).toMatch(/^(?=.*[a-z])(?!.*--)(?!sip$)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/)
  })
})

describe('a ServiceAccount', () => {
  it('tells its fleet by its name', () => {
    expect(voiceServiceOfAccount('edge-replica')).toBe('edge')
    expect(voiceServiceOfAccount('edge-replica-replica')).toBe('edge-replica')
    expect(voiceServiceOfAccount('default')).toBeUndefined()
  })
})
