const sip = {
  maxForwards: 70,
  timers: { noResponseMilliseconds: 4000, inviteExpiresMilliseconds: 180_000 },
  errors: { keepaliveFailure: 503, retryAfterSeconds: 30, reasonQ850: 41 },
  hunting: {
    scheme: 'Priority',
    huntOn: { codes: [503], timeout: true },
    stopOn: [{ from: 600, to: 699 }],
  },
}

/** A VoiceService that uses every field there is, so that every rule about a field can be broken from here. */
export const wholeVoiceService = {
  apiVersion: 'sbcfleet.dev/v1alpha1',
  kind: 'VoiceService',
  metadata: { name: 'edge', namespace: 'voice' },
  spec: {
    replicas: 3,
    listeners: [{ name: 'udp', transport: 'UDP', port: 5060, ipFamily: 'IPv4' }],
    sip,
    routes: [
      {
        name: 'outbound',
        match: { trunks: ['pbx'], calledPattern: '[0-9]+', callingPattern: '.*' },
        priority: 10,
        targets: [{ trunkRef: { name: 'carrier' }, priority: 0, weight: 1 }],
        sip,
      },
    ],
    service: { type: 'LoadBalancer', annotations: { pool: 'carriers' } },
    template: {
      labels: { tier: 'edge' },
      annotations: { team: 'voice' },
      resources: { requests: { cpu: '500m', memory: '256Mi' }, limits: { cpu: '2', memory: '512Mi' } },
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'sip', operator: 'Equal', value: 'only', effect: 'NoExecute', tolerationSeconds: 60 }],
      affinity: { podAntiAffinity: {} },
      topologySpread: [{ topologyKey: 'topology.kubernetes.io/zone', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' }],
      hostNetwork: false,
      priorityClassName: 'voice',
      drainSeconds: 30,
    },
  },
}

/** The same for a SipTrunk. */
export const wholeSipTrunk = {
  apiVersion: 'sbcfleet.dev/v1alpha1',
  kind: 'SipTrunk',
  metadata: { name: 'carrier', namespace: 'voice' },
  spec: {
    voiceServiceRef: { name: 'edge' },
    listeners: ['udp'],
    targets: [{ name: 'a', host: 'sip.carrier.example', port: 5060, transport: 'UDP', priority: 0, weight: 1 }],
    access: { allowedSources: ['192.0.2.0/24'] },
    registration: {
      registrars: [{ name: 'primary', host: '192.0.2.1', port: 5060, transport: 'TCP', expiresSeconds: 3600 }],
      accounts: [{ name: 'main', number: '+15550100', secretRef: { name: 'carrier-account' } }],
    },
    keepalive: {
      enabled: true,
      upIntervalSeconds: 60,
      downIntervalSeconds: 30,
      failureThreshold: 5,
      timeoutSeconds: 4,
      scope: 'Fleet',
      failureCodes: [503],
      transport: 'UDP',
    },
    sip,
  },
}
