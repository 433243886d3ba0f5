import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Snapshot } from '#api/snapshot.ts'
import type { Findings, Members } from '#api/wire.ts'
import type { Clock, Timer } from '#lib/clock.ts'
import type { Log } from '#lib/log.ts'
import { Turns } from '#lib/turns.ts'
import type { Authenticate, Identity } from './authenticate.ts'
import { Publication, SharedVersions } from './delta.ts'
import { Membership } from './membership.ts'
import { type Greeting, ReplicaLink, type LinkLimits } from './replica-link.ts'
import type { ReplicaState } from './replica-state.ts'
import { type News, SharedFindings } from './shared-findings.ts'

export interface PushServerOptions {
  readonly clock: Clock
  readonly log: Log
  readonly authenticate: Authenticate
  /** Goes up whenever another control side takes over; replicas refuse a lower one than they have seen. */
  readonly epoch: number
  /** A replica has seen a higher epoch than ours: it refuses us until `lead` is called with one above that. */
  readonly onHigherEpoch?: (epoch: number) => void
  readonly limits?: Partial<PushLimits>
}

export interface PushLimits extends LinkLimits {
  /** Time between two pings; a replica that answers neither of two is cut off. In milliseconds. */
  readonly heartbeatMilliseconds: number
  /** Largest message taken from a replica, in bytes. */
  readonly messageBytes: number
  /** How long a lost replica keeps its share of the work, in milliseconds. */
  readonly graceMilliseconds: number
  /** How long to wait for all replicas before work is shared the first time, in milliseconds. */
  readonly settleMilliseconds: number
}

const defaults: PushLimits = {
  heartbeatMilliseconds: 2_000,
  helloMilliseconds: 5_000,
  ackMilliseconds: 60_000,
  bufferedBytes: 64 * 1024 * 1024,
  messageBytes: 4 * 1024 * 1024,
  messagesPerSecond: 20,
  messagesAtOnce: 100,
  graceMilliseconds: 4_000,
  settleMilliseconds: 3_000,
}

/** Large enough to fill a network, small enough for the memory when a thousand replicas want everything at once. */
const largeFramesAtOnce = 16

/** Where replicas connect. */
export const pushPath = '/replicas'

interface Fleet {
  readonly links: Map<string, ReplicaLink>
  readonly membership: Membership
  readonly findings: SharedFindings
  publication: Publication | undefined
}

/** Brings snapshots to the replicas of each fleet, and collects what they answer and report. */
export class PushServer {
  readonly #options: PushServerOptions
  readonly #limits: PushLimits
  readonly #webSockets: WebSocketServer
  readonly #links = new Set<ReplicaLink>()
  readonly #largeFrames = new Turns(largeFramesAtOnce)
  readonly #sharedVersions = new SharedVersions()
  readonly #fleets = new Map<string, Fleet>()
  readonly #listeners = new Set<(fleet: string) => void>()
  #server: Server | undefined
  #heartbeat: Timer | undefined
  #publications = 0
  #epoch: number

