/** The values of a comma list in order, trimmed. Commas in quotes and angle brackets separate nothing. */
export function splitList(value: string): string[] {
  if (!value.includes(',')) return value === '' ? [] : [value]
  const values: string[] = []
  let start = 0
  while (start < value.length) {
    const end = endOfValue(value, start)
    const part = value.slice(start, end).trim()
    if (part !== '') values.push(part)
    start = end + 1
  }
  return values
}

/** Index of the comma that ends the value beginning at `start`; the length when none does. */
function endOfValue(text: string, start: number): number {
  let quoted = false
  let angled = false
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (quoted) {
      if (code === 0x5c) at++
      else if (code === 0x22) quoted = false
    } else if (code === 0x22) quoted = true
    else if (code === 0x3c) angled = true
    else if (code === 0x3e) angled = false
    else if (code === 0x2c && !angled) return at
  }
  return text.length
}
