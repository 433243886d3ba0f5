import type { PodTemplate } from '#api/pod-template.ts'
import { adminPort, healthPort } from '#api/replica-ports.ts'
import { fullName } from '../compile/world.ts'
import { authoritiesKey } from './control-config.ts'
import { type EnginePart, enginePart } from './engine-sidecar.ts'
import { type Fleet, labelsOf, namesOf, selectorOf, tokenAudience } from './fleet.ts'

/** Beyond the drain, in seconds: a replica un-registers and says good-bye. */
const stopMarginSeconds = 10
/** Readable by the operator and the replica; tokens are renewed by the kubelet well before they lapse. */
const tokenSeconds = 3600
const user = 65532

const controlDirectory = '/var/run/sbcfleet/control'
const stateDirectory = '/var/run/sbcfleet/state'

const usualResources: NonNullable<PodTemplate['resources']> = {
  requests: { cpu: '100m', memory: '192Mi' },
  limits: { memory: '512Mi' },
}

/**
 * The pod of a replica: as the Pod Security standard "restricted" wants it, unless it uses the network of its node. Nothing
 * in it depends on trunks or routes, which replicas take while they run, and on listeners only with `engine: Drachtio`.
 */
export function podTemplate(fleet: Fleet) {
  const { voiceService, settings } = fleet
  const { template } = voiceService.spec
  const engine = enginePart(fleet)
  return {
    metadata: {
      labels: { ...template.labels, ...labelsOf(voiceService) },
      ...(template.annotations !== undefined && { annotations: template.annotations }),
    },
    spec: {
      serviceAccountName: namesOf(voiceService.metadata.name).serviceAccount,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: template.drainSeconds + stopMarginSeconds,
      ...(settings.imagePullSecrets.length > 0 && {
        imagePullSecrets: settings.imagePullSecrets.map((name) => ({ name })),
      }),
      ...network(template),
      ...placement(fleet),
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: user,
        fsGroup: user,
        seccompProfile: { type: 'RuntimeDefault' },
        // Ports below 1024 without any capability; with the node's network they are the node's to give.
        ...(!template.hostNetwork && { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }] }),
      },
      ...(engine.initContainers !== undefined && { initContainers: engine.initContainers }),
      containers: [container(fleet, engine)],
      volumes: [...volumes(fleet), ...engine.volumes],
    },
  }
}

function container(fleet: Fleet, engine: EnginePart) {
  const { settings, voiceService } = fleet
  const probe = (path: string) => ({ httpGet: { path, port: 'health' } })
  return {
    name: 'replica',
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    env: [...environment(fleet), ...engine.environment],
    ports: [{ name: 'health', containerPort: healthPort, protocol: 'TCP' }],
    startupProbe: { ...probe('/livez'), periodSeconds: 1, failureThreshold: 60 },
    livenessProbe: { ...probe('/livez'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2 },
    resources: voiceService.spec.template.resources ?? usualResources,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'control', mountPath: controlDirectory, readOnly: true },
      { name: 'state', mountPath: stateDirectory },
    ],
  }
}

function environment({ voiceService, settings }: Fleet) {
  const fromPod = (fieldPath: string) => ({ valueFrom: { fieldRef: { fieldPath } } })
  const values = {
    SBCFLEET_FLEET: fullName(voiceService),
    SBCFLEET_CONTROL_URLS: settings.controlUrl,
    SBCFLEET_CONTROL_CA_FILE: `${controlDirectory}/${authoritiesKey}`,
    SBCFLEET_TOKEN_FILE: `${controlDirectory}/token`,
    SBCFLEET_STATE_DIR: stateDirectory,
    SBCFLEET_ADMIN_PORT: String(adminPort),
    SBCFLEET_HEALTH_PORT: String(healthPort),
    SBCFLEET_LOG_LEVEL: settings.logLevel,
    SBCFLEET_DRAIN_SECONDS: String(voiceService.spec.template.drainSeconds),
  }
  return [
    { name: 'SBCFLEET_REPLICA', ...fromPod('metadata.name') },
    { name: 'SBCFLEET_ADDRESSES', ...fromPod('status.podIPs') },
    { name: 'SBCFLEET_HEALTH_ADDRESS', ...fromPod('status.podIP') },
    ...Object.entries(values).map(([name, value]) => ({ name, value })),
  ]
}

function network({ hostNetwork }: PodTemplate) {
  return hostNetwork ? { hostNetwork, dnsPolicy: 'ClusterFirstWithHostNet' } : {}
}

function placement(fleet: Fleet) {
  const { nodeSelector, tolerations, affinity, priorityClassName, topologySpread } = fleet.voiceService.spec.template
  const spread = topologySpread ?? [
    { topologyKey: 'kubernetes.io/hostname', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' as const },
  ]
  return {
    ...(nodeSelector !== undefined && { nodeSelector }),
    ...(tolerations !== undefined && { tolerations }),
    ...(affinity !== undefined && { affinity }),
    ...(priorityClassName !== undefined && { priorityClassName }),
    topologySpreadConstraints: spread.map((rule) => ({ ...rule, labelSelector: { matchLabels: selectorOf(fleet) } })),
  }
}

function volumes({ voiceService }: Fleet) {
  return [
    {
      name: 'control',
      projected: {
        sources: [
          { serviceAccountToken: { audience: tokenAudience, expirationSeconds: tokenSeconds, path: 'token' } },
          {
            configMap: {
              name: namesOf(voiceService.metadata.name).controlConfig,
              items: [{ key: authoritiesKey, path: authoritiesKey }],
            },
          },
        ],
      },
    },
    // Passwords are in the last good configuration, so it stays in memory.
    { name: 'state', emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } },
  ]
}
