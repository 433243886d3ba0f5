import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Family } from './metrics.ts'

/** A UDP socket of the replica. */
export interface UdpSocket {
  readonly name: string
  readonly transport: string
  /** IP address, IPv6 without brackets. */
  readonly address: string
  readonly port: number
}

/** What the machine tells of the replica: how late its event loop is, and what the kernel has thrown away. */
export class HostMetrics {
  readonly #lag = monitorEventLoopDelay({ resolution: 10 })
  readonly #read: (file: string) => string

  /** `read` gives the text of a file of /proc, and throws when there is none. */
  constructor(read: (file: string) => string = (file) => readFileSync(file, 'utf8')) {
    this.#read = read
    this.#lag.enable()
  }

  /** The lag is of the time since it was last asked for. */
  families(sockets: Iterable<UdpSocket>): Family[] {
    const lag = (nanoseconds: number) => (Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0)
    const quantiles = [
      { labels: { quantile: '0.5' }, value: lag(this.#lag.percentile(50)) },
      { labels: { quantile: '0.99' }, value: lag(this.#lag.percentile(99)) },
      { labels: { quantile: '1' }, value: this.#lag.count === 0 ? 0 : lag(this.#lag.max) },
    ]
    this.#lag.reset()
    return [
      {
        name: 'sbcfleet_event_loop_lag_seconds',
        type: 'gauge',
        help: 'How late the event loop came to timers of 10 ms since the last scrape, the 10 ms included: median, 99 %, longest.',
        samples: quantiles,
      },
      {
        name: 'sbcfleet_udp_receive_drops_total',
        type: 'counter',
        help: 'Datagrams that the kernel threw away since the receive buffer of the listener was full; Linux only.',
        samples: this.#drops(sockets),
      },
    ]
  }

  stop(): void {
    this.#lag.disable()
  }

  #drops(sockets: Iterable<UdpSocket>): Family['samples'] {
    const dropped = new Map<string, number>()
    for (const file of ['/proc/net/udp', '/proc/net/udp6']) {
      let text: string
      try {
        text = this.#read(file)
      } catch {
        continue
      }
      for (const line of text.split('\n').slice(1)) {
        const fields = line.trim().split(/\s+/)
        const local = fields[1]
        if (local !== undefined) dropped.set(local, Number(fields.at(-1)))
      }
    }
    return [...sockets].flatMap(({ name, transport, address, port }) => {
      const value = transport === 'UDP' ? dropped.get(kernelAddress(address, port)) : undefined
      return value === undefined ? [] : [{ labels: { listener: name }, value }]
    })
  }
}

/** As the kernel writes it on a little-endian machine: each 32 bits of the address in reverse order, in hexadecimal digits. */
export function kernelAddress(address: string, port: number): string {
  const bytes = address.includes(':') ? ipv6Bytes(address) : address.split('.').map(Number)
  const words: string[] = []
  for (let at = 0; at < bytes.length; at += 4) words.push(hex(bytes.slice(at, at + 4).toReversed()))
  return `${words.join('')}:${hex([port >> 8, port & 255])}`
}

function ipv6Bytes(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'))
  const before = groups(head)
  const after = groups(tail)
  const middle = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0')
  return [...before, ...middle, ...after].flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 255]
  })
}

function hex(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join('')
}
