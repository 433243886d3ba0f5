const methods = [
  'INVITE',
  'ACK',
  'BYE',
  'CANCEL',
  'OPTIONS',
  'REGISTER',
  'INFO',
  'UPDATE',
  'PRACK',
  'REFER',
  'NOTIFY',
  'MESSAGE',
  'SUBSCRIBE',
  'PUBLISH',
] as const

/** Methods the engine knows; anything else is answered 501 (RFC 3261 §8.2.1). */
export const knownMethods: ReadonlySet<string> = new Set(methods)

/** Counters since the start. Names come from the engine, never from the network, so their number is bounded. */
export class Counters {
  readonly values: Record<string, number> = {}
  readonly #received = new Map(methods.map((method) => [method as string, `received_${method}`]))

  count(name: string): void {
    this.values[name] = (this.values[name] ?? 0) + 1
  }

  countRequest(method: string): void {
    this.count(this.#received.get(method) ?? 'received_other')
  }
}
