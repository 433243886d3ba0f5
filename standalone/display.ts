import type { Clock, Timer } from '#lib/clock.ts'
import { fleetColumns, renderView, type Row, troublesOf, trunkColumns, type View } from './table.ts'

/** Where text goes: standard output, or a test. */
export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

/** Shows the state of the fleets, and notices as they come. */
export interface Display {
  show(view: View): void
  notice(line: string): void
  /** Leaves the last state standing and writes nothing more of it. */
  close(): void
}

export function createDisplay(output: Output, clock: Clock): Display {
  return output.isTTY === true ? new LiveDisplay(output, clock) : new PlainDisplay(output, clock)
}

/** The table, redrawn in place; notices scroll above it. */
export class LiveDisplay implements Display {
  readonly #output: Output
  readonly #clock: Clock
  #view: View | undefined
  #drawn: string[] = []
  #timer: Timer | undefined

  constructor(output: Output, clock: Clock) {
    this.#output = output
    this.#clock = clock
  }

  show(view: View): void {
    this.#view = view
    this.#draw()
  }

  notice(line: string): void {
    this.#output.write(`${this.#erase()}${time(this.#clock)} ${line}\n`)
    this.#drawn = []
    this.#draw()
  }

  close(): void {
    this.#timer?.cancel()
    this.#view = undefined
  }

  #draw(): void {
    if (this.#view === undefined) return
    const { columns = 80, rows = 24 } = this.#output
    const lines = renderView(this.#view, this.#clock.wallTime()).map((line) => line.slice(0, columns - 1))
    // What is taller than the terminal cannot be redrawn in place.
    const shown = lines.length < rows ? lines : [...lines.slice(0, rows - 2), `… and ${lines.length - rows + 2} lines`]
    const erase = this.#erase()
    this.#output.write(`${erase}${shown.join('\n')}\n`)
    this.#drawn = shown
    this.#timer?.cancel()
    this.#timer = this.#clock.after(1000, () => this.#draw())
  }

  #erase(): string {
    return this.#drawn.length === 0 ? '' : `\x1b[${this.#drawn.length}A\r\x1b[J`
  }
}

/** One line for whatever changed, for logs and pipes. */
export class PlainDisplay implements Display {
  readonly #output: Output
  readonly #clock: Clock
  #closed = false
  #shown = new Set<string>()
  #problems: readonly string[] = []

  constructor(output: Output, clock: Clock) {
    this.#output = output
    this.#clock = clock
  }

  show(view: View): void {
    if (this.#closed) return
    const lines = [
      ...view.fleets.flatMap((row) => [describeRow('VoiceService', fleetColumns, row), ...troublesOf(row)]),
      ...view.trunks.flatMap((row) => [describeRow('SipTrunk', trunkColumns, row), ...troublesOf(row)]),
    ]
    for (const line of lines) if (!this.#shown.has(line)) this.notice(line)
    this.#shown = new Set(lines)
    for (const problem of view.problems) if (!this.#problems.includes(problem)) this.notice(problem)
    if (this.#problems.length > 0 && view.problems.length === 0) this.notice('The manifests have no problem any more.')
    this.#problems = view.problems
  }

  notice(line: string): void {
    this.#output.write(`${time(this.#clock)} ${line}\n`)
  }

  close(): void {
    this.#closed = true
  }
}

/** `SipTrunk voice/carrier ready=True programmed=2/2 …` */
function describeRow<R extends Row<unknown>>(
  kind: string,
  columns: Record<string, (row: R) => string>,
  row: R,
): string {
  const cells = Object.entries(columns).slice(1)
  return `${kind} ${row.name} ${cells.map(([column, cell]) => `${column.toLowerCase()}=${cell(row)}`).join(' ')}`
}

function time(clock: Clock): string {
  return new Date(clock.wallTime()).toISOString().slice(11, 19)
}