  constructor(options: PushServerOptions) {
    this.#options = options
    this.#epoch = options.epoch
    this.#limits = { ...defaults, ...options.limits }
    this.#webSockets = new WebSocketServer({
      noServer: true,
      maxPayload: this.#limits.messageBytes,
      perMessageDeflate: false,
    })
  }

  /** Listens on an address of its own; port 0 takes a free one. Rejects with the system error when it cannot. */
  async listen(address: { host: string; port: number }): Promise<{ url: string; port: number }> {
    const server = createServer((_request, response) => void response.writeHead(404).end())
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(address.port, address.host, resolve)
    })
    this.#server = server
    this.attach(server)
    const { port } = server.address() as AddressInfo
    const host = address.host.includes(':') ? `[${address.host}]` : address.host
    return { url: `ws://${host}:${port}${pushPath}`, port }
  }

  /** Takes the WebSocket upgrades of an HTTP or HTTPS server that somebody else starts and stops. */
  attach(server: Server): void {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      void this.#upgrade(request, socket, head)
    })
    if (this.#heartbeat === undefined) this.#beatLater()
  }

  /**
   * Brings every replica of the snapshot's fleet to it; those that connect later too. `replicas` is how many the fleet
   * should have: when so many are there, work is shared without waiting for more.
   */
  publish(snapshot: Snapshot, options: { replicas?: number } = {}): void {
    const fleet = this.#fleet(snapshot.fleet)
    const previous = fleet.publication
    if (snapshot.revision !== previous?.snapshot.revision) {
      fleet.publication = new Publication(snapshot, { epoch: this.#epoch, serial: ++this.#publications })
      for (const link of fleet.links.values()) link.offer(fleet.publication)
    }
    if (previous === undefined) this.#shareOut(fleet, fleet.membership.current)
    if (options.replicas !== undefined) fleet.membership.expect(options.replicas)
  }

  /** Publishes under this epoch from now on; what was published before is sent again under it. */
  lead(epoch: number): void {
    if (epoch === this.#epoch) return
    this.#epoch = epoch
    for (const fleet of this.#fleets.values()) {
      if (fleet.publication === undefined) continue
      const { snapshot } = fleet.publication
      fleet.publication = new Publication(snapshot, { epoch, serial: ++this.#publications })
      for (const link of fleet.links.values()) link.offer(fleet.publication)
      this.#shareOut(fleet, fleet.membership.current)
    }
  }

  /** The fleet is gone: its replicas are told and cut off. */
  forget(fleetName: string): void {
    const fleet = this.#fleets.get(fleetName)
    if (fleet === undefined) return
    this.#fleets.delete(fleetName)
    fleet.membership.stop()
    for (const link of fleet.links.values()) link.bye(`the fleet ${fleetName} was deleted`)
  }

  /** The connected replicas of a fleet, by name. */
  replicas(fleet: string): readonly ReplicaState[] {
    const links = this.#fleets.get(fleet)?.links.values() ?? []
    return [...links].map((link) => link.state()).sort((a, b) => (a.replica < b.replica ? -1 : 1))
  }

  /** A replica of this fleet came, went, answered or reported. Called often; do the work later and once. */
  onChange(listener: (fleet: string) => void): void {
    this.#listeners.add(listener)
  }

  /** Cuts all connections and stops listening. Replicas go on with what they have, and look for another control side. */
  async close(): Promise<void> {
    this.#heartbeat?.cancel()
    for (const { membership } of this.#fleets.values()) membership.stop()
    for (const link of this.#links) link.terminate()
    this.#webSockets.close()
    const server = this.#server
    this.#server = undefined
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const onError = (error: Error) => this.#options.log.debug({ error: error.message }, 'a connection broke early')
    socket.on('error', onError)
    const identity = await this.#identify(request)
    if (identity === undefined) return refuse(socket, '401 Unauthorized')
    if (request.url !== pushPath) return refuse(socket, '404 Not Found')
    if (socket.destroyed) return
    socket.off('error', onError)
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#connect(webSocket, identity))
  }

  async #identify(request: IncomingMessage): Promise<Identity | undefined> {
    try {
      return await this.#options.authenticate(request)
    } catch (error) {
      this.#options.log.warn({ error }, 'credentials could not be checked; the connection is refused')
      return undefined
    }
  }

  #connect(socket: WebSocket, identity: Identity): void {
    const { clock, log } = this.#options
    const link = new ReplicaLink({
      socket,
      identity,
      clock,
      log,
      limits: this.#limits,
      largeFrames: this.#largeFrames,
      sharedVersions: this.#sharedVersions,
      onHello: (link, hello) => this.#greet(link, hello),
      onChange: (link) => this.#refresh(link),
      onEnd: (link) => this.#drop(link),
    })
    this.#links.add(link)
  }

  #greet(link: ReplicaLink, hello: Greeting): void {
    if (hello.epoch > this.#epoch) this.#options.onHigherEpoch?.(hello.epoch)
    const fleet = this.#fleet(hello.fleet)
    const older = fleet.links.get(hello.replica)
    if (older !== undefined && older !== link) {
      older.bye(`another process, ${hello.instance}, runs as ${hello.replica} now`)
    }
    fleet.links.set(hello.replica, link)
    // Before it hears what is its own, so that it goes on where the owner before was.
    this.#tellFindings(fleet, fleet.findings.all, [link], true)
    if (fleet.publication !== undefined) link.offer(fleet.publication)
    const known = fleet.membership.current
    this.#refresh(link)
    // Told to everybody when it changed just now; a newcomer that changes nothing must hear of it as well.
    if (known === fleet.membership.current) this.#shareOut(fleet, known, [link])
  }

  #refresh(link: ReplicaLink): void {
    const { hello } = link
    if (hello === undefined) return
    const fleet = this.#fleets.get(hello.fleet)
    if (fleet?.links.get(hello.replica) !== link) return
    const { report } = link.state()
    if (report !== undefined) this.#tellFindings(fleet, fleet.findings.take(hello.replica, report))
    if (link.live) fleet.membership.join(hello.replica)
    else if (link.draining) fleet.membership.leave(hello.replica)
    this.#tell(hello.fleet)
  }

  #drop(link: ReplicaLink): void {
    this.#links.delete(link)
    const { hello } = link
    if (hello === undefined) return
    const fleet = this.#fleets.get(hello.fleet)
    if (fleet?.links.get(hello.replica) !== link) return
    fleet.links.delete(hello.replica)
    fleet.membership.lose(hello.replica)
    if (fleet.publication === undefined && fleet.links.size === 0) {
      fleet.membership.stop()
      this.#fleets.delete(hello.fleet)
    }
    this.#tell(hello.fleet)
  }

  #fleet(name: string): Fleet {
    const known = this.#fleets.get(name)
    if (known !== undefined) return known
    const membership = new Membership({
      clock: this.#options.clock,
      graceMilliseconds: this.#limits.graceMilliseconds,
      settleMilliseconds: this.#limits.settleMilliseconds,
      onChange: (members) => this.#shareOut(fleet, members),
    })
    const findings = new SharedFindings(this.#options.clock)
    const fleet: Fleet = { links: new Map(), membership, findings, publication: undefined }
    this.#fleets.set(name, fleet)
    return fleet
  }

  /** Only who publishes shares out the work: another control side may be in charge of this fleet. */
  #shareOut(fleet: Fleet, replicas: readonly string[], links: Iterable<ReplicaLink> = fleet.links.values()): void {
    if (fleet.publication === undefined || replicas.length === 0) return
    const members: Members = { type: 'members', epoch: this.#epoch, replicas: [...replicas] }
    const frame = Buffer.from(JSON.stringify(members))
    for (const link of links) link.send(frame)
  }

  /** As with the members, only who publishes speaks. */
  #tellFindings(
    fleet: Fleet,
    { findings, bindings }: News,
    links: Iterable<ReplicaLink> = fleet.links.values(),
    whole = false,
  ): void {
    if (fleet.publication === undefined || findings.length + bindings.length === 0) return
    const message: Findings = { type: 'findings', epoch: this.#epoch, whole, findings, bindings }
    const frame = Buffer.from(JSON.stringify(message))
    for (const link of links) link.send(frame)
  }

  #beat(due: number): void {
    const { heartbeatMilliseconds } = this.#limits
    const isLate = this.#options.clock.now() - due > heartbeatMilliseconds / 4
    for (const link of this.#links) link.beat(isLate)
    this.#beatLater()
  }

  #beatLater(): void {
    const { clock } = this.#options
    const { heartbeatMilliseconds } = this.#limits
    const due = clock.now() + heartbeatMilliseconds
    this.#heartbeat = clock.after(heartbeatMilliseconds, () => this.#beat(due))
  }

  #tell(fleet: string): void {
    for (const listener of this.#listeners) listener(fleet)
  }
}

/** Nobody reads a connection that has left HTTP, so that its end would never be seen: it ends when that is said. */
function refuse(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
