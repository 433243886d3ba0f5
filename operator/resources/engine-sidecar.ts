import { type DrachtioServer, drachtioSecretKey } from '#api/drachtio.ts'
import type { Listener, VoiceService } from '#api/voice-service.ts'
import { type Fleet, namesOf } from './fleet.ts'

/** Key of the file that drachtio-server does not start without. What it says there the arguments override. */
export const drachtioConfigKey = 'drachtio.conf.xml'
export const drachtioConfig = `<drachtio>
  <admin port="9022">127.0.0.1</admin>
  <sip><contacts/></sip>
  <cdrs>false</cdrs>
  <logging><console/><loglevel>notice</loglevel><sofia-loglevel>0</sofia-loglevel></logging>
</drachtio>
`

const configDirectory = '/var/run/sbcfleet/drachtio'
const configVolume = 'drachtio'

const tlsDirectory = '/var/run/sbcfleet/tls'
const tlsVolume = 'sip-tls'

const usualResources: NonNullable<DrachtioServer['resources']> = {
  requests: { cpu: '100m', memory: '128Mi' },
  limits: { memory: '1Gi' },
}

/** Part of a pod that only `engine: Drachtio` has. */
export interface EnginePart {
  readonly initContainers?: readonly object[]
  readonly environment: readonly object[]
  readonly volumes: readonly object[]
}

/**
 * The drachtio-server of a pod. It is a sidecar in the sense of Kubernetes, an init container that goes on: it is there
 * before the replica, and ends after it. That matters, since it exits at once when it is told to end, and the calls that
 * the replica drains would go with it.
 */
export function enginePart({ voiceService, settings }: Fleet): EnginePart {
  const { drachtio, listeners } = voiceService.spec
  if (drachtio === undefined) return { environment: [], volumes: [] }
  const secret = {
    valueFrom: { secretKeyRef: { name: drachtio.secretRef.name, key: drachtioSecretKey } },
  }
  const certificate = tlsSecretOf(voiceService)
  const sidecar = {
    name: 'drachtio',
    image: drachtio.image,
    imagePullPolicy: settings.imagePullPolicy,
    restartPolicy: 'Always',
    command: ['drachtio'],
    args: [
      // With it, requests go where messages came from instead of to their Contact; and it has crashed over that.
      '--disable-nat-detection',
      ...['--file', `${configDirectory}/${drachtioConfigKey}`],
      ...['--address', '127.0.0.1', '--port', String(drachtio.port)],
      ...(certificate === undefined ? [] : tlsArguments),
      ...listeners.flatMap(contactArguments),
    ],
    env: [
      { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'DRACHTIO_SECRET', ...secret },
    ],
    // Its port for applications is on 127.0.0.1, where no probe of the kubelet comes; the replica watches it.
    resources: drachtio.resources ?? usualResources,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: configVolume, mountPath: configDirectory, readOnly: true },
      ...(certificate === undefined ? [] : [{ name: tlsVolume, mountPath: tlsDirectory, readOnly: true }]),
    ],
  }
  const configMap = {
    name: namesOf(voiceService.metadata.name).controlConfig,
    items: [{ key: drachtioConfigKey, path: drachtioConfigKey }],
  }
  return {
    initContainers: [sidecar],
    environment: [
      { name: 'SBCFLEET_DRACHTIO_ADDRESS', value: `127.0.0.1:${drachtio.port}` },
      { name: 'SBCFLEET_DRACHTIO_SECRET', ...secret },
    ],
    volumes: [
      { name: configVolume, configMap },
      ...(certificate === undefined ? [] : [{ name: tlsVolume, secret: { secretName: certificate } }]),
    ],
  }
}

/** One certificate is all that a drachtio-server has; the first listener with one has it. */
function tlsSecretOf({ spec }: VoiceService): string | undefined {
  return spec.listeners.find(({ tls }) => tls !== undefined)?.tls?.secretRef.name
}

const tlsArguments = [
  ...['--cert-file', `${tlsDirectory}/tls.crt`, '--key-file', `${tlsDirectory}/tls.key`],
  ...['--min-tls-version', '1.2'],
]

/** `--external-ip` belongs to the contact before it. Over IPv6 it could carry no call. */
function contactArguments({ transport, port, ipFamily, advertisedAddress }: Listener): string[] {
  if (ipFamily === 'IPv6') return []
  const contact = `sip:$(POD_IP):${port};transport=${transport.toLowerCase()}`
  return ['--contact', contact, ...(advertisedAddress === undefined ? [] : ['--external-ip', advertisedAddress])]
}
