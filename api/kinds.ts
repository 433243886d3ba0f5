import type { z } from 'zod'
import type { ConditionType } from './conditions.ts'
import { SipTrunk, SipTrunkSpec, SipTrunkStatus } from './sip-trunk.ts'
import { apiVersion, VoiceService, voiceServiceRules, VoiceServiceSpec, VoiceServiceStatus } from './voice-service.ts'

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly description: string
  /** Shown with `-o wide` only. */
  readonly wide?: boolean
}

/** What Kubernetes is told of a kind, besides its schema. */
export interface Kind {
  readonly kind: string
  readonly singular: string
  readonly plural: string
  readonly shortNames: readonly string[]
  readonly description: string
  readonly manifest: z.ZodType
  readonly spec: z.ZodType
  readonly status: z.ZodType
  /** Rules on the whole object; those on the spec are in its schema. */
  readonly rules: readonly { readonly cel: string; readonly message: string }[]
  readonly columns: readonly PrinterColumn[]
  readonly scale?: {
    readonly specReplicasPath: string
    readonly statusReplicasPath: string
    readonly labelSelectorPath: string
  }
  /** Fields that `--field-selector` takes. */
  readonly selectableFields: readonly string[]
}

/** API group and version of the kinds. */
export const [group = '', version = ''] = apiVersion.split('/')

/** Categories that the kinds belong to: `kubectl get sbc` lists them all. */
export const categories = ['sbc']

const age: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since the resource was created.',
}

export const voiceServiceKind: Kind = {
  kind: 'VoiceService',
  singular: 'voiceservice',
  plural: 'voiceservices',
  shortNames: ['vsvc'],
  description:
    'One fleet of session border controllers: its replicas, where they listen, how they behave in SIP, and the dial plan.',
  manifest: VoiceService,
  spec: VoiceServiceSpec,
  status: VoiceServiceStatus,
  rules: voiceServiceRules,
  columns: [
    conditionColumn('Ready', 'Accepted, references resolved, and programmed on every replica.'),
    { name: 'Desired', type: 'integer', jsonPath: '.spec.replicas', description: 'Replicas asked for.' },
    {
      name: 'Replicas',
      type: 'integer',
      jsonPath: '.status.replicas.ready',
      description: 'Replicas that run some configuration.',
    },
    {
      name: 'Programmed',
      type: 'integer',
      jsonPath: '.status.replicas.programmed',
      description: 'Replicas that run the newest configuration.',
    },
    { name: 'Trunks', type: 'integer', jsonPath: '.status.trunks', description: 'SipTrunks in the configuration.' },
    { name: 'Calls', type: 'integer', jsonPath: '.status.calls', description: 'Calls up now.' },
    {
      name: 'Revision',
      type: 'string',
      jsonPath: '.status.revision',
      description: 'Hash of the configuration.',
      wide: true,
    },
    messageColumn(),
    age,
  ],
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas.ready',
    labelSelectorPath: '.status.selector',
  },
  selectableFields: [],
}

export const sipTrunkKind: Kind = {
  kind: 'SipTrunk',
  singular: 'siptrunk',
  plural: 'siptrunks',
  shortNames: ['sipt'],
  description: 'One peer of a fleet: a carrier, PBX or contact centre that calls are sent to and taken from.',
  manifest: SipTrunk,
  spec: SipTrunkSpec,
  status: SipTrunkStatus,
  rules: [],
  columns: [
    conditionColumn('Ready', 'Accepted, references resolved, and programmed on every replica.'),
    {
      name: 'Programmed',
      type: 'string',
      jsonPath: '.status.programmed',
      description: 'Replicas that run this generation, of those asked for.',
    },
    conditionColumn('Registered', 'Whether every account is registered.'),
    conditionColumn('Reachable', 'Whether every target answers.'),
    { name: 'Targets', type: 'string', jsonPath: '.status.targetsUp', description: 'Targets that are up, of all.' },
    {
      name: 'Fleet',
      type: 'string',
      jsonPath: '.spec.voiceServiceRef.name',
      description: 'VoiceService that the trunk belongs to.',
      wide: true,
    },
    {
      name: 'Last-Good',
      type: 'integer',
      jsonPath: '.status.lastGood.generation',
      description: 'Generation that runs in the place of one that is invalid.',
      wide: true,
    },
    messageColumn(),
    age,
  ],
  selectableFields: ['.spec.voiceServiceRef.name'],
}

export const kinds: readonly Kind[] = [voiceServiceKind, sipTrunkKind]

function conditionColumn(type: ConditionType, description: string): PrinterColumn {
  return { name: type, type: 'string', jsonPath: `.status.conditions[?(@.type=="${type}")].status`, description }
}

function messageColumn(): PrinterColumn {
  const jsonPath = '.status.conditions[?(@.type=="Accepted")].message'
  return {
    name: 'Message',
    type: 'string',
    jsonPath,
    description: 'What was left out of the configuration, and why.',
    wide: true,
  }
}
