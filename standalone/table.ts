import type { StatusCondition } from '#api/conditions.ts'
import type { SipTrunkStatus } from '#api/sip-trunk.ts'
import type { VoiceServiceStatus } from '#api/voice-service.ts'

export interface Row<Status> {
  /** `namespace/name`. */
  readonly name: string
  /** When it was first read, in milliseconds since 1970. */
  readonly createdAt: number
  readonly status: Status
}

/** Everything there is to show. */
export interface View {
  readonly fleets: readonly Row<VoiceServiceStatus>[]
  readonly trunks: readonly Row<SipTrunkStatus>[]
  /** What is wrong with the manifests, one line each. */
  readonly problems: readonly string[]
}

const none = '-'

/** Cells of a fleet, as the printer columns of the CRD give them. */
export const fleetColumns = {
  VOICESERVICE: ({ name }: Row<VoiceServiceStatus>) => name,
  READY: ({ status }: Row<VoiceServiceStatus>) => conditionStatus(status, 'Ready'),
  REPLICAS: ({ status: { replicas } }: Row<VoiceServiceStatus>) =>
    replicas === undefined ? none : `${replicas.ready}/${replicas.desired}`,
  PROGRAMMED: ({ status: { replicas } }: Row<VoiceServiceStatus>) =>
    replicas === undefined ? none : `${replicas.programmed}/${replicas.desired}`,
  TRUNKS: ({ status }: Row<VoiceServiceStatus>) => String(status.trunks ?? none),
  CALLS: ({ status }: Row<VoiceServiceStatus>) => String(status.calls ?? none),
}

/** Cells of a trunk, as the printer columns of the CRD give them. */
export const trunkColumns = {
  SIPTRUNK: ({ name }: Row<SipTrunkStatus>) => name,
  READY: ({ status }: Row<SipTrunkStatus>) => conditionStatus(status, 'Ready'),
  PROGRAMMED: ({ status }: Row<SipTrunkStatus>) => status.programmed ?? none,
  REGISTERED: ({ status }: Row<SipTrunkStatus>) => conditionStatus(status, 'Registered'),
  REACHABLE: ({ status }: Row<SipTrunkStatus>) => conditionStatus(status, 'Reachable'),
  TARGETS: ({ status }: Row<SipTrunkStatus>) => status.targetsUp ?? none,
}

/** The tables of fleets and trunks, then what is wrong, as lines. `now` in milliseconds since 1970. */
export function renderView(view: View, now: number): string[] {
  const lines = [...renderTable(fleetColumns, view.fleets, now), '', ...renderTable(trunkColumns, view.trunks, now)]
  const troubles = [...view.problems, ...[...view.fleets, ...view.trunks].flatMap(troublesOf)]
  return troubles.length === 0 ? lines : [...lines, '', ...troubles]
}

export function renderTrunks(view: View, now: number): string[] {
  return renderTable(trunkColumns, view.trunks, now)
}

/** Reasons of what is on its way, and shown by the counts. */
const passing = new Set(['Pending', 'NoReplicas'])

/** Conditions that do not hold for a reason worth reading, one line each. */
export function troublesOf({ name, status }: Row<{ conditions?: StatusCondition[] | undefined }>): string[] {
  const failing = (status.conditions ?? []).filter((condition) => condition.status === 'False')
  // Ready only sums up the others.
  const telling = failing.length > 1 ? failing.filter(({ type }) => type !== 'Ready') : failing
  const lasting = telling.filter(({ reason }) => !passing.has(reason))
  return lasting.map(({ type, reason, message }) => `${name} ${type}=False (${reason}): ${message}`)
}

export function conditionStatus(status: { conditions?: StatusCondition[] | undefined }, type: string): string {
  return status.conditions?.find((condition) => condition.type === type)?.status ?? none
}

function renderTable<R extends Row<unknown>>(
  columns: Record<string, (row: R) => string>,
  rows: readonly R[],
  now: number,
): string[] {
  const cells = [
    [...Object.keys(columns), 'AGE'],
    ...rows.map((row) => [...Object.values(columns).map((cell) => cell(row)), formatAge(now - row.createdAt)]),
  ]
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)))
  return cells.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd(),
  )
}

/** A duration as kubectl writes it: `42s`, `3m7s`, `95m`, `5h12m`, `30h`, `4d`. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (seconds < 120) return `${seconds}s`
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`
  if (hours < 48) return `${hours}h`
  return `${Math.floor(hours / 24)}d`
}
