import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { rowOf, rows } from './drachtio-limits.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/engines.md'), 'utf8')

it.each(rows)('docs/engines.md has a row for %s', (row) => {
  expect(page).toContain(`\n| ${row} |`)
})

it('a test is known by the end of its name, whatever it is in', () => {
  expect(rowOf('CANCEL > of a re-INVITE leaves the call up')).toBe('CANCEL of a re-INVITE')
  expect(rowOf('a call over UDP on ::1 > is set up, refreshed and released')).toBe('IPv6')
  expect(rowOf('a call over UDP on 127.0.0.1 > is set up, refreshed and released')).toBeUndefined()
})
