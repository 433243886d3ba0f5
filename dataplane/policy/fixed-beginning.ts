/** The text that every number matching the pattern begins with, as far as can be read from the pattern's beginning. */
export function fixedBeginning(pattern: string): string {
  // What is fixed in one alternative need not be in the other; \Q quotes what would tell them apart.
  if (hasTopLevelAlternative(pattern) || pattern.includes('\\Q')) return ''
  let fixed = ''
  let at = pattern.startsWith('^') ? 1 : 0
  while (at < pattern.length) {
    const escaped = pattern[at] === '\\'
    const character = escaped ? pattern[at + 1] : pattern[at]
    // Half a character beyond the first plane is not what a quantifier after it stands for.
    const literal = escaped ? /^[^A-Za-z0-9\u0080-\uffff]$/ : /^[^.^$*+?()[\]{}|\\\u0080-\uffff]$/
    if (character === undefined || !literal.test(character)) break
    at += escaped ? 2 : 1
    const quantifier = pattern[at]
    if (quantifier === '?' || quantifier === '*' || quantifier === '{') break
    fixed += character
    if (quantifier === '+') break
  }
  return fixed
}

function hasTopLevelAlternative(pattern: string): boolean {
  let depth = 0
  let inClass = false
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]
    if (character === '\\') at++
    else if (inClass) inClass = character !== ']'
    else if (character === '[') inClass = true
    else if (character === '(') depth++
    else if (character === ')') depth--
    else if (character === '|' && depth === 0) return true
  }
  return false
}
