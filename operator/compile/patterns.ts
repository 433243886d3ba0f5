import { RE2JS, RE2JSSyntaxException } from 're2js'

const lookAround = /\(\?<?[=!]/
const backReference = /(^|[^\\])(\\\\)*\\(?:[1-9]|k[<{'])/

/** Why a pattern cannot be used, with the way out; undefined when it can. */
export function patternProblem(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern)
    return undefined
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error
    const cause = error.message.replace(/^error parsing regexp: /, '')
    return `not a regular expression in RE2 syntax: ${cause}${wayOut(pattern, cause)}`
  }
}

function wayOut(pattern: string, cause: string): string {
  if (lookAround.test(pattern)) {
    return '; RE2 has no look-around, since it matches in linear time. Write the numbers meant as a route of their own with a lower priority value'
  }
  if (backReference.test(pattern)) {
    return '; RE2 has no back-references, since it matches in linear time. Write out what may repeat'
  }
  if (cause.startsWith('invalid repeat count')) {
    return '; repeats may add up to 1000 at most'
  }
  if (cause.startsWith('missing argument to repetition operator')) {
    return '; a leading "+" or "*" of a number is written \\+ or \\*'
  }
  return ''
}
