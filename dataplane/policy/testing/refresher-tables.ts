import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const Role = z.enum(['', 'uac', 'uas'])
const Tables = z.strictObject({
  response: z.array(z.tuple([z.enum(['Y', 'N']), Role, z.array(Role)])),
  ingress: z.array(z.tuple([Role, Role, z.boolean()])),
  agentAnswer: z.array(z.tuple([Role, Role, Role, Role, Role])),
  whisper: z.array(z.tuple([Role, Role])),
})

/** The tables of feature item 26, for tests of the functions and on the wire. */
export function readRefresherTables(): z.infer<typeof Tables> {
  return Tables.parse(parse(readFileSync(join(import.meta.dirname, '../testdata/refresher-tables.yaml'), 'utf8')))
}

/** Session-Expires as a table has it. */
export function sessionExpires(role: z.infer<typeof Role>): string {
  return role === '' ? '1800' : `1800;refresher=${role}`
}
