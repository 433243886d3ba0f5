import { RE2JS } from 're2js'

const samples = ['+15550123', '15550123', '5550123', '0155501234', '004915550123', '100', '1000', '112', 'alice']

/**
 * A number that the whole of a pattern matches: one of the usual kinds, or the fixed beginning of the pattern with up to
 * 15 digits behind it. Undefined when none of these fits.
 */
export function sampleNumber(pattern: string | undefined): string | undefined {
  if (pattern === undefined) return samples[0]
  const compiled = RE2JS.compile(pattern)
  const beginning = /^\^?(?:\(\?:|\()*((?:\\?\+|[0-9A-Za-z*#])*)/.exec(pattern)?.[1]?.replace('\\', '') ?? ''
  // The last character may belong to a repetition such as `4?`, so that the beginning is tried without it as well.
  const prefixes = ['+', '', beginning, beginning.slice(0, -1), `+${beginning}`]
  const grown = prefixes.flatMap((prefix) =>
    Array.from({ length: 16 }, (_, length) => prefix + '155501234567890'.slice(0, length)),
  )
  return [...samples, ...grown].find((number) => number !== '' && compiled.matches(number))
}
