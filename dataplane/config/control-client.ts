import { lookup } from 'node:dns/promises'
import { ReportSource } from '#api/report-delta.ts'
import { type Ack, type Delta, type Findings, type ReplicaReport, wireSchema } from '#api/wire.ts'
import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import type { Applier, Verdict } from './apply.ts'
import { ControlEndpoints, type ControlEndpointsOptions, type Endpoint } from './control-endpoints.ts'
import { ControlLink } from './control-link.ts'

export interface ControlClientOptions {
  /**
   * Where control sides are: every address of every host. All are connected to at once, and the one with the highest
   * epoch is obeyed.
   */
  readonly urls: readonly string[]
  /** The system's own unless told. */
  readonly lookup?: ControlEndpointsOptions['lookup']
  readonly token: () => Promise<string>
  /** Certificate authorities of the control sides, PEM; absent or undefined: those of the system. */
  readonly authorities?: () => Promise<string | undefined>
  readonly fleet: string
  readonly replica: string
  /** Made anew at every start of the process. */
  readonly instance: string
  readonly applier: Applier
  readonly report: () => ReplicaReport
  /** The replicas that share the work have changed. */
  readonly onMembers: (epoch: number, replicas: readonly string[]) => void
  /** What probers of the fleet have found. */
  readonly onFindings: (findings: Findings) => void
  /** The first control side is there, or the last is gone. */
  readonly onConnection: (connected: boolean) => void
  readonly clock: Clock
  readonly log: Log
  /** A number in [0, 1), for jitter. */
  readonly random: () => number
}

/** Changes within this time go into one report, in milliseconds. */
const gatherMilliseconds = 200
/** Time between two reports when nothing changes, in milliseconds, give or take a tenth. */
const beatMilliseconds = 10_000

interface Side {
  readonly link: ControlLink
  /** Counts connections, so that work left over from an earlier one is known. */
  connection: number
  open: boolean
  /** No delta was taken since the last hello. */
  isNew: boolean
  /** Number of the change after which this side knows what runs. */
  knows: number
  lastNonce: string | undefined
  readonly reports: ReportSource
}

/** Keeps the replica in touch with the control side: takes deltas one at a time, answers, and reports. */
export class ControlClient {
  readonly #options: ControlClientOptions
  readonly #endpoints: ControlEndpoints
  /** By URL and address. */
  readonly #sides = new Map<string, Side>()
  #epoch = 0
  #members: readonly string[] = []
  /** Counts the changes that were applied, whoever sent them. */
  #changes = 0
  #work: Promise<void> = Promise.resolve()
  #draining = false
  #gathering: Timer | undefined
  #beat: Timer | undefined

