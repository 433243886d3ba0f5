import type { Application, Applications, ServedApplication } from './application.ts'

/** The applications that are there. Requests go round among those that take the method. */
export class ApplicationList implements Applications {
  readonly #applications = new Set<ServedApplication>()
  readonly #turns = new Map<string, number>()

  get count(): number {
    return this.#applications.size
  }

  add(application: ServedApplication): void {
    this.#applications.add(application)
  }

  remove(application: ServedApplication): void {
    this.#applications.delete(application)
  }

  next(method: string): Application | undefined {
    const willing: ServedApplication[] = []
    for (const application of this.#applications) {
      if (application.methods.has(method) && !application.behind) willing.push(application)
    }
    if (willing.length < 2) return willing[0]
    const turn = (this.#turns.get(method) ?? 0) % willing.length
    this.#turns.set(method, turn + 1)
    return willing[turn]
  }

  takes(method: string): boolean {
    for (const { methods } of this.#applications) if (methods.has(method)) return true
    return false
  }

  /** What is taken, with what goes with an INVITE in any case. */
  methods(): readonly string[] {
    const all = new Set<string>()
    for (const { methods } of this.#applications)
      for (const method of methods) if (!method.includes(':')) all.add(method)
    if (all.has('INVITE')) for (const method of ['ACK', 'CANCEL', 'BYE']) all.add(method)
    return [...all]
  }
}
