/** No frame is larger than this, in bytes; a SIP message has at most 64 KiB. */
export const MAX_FRAME = 1024 * 1024

/** More digits would be a frame that is too large. */
const MAX_DIGITS = 7

/**
 * Cuts the byte stream of the drachtio protocol into frames: decimal byte length, `#`, that many bytes. Frames may come in
 * any pieces and any number at once. Time is linear in the bytes, however they are cut.
 */
export class FrameDecoder {
  #chunks: Buffer[] = []
  #held = 0
  /** Bytes of the frame being gathered, its header included; 0 while its header is not whole. */
  #wanted = 0
  #headerLength = 0

  /** The frames that the piece completes, one character per byte; or why the stream is no such protocol. */
  push(chunk: Buffer): { readonly frames: string[]; readonly error?: string } {
    const frames: string[] = []
    this.#chunks.push(chunk)
    this.#held += chunk.length
    while (this.#held > 0) {
      if (this.#wanted === 0) {
        const problem = this.#readHeader()
        if (problem !== undefined) return { frames, error: problem }
        if (this.#wanted === 0) break
      }
      if (this.#held < this.#wanted) break
      const whole = this.#gathered()
      frames.push(whole.toString('latin1', this.#headerLength, this.#wanted))
      this.#keep(whole.subarray(this.#wanted))
    }
    return { frames }
  }

  #readHeader(): string | undefined {
    const bytes = this.#gathered()
    const separator = bytes.indexOf(0x23)
    const digits = separator < 0 ? bytes.length : separator
    if (digits > MAX_DIGITS || (separator === 0 && digits === 0)) return 'a frame does not begin with its length'
    let length = 0
    for (let at = 0; at < digits; at++) {
      const digit = (bytes[at] ?? 0) - 0x30
      if (digit < 0 || digit > 9) return 'a frame does not begin with its length'
      length = 10 * length + digit
    }
    if (separator < 0) return undefined
    if (length === 0 || length > MAX_FRAME) return `a frame of ${length} bytes is not served`
    this.#headerLength = separator + 1
    this.#wanted = this.#headerLength + length
    return undefined
  }

  /** What is held, as one buffer. Pieces are put together once per frame, not once per piece. */
  #gathered(): Buffer {
    const [first] = this.#chunks
    if (first !== undefined && this.#chunks.length === 1) return first
    const all = Buffer.concat(this.#chunks)
    this.#chunks = [all]
    return all
  }

  #keep(rest: Buffer): void {
    this.#chunks = rest.length === 0 ? [] : [rest]
    this.#held = rest.length
    this.#wanted = 0
    this.#headerLength = 0
  }
}