  constructor(options: ControlClientOptions) {
    this.#options = options
    this.#endpoints = new ControlEndpoints({
      lookup: (host) => lookup(host, { all: true }),
      ...options,
      onChange: (endpoints) => this.#reach(endpoints),
    })
    options.applier.onVerdict((verdict) => this.#correct(verdict))
  }

  /** Whether any control side is connected. */
  get connected(): boolean {
    return [...this.#sides.values()].some(({ open }) => open)
  }

  /** The replicas that share the work, as they were told last. */
  get members(): { readonly epoch: number; readonly replicas: readonly string[] } {
    return { epoch: this.#epoch, replicas: this.#members }
  }

  start(): void {
    this.#endpoints.start()
    this.#scheduleBeat()
  }

  stop(): void {
    this.#gathering?.cancel()
    this.#beat?.cancel()
    this.#endpoints.stop()
    for (const { link } of this.#sides.values()) link.stop()
  }

  /** Something that a report shows has changed. */
  reportSoon(): void {
    this.#gathering ??= this.#options.clock.after(gatherMilliseconds, () => {
      this.#gathering = undefined
      this.#sendReport()
    })
  }

  /** Says, now and after every new connection, that this replica takes no new calls. */
  drain(): void {
    this.#draining = true
    for (const { link } of this.#sides.values()) link.send({ type: 'drain' })
  }

  /** One that is not found any more but still talks is kept until it stops. */
  #reach(endpoints: readonly Endpoint[]): void {
    const wanted = new Map(endpoints.map((endpoint) => [`${endpoint.url} ${endpoint.address ?? ''}`, endpoint]))
    for (const [key, side] of this.#sides) {
      if (side.open || wanted.has(key)) continue
      side.link.stop()
      this.#sides.delete(key)
    }
    for (const [key, endpoint] of wanted) {
      if (this.#sides.has(key)) continue
      const side = this.#side(endpoint)
      this.#sides.set(key, side)
      side.link.start()
    }
  }

  #side({ url, address }: Endpoint): Side {
    const { token, authorities = () => Promise.resolve(undefined), clock, log, random } = this.#options
    const side: Side = {
      link: new ControlLink({
        url,
        address,
        token,
        authorities,
        clock,
        log,
        random,
        onOpen: () => this.#open(side),
        onMessage: (message) => {
          if (message.type === 'members') this.#share(message.epoch, message.replicas)
          else if (message.type === 'findings') this.#learn(message)
          else this.#enqueue(side, message)
        },
        onClose: () => {
          const { connected } = this
          side.open = false
          side.connection++
          if (connected && !this.connected) this.#options.onConnection(false)
        },
      }),
      connection: 0,
      open: false,
      isNew: true,
      knows: 0,
      lastNonce: undefined,
      reports: new ReportSource(),
    }
    return side
  }

  #open(side: Side): void {
    const { connected } = this
    side.open = true
    if (!connected) this.#options.onConnection(true)
    this.#hello(side)
    if (this.#draining) side.link.send({ type: 'drain' })
    side.link.send(side.reports.whole(this.#report()))
  }

  #hello(side: Side): void {
    const { fleet, replica, instance, applier } = this.#options
    const config = applier.running.current
    side.knows = this.#changes
    side.isNew = true
    side.lastNonce = undefined
    side.link.send({
      type: 'hello',
      schema: wireSchema,
      fleet,
      replica,
      instance,
      epoch: this.#epoch,
      revision: config?.revision ?? null,
      known: Object.fromEntries([...(config?.resources ?? [])].map(([key, { version }]) => [key, version])),
    })
  }

  #share(epoch: number, replicas: readonly string[]): void {
    if (epoch < this.#epoch) return
    this.#epoch = epoch
    this.#members = replicas
    this.#options.onMembers(epoch, replicas)
  }

  #learn(findings: Findings): void {
    if (findings.epoch >= this.#epoch) this.#options.onFindings(findings)
  }

  #enqueue(side: Side, delta: Delta): void {
    const { connection } = side
    this.#work = this.#work.then(async () => {
      if (side.open && side.connection === connection) await this.#take(side, delta)
    })
  }

  async #take(side: Side, delta: Delta): Promise<void> {
    if (delta.epoch < this.#epoch) {
      this.#options.log.warn({ epoch: delta.epoch, newest: this.#epoch }, 'a control side that was replaced is refused')
      const revision = this.#options.applier.running.current?.revision ?? null
      side.link.send({ type: 'ack', nonce: delta.nonce, revision, errors: [], refused: 'OldEpoch' })
      return
    }
    this.#epoch = delta.epoch
    side.link.settled()
    if (side.knows !== this.#changes) {
      // Another side has changed what runs since this one was told, so its difference starts from the wrong place.
      this.#hello(side)
      return
    }
    const { connection } = side
    const verdict = await this.#options.applier.apply(delta, { anew: side.isNew })
    if (verdict.refused === undefined) {
      this.#changes++
      side.knows = this.#changes
      side.isNew = false
    }
    if (!side.open || side.connection !== connection) return
    side.lastNonce = delta.nonce
    side.link.send(ackOf(delta.nonce, verdict))
  }

  /** What was refused is not refused any more, or for another reason. */
  #correct(verdict: Verdict): void {
    for (const side of this.#sides.values()) {
      if (!side.open || side.lastNonce === undefined || side.knows !== this.#changes) continue
      side.link.send(ackOf(side.lastNonce, verdict))
    }
  }

  #report(): ReplicaReport {
    const { targets, registrations, calls } = this.#options.report()
    return { targets: targets.map(clip), registrations: registrations.map(clip), calls }
  }

  #sendReport(beat = false): void {
    const now = this.#report()
    for (const { open, link, reports } of this.#sides.values()) {
      if (!open) continue
      const report = beat ? reports.beat(now) : reports.changes(now)
      if (report !== undefined) link.send(report)
    }
  }

  #scheduleBeat(): void {
    const { clock, random } = this.#options
    this.#beat = clock.after(beatMilliseconds * (0.9 + 0.2 * random()), () => {
      this.#sendReport(true)
      this.#scheduleBeat()
    })
  }
}

/** A detail may quote what came from the network; the control side takes 500 characters of it. */
function clip<T extends { readonly detail?: string | undefined }>(report: T): T {
  return report.detail !== undefined && report.detail.length > 500
    ? { ...report, detail: report.detail.slice(0, 500) }
    : report
}

function ackOf(nonce: string, { revision, errors, refused }: Verdict): Ack {
  return { type: 'ack', nonce, revision, errors: [...errors], ...(refused === undefined ? {} : { refused }) }
}
