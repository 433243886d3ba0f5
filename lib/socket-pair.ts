import { Socket } from 'node:net'

/**
 * The two ends of a connection that never leaves the process, for code that wants a socket: what is written to one is read
 * from the other. All that is written while JavaScript runs once arrives as one piece when it has ended, so neither end is
 * called from within a call of its own, and nothing waits for the next turn of the event loop.
 */
export function socketPair(): [Socket, Socket] {
  const here = new PairedSocket()
  const there = new PairedSocket()
  here.pairWith(there)
  there.pairWith(here)
  return [here, there]
}

class PairedSocket extends Socket {
  #peer: PairedSocket | undefined
  #written: Buffer[] = []

  pairWith(peer: PairedSocket): void {
    this.#peer = peer
    this.once('close', () => peer.destroy())
  }

  override _read(): void {
    // The other end pushes; who reads slowly keeps what was pushed.
  }

  override _write(chunk: string | Buffer, encoding: BufferEncoding, written: () => void): void {
    if (this.#written.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk) === 1) {
      process.nextTick(this.#deliver)
    }
    written()
  }

  override _final(ended: () => void): void {
    this.#deliver()
    this.#peer?.push(null)
    ended()
  }

  readonly #deliver = (): void => {
    const chunks = this.#written
    if (chunks.length === 0) return
    this.#written = []
    this.#peer?.push(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
  }
}
