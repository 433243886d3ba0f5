/**
 * The candidate that a mistyped word most likely means: the one with the fewest edits, or the shortest that contains it
 * (`expires` for `expiresSeconds`). Case does not count. Undefined when nothing is near enough to be worth saying.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase()
  let best: string | undefined
  let fewest = Math.max(1, Math.floor(word.length / 3)) + 1
  let containing: string | undefined
  for (const candidate of candidates) {
    const lower = candidate.toLowerCase()
    const edits = editDistance(wanted, lower)
    if (edits < fewest) {
      best = candidate
      fewest = edits
    }
    if (wanted.length >= 4 && lower.includes(wanted) && candidate.length < (containing?.length ?? Infinity)) {
      containing = candidate
    }
  }
  return best ?? containing
}

/** `; did you mean "port"?`, or nothing: to be put behind a message. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const guess = nearest(word, candidates)
  return guess === undefined ? '' : `; did you mean "${guess}"?`
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one text into the other. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 16) return Infinity
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let edits = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      )
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) edits = Math.min(edits, (beforeLast[column - 2] ?? 0) + 1)
      current.push(edits)
    }
    beforeLast = last
    last = current
  }
  return last[b.length] ?? 0
}
