import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { SipTrunkStatus } from '#api/sip-trunk.ts'
import type { Output } from './display.ts'
import { formatAge } from './table.ts'

const Document = z.looseObject({
  kind: z.literal('SipTrunk'),
  metadata: z.looseObject({ namespace: z.string(), name: z.string() }),
  status: SipTrunkStatus,
})

/** A SipTrunk with its status. */
export interface TrunkStatus {
  /** `namespace/name`. */
  readonly name: string
  readonly status: SipTrunkStatus
}

/**
 * `sbcfleet trunks`: what the fleets of a directory know of every target and registration, from the status that a running
 * fleet writes. Gives the exit code.
 */
export function runTrunks(statusDirectory: string, output: Output, now: number): number {
  const trunks = readTrunks(statusDirectory)
  if (trunks === undefined) {
    output.write(`${statusDirectory} has no status of trunks; is the fleet running? Start it with sbcfleet start.\n`)
    return 1
  }
  output.write(`${renderTargets(trunks, now).join('\n')}\n`)
  return 0
}

/** Undefined when there is none. */
export function readTrunks(statusDirectory: string): TrunkStatus[] | undefined {
  let names: string[]
  try {
    names = readdirSync(statusDirectory).filter((name) => /^siptrunk-.*\.yaml$/.test(name))
  } catch {
    return undefined
  }
  const trunks = names.toSorted().flatMap((name) => {
    const read = Document.safeParse(parse(readFileSync(join(statusDirectory, name), 'utf8')))
    if (!read.success) return []
    const { metadata, status } = read.data
    return [{ name: `${metadata.namespace}/${metadata.name}`, status }]
  })
  return trunks.length === 0 ? undefined : trunks
}

const header = ['TRUNK', 'WHAT', 'WHERE', 'STATE', 'FOR', 'BY', 'SEEN UP', 'LAST EXCHANGE']

/** One table of all targets and registrations: since when, who found it, and the last exchange. */
export function renderTargets(trunks: readonly TrunkStatus[], now: number): string[] {
  const rows = trunks.flatMap(({ name, status }) => [
    ...(status.targets ?? []).map((target) => [
      name,
      `target ${target.name}`,
      target.address,
      target.state,
      since(target.lastTransitionTime, now),
      target.prober ?? '-',
      `${target.replicasUp}/${target.replicasTotal}`,
      exchange('OPTIONS', target),
    ]),
    ...(status.registrations ?? []).map((one) => [
      name,
      `account ${one.account}`,
      one.registrar,
      one.state,
      since(one.lastTransitionTime, now),
      one.replica === '' ? '-' : one.replica,
      '-',
      exchange('REGISTER', one),
    ]),
  ])
  const cells = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd(),
  )
}

function since(time: string | undefined, now: number): string {
  return time === undefined ? '-' : formatAge(now - Date.parse(time))
}

function exchange(
  method: string,
  { lastCode, message }: { lastCode?: number | undefined; message?: string | undefined },
) {
  if (message !== undefined) return `${method}: ${message}`
  return lastCode === undefined ? '-' : `${method}: ${lastCode}`
}
