import { describe, expect, it } from 'vitest'
import { splitList } from './list.ts'

describe('a comma list', () => {
  it.each([
    ['', []],
    ['a', ['a']],
    ['a, b ,c', ['a', 'b', 'c']],
    ['"a,b", <sip:c,d@h>', ['"a,b"', '<sip:c,d@h>']],
    ['"a\\",b", c', ['"a\\",b"', 'c']],
    ['"<", a, ">"', ['"<"', 'a', '">"']],
    ['a,,b,', ['a', 'b']],
    ['"open, a', ['"open, a']],
  ])('%j is taken apart', (value, values) => {
    expect(splitList(value)).toEqual(values)
  })
})
