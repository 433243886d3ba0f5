/** A place in an order of preference, as SRV records have it (RFC 2782). */
export interface Weighted {
  /** Lower values first. */
  readonly priority: number
  /** Share among those of one priority. */
  readonly weight: number
}

/**
 * One order to try them in. RFC 2782: "A client MUST attempt to contact the target host with the lowest-numbered priority it
 * can reach; target hosts with the same priority SHOULD be tried in an order defined by the weight field". `random` gives a
 * number in [0, 1).
 */
export function selectionOrder<T extends Weighted>(items: readonly T[], random: () => number): T[] {
  return byPriority(items, (equals) => draw(equals, random))
}

/** All of a lower priority value first, and those of one value as `order` has them. */
export function byPriority<T extends Pick<Weighted, 'priority'>>(
  items: readonly T[],
  order: (equals: readonly T[]) => readonly T[],
): T[] {
  if (items.length < 2) return [...items]
  const priorities = [...new Set(items.map(({ priority }) => priority))].sort((a, b) => a - b)
  return priorities.flatMap((wanted) => order(items.filter(({ priority }) => priority === wanted)))
}

/**
 * RFC 2782: "arrange all SRV RRs […] in any order, except that all those with weight 0 are placed at the beginning of the
 * list", then "choose a uniform random number between 0 and the sum computed (inclusive), and select the RR whose running
 * sum value is the first in the selected order which is greater than or equal to the random number selected".
 */
function draw<T extends Weighted>(items: readonly T[], random: () => number): T[] {
  // Among nothing but zeros the rule would always take the first.
  const left = [
    ...shuffled(
      items.filter(({ weight }) => weight === 0),
      random,
    ),
    ...items.filter(({ weight }) => weight > 0),
  ]
  const order: T[] = []
  while (left.length > 1) {
    const sum = left.reduce((total, { weight }) => total + weight, 0)
    const mark = Math.floor(random() * (sum + 1))
    let running = 0
    const index = left.findIndex(({ weight }) => (running += weight) >= mark)
    order.push(...left.splice(Math.max(0, index), 1))
  }
  return [...order, ...left]
}

/** Each order as likely as any other. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items]
  return items.flatMap(() => left.splice(Math.floor(random() * left.length), 1))
}

/** The same in the same order, but those that are so come after the others. */
export function lastOf<T>(items: readonly T[], isLast: (item: T) => boolean): T[] {
  return [...items.filter((item) => !isLast(item)), ...items.filter(isLast)]
}
