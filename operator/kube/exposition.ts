/** Names and values of labels, in the order in which they are shown. */
export type Labels = Readonly<Record<string, string>>

/** One metric with all its label sets, able to write itself down. */
interface Family {
  write(lines: string[]): void
}

/**
 * Counters, gauges and histograms, and their text for Prometheus: the text exposition format, version 0.0.4. Asking for a
 * metric that exists returns that one, so that several parts may share it.
 */
export class MetricRegistry {
  readonly #families = new Map<string, Family>()

  /** A counter; its name ends in `_total`. */
  counter(name: string, help: string): Counter {
    return this.#family(name, Counter, () => new Counter(name, help, 'counter'))
  }

  gauge(name: string, help: string): Gauge {
    return this.#family(name, Gauge, () => new Gauge(name, help, 'gauge'))
  }

  /** A histogram; `bounds` are the upper bounds of its buckets, ascending, without infinity. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    return this.#family(name, Histogram, () => new Histogram(name, help, bounds))
  }

  /** All metrics as text. */
  render(): string {
    const lines: string[] = []
    for (const family of this.#families.values()) family.write(lines)
    return `${lines.join('\n')}\n`
  }

  #family<F extends Family>(name: string, type: abstract new (...args: never[]) => F, make: () => F): F {
    const known = this.#families.get(name)
    if (known instanceof type) return known
    if (known !== undefined) throw new Error(`the metric ${name} exists, as something else`)
    const family = make()
    this.#families.set(name, family)
    return family
  }
}

abstract class Samples implements Family {
  readonly #name: string
  readonly #help: string
  readonly #type: string
  protected readonly values = new Map<string, number>()

  constructor(name: string, help: string, type: string) {
    this.#name = name
    this.#help = help
    this.#type = type
  }

  /** What it stands at; 0 for labels that were never seen. */
  value(labels: Labels = {}): number {
    return this.values.get(render(labels)) ?? 0
  }

  write(lines: string[]): void {
    lines.push(...heading(this.#name, this.#help, this.#type))
    for (const [labels, value] of this.values) lines.push(`${this.#name}${braced(labels)} ${value}`)
  }
}

/** A number that only grows. */
export class Counter extends Samples {
  add(labels: Labels = {}, amount = 1): void {
    const key = render(labels)
    this.values.set(key, (this.values.get(key) ?? 0) + amount)
  }
}

/** A number that goes up and down, or is computed when it is asked for. */
export class Gauge extends Samples {
  readonly #computed: { labels: Labels; compute: () => number }[] = []

  set(labels: Labels, value: number): void {
    this.values.set(render(labels), value)
  }

  /** Computes the value anew each time the metrics are written. */
  compute(labels: Labels, compute: () => number): void {
    this.#computed.push({ labels, compute })
  }

  override write(lines: string[]): void {
    for (const { labels, compute } of this.#computed) this.set(labels, compute())
    super.write(lines)
  }
}

/** How often values fell into which bucket, their number and their sum. */
export class Histogram implements Family {
  readonly #name: string
  readonly #help: string
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, { counts: number[]; sum: number; count: number }>()

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name
    this.#help = help
    this.#bounds = bounds
  }

  observe(labels: Labels, value: number): void {
    const key = render(labels)
    let series = this.#series.get(key)
    if (series === undefined) {
      series = { counts: this.#bounds.map(() => 0), sum: 0, count: 0 }
      this.#series.set(key, series)
    }
    const bucket = this.#bounds.findIndex((bound) => value <= bound)
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1
    series.sum += value
    series.count++
  }

  /** How many values were seen with these labels. */
  count(labels: Labels = {}): number {
    return this.#series.get(render(labels))?.count ?? 0
  }

  write(lines: string[]): void {
    lines.push(...heading(this.#name, this.#help, 'histogram'))
    for (const [labels, { counts, sum, count }] of this.#series) {
      const and = labels === '' ? '' : `${labels},`
      let upTo = 0
      for (const [index, bound] of this.#bounds.entries()) {
        upTo += counts[index] ?? 0
        lines.push(`${this.#name}_bucket{${and}le="${bound}"} ${upTo}`)
      }
      lines.push(`${this.#name}_bucket{${and}le="+Inf"} ${count}`)
      lines.push(`${this.#name}_sum${braced(labels)} ${sum}`, `${this.#name}_count${braced(labels)} ${count}`)
    }
  }
}

function heading(name: string, help: string, type: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
}

function render(labels: Labels): string {
  let text = ''
  for (const name in labels) text += `${text === '' ? '' : ','}${name}="${escape(labels[name] ?? '')}"`
  return text
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`
}

function escape(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
