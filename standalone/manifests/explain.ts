import { isMap, isScalar, isSeq, type Node } from 'yaml'
import type { z } from 'zod'
import { didYouMean } from '#lib/nearest.ts'

type Issue = z.core.$ZodIssue

const expected: Record<string, string> = {
  string: 'a text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'a mapping of fields',
  record: 'a mapping of keys to texts',
  array: 'a list',
}

/** Says in a sentence what an issue of the schema means for the value found. Nothing of a confidential value is shown. */
export function explainIssue(issue: Issue, found: Node | undefined, confidential: boolean): string {
  const shown = confidential ? '' : describe(found)
  switch (issue.code) {
    case 'invalid_type':
      if (found === undefined) return `is required: ${expected[issue.expected] ?? issue.expected}`
      return `must be ${expected[issue.expected] ?? issue.expected}${but(shown)}${quoteIt(issue.expected, found, confidential)}`
    case 'invalid_value': {
      const values = issue.values.map(String)
      if (found === undefined) return `is required: ${values.join(' or ')}`
      const guess = isScalar(found) && !confidential ? didYouMean(String(found.value), values) : ''
      return `must be ${values.join(' or ')}${but(shown)}${guess}`
    }
    case 'too_small':
      if (issue.origin === 'array') return `needs at least ${entries(issue.minimum)}${count(found)}`
      if (issue.origin === 'string')
        return issue.minimum === 1 ? 'must not be empty' : `must have at least ${issue.minimum} characters`
      return `must be at least ${issue.minimum}${but(plain(found, confidential))}`
    case 'too_big':
      if (issue.origin === 'array') return `may have at most ${entries(issue.maximum)}${count(found)}`
      if (issue.origin === 'string') return `may have at most ${issue.maximum} characters`
      return `must be at most ${issue.maximum}${but(plain(found, confidential))}`
    case 'invalid_format':
      return issue.format === 'base64'
        ? 'must be Base64; plain text goes under stringData'
        : `${issue.format === 'regex' ? issue.message : `must be a valid ${issue.format}`}${but(shown)}`
    case 'unrecognized_keys':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'custom':
      return issue.message
  }
}

function but(shown: string): string {
  return shown === '' ? '' : `, but is ${shown}`
}

function entries(count: number | bigint): string {
  return Number(count) === 1 ? '1 entry' : `${count} entries`
}

function count(found: Node | undefined): string {
  return isSeq(found) ? `, but has ${found.items.length}` : ''
}

function plain(found: Node | undefined, confidential: boolean): string {
  return isScalar(found) && !confidential ? clip(found.source ?? '') : ''
}

function describe(node: Node | undefined): string {
  if (isMap(node)) return 'a mapping'
  if (isSeq(node)) return 'a list'
  if (!isScalar(node) || node.value === null) return 'empty'
  if (typeof node.value === 'string') return `"${clip(node.value)}"`
  return `${typeof node.value === 'boolean' ? '' : `the ${typeof node.value} `}${clip(node.source ?? '')}`
}

/** YAML takes `+15550100` for a number and `true` for a truth value; quotes make them texts. */
function quoteIt(wanted: string, found: Node, confidential: boolean): string {
  if (wanted !== 'string' || !isScalar(found) || found.value === null || typeof found.value === 'string') return ''
  return confidential ? '; put it in quotes' : `; put it in quotes: "${clip(found.source ?? '')}"`
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
