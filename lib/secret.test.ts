import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { Secret, stringifyWithSecrets } from './secret.ts'

it('does not show its value in text, JSON or an inspected object', () => {
  const account = { password: new Secret('hunter2') }
  for (const shown of [
    String(account.password),
    JSON.stringify(account),
    inspect(account),
    inspect(account, { showHidden: true }),
  ]) {
    expect(shown).not.toContain('hunter2')
  }
})

it('is in the clear on the wire only', () => {
  expect(stringifyWithSecrets({ list: [{ password: new Secret('hunter2') }], n: 1 })).toBe(
    '{"list":[{"password":"hunter2"}],"n":1}',
  )
})
