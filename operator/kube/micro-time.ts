/** `MicroTime` of `meta/v1`: exactly six digits of the second. */
export function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z')
}
