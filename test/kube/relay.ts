import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A way to a server on loopback that a test can break. */
export class Relay {
  readonly #target: number
  readonly #server: Server
  readonly #lines = new Set<readonly [Socket, Socket]>()
  #isCut = false

  private constructor(target: number, server: Server) {
    this.#target = target
    this.#server = server
    server.on('connection', (socket) => this.#join(socket))
  }

  /** A relay to `https://127.0.0.1:…`. */
  static async start(to: string): Promise<Relay> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Relay(Number(new URL(to).port), server)
  }

  /** Where to connect instead. */
  get address(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Breaks all connections, and takes no new ones until `restore`. */
  cut(): void {
    this.#isCut = true
    for (const line of this.#lines) for (const socket of line) socket.destroy()
  }

  restore(): void {
    this.#isCut = false
  }

  /** Nothing passes on the connections there are, and nobody is told; new ones work. */
  freeze(): void {
    for (const [near, far] of this.#lines) {
      near.unpipe(far).pause()
      far.unpipe(near).pause()
    }
  }

  async stop(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #join(near: Socket): void {
    if (this.#isCut) {
      near.destroy()
      return
    }
    const far = connect(this.#target, '127.0.0.1')
    const line = [near, far] as const
    this.#lines.add(line)
    for (const socket of line) {
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#lines.delete(line)
        for (const other of line) other.destroy()
      })
    }
    near.pipe(far).pipe(near)
  }
}
