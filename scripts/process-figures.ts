import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** What Linux knows of a process. All of it throws once the process is gone. */

/** The first child of a process. */
export function childOf({ pid }: ChildProcess): number {
  const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  if (!(Number(first) > 0)) throw new Error(`process ${pid} has no child`)
  return Number(first)
}

/** User and system time so far, in milliseconds; Linux counts it in hundredths of a second. */
export function cpuMilliseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** Memory that is in use now, in MB of 2^20 bytes. */
export function residentMegabytes(pid: number): number {
  return statusField(pid, 'VmRSS')
}

/** The most memory that was ever in use, in MB of 2^20 bytes. */
export function peakMegabytes(pid: number): number {
  return statusField(pid, 'VmHWM')
}

function statusField(pid: number, name: string): number {
  const kilobytes = new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Math.round(Number(kilobytes) / 1024)
}
