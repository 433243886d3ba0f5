/**
 * A copy of its own, for text that outlives the message it comes from. V8 keeps a part of a string as a reference to the
 * whole, and strings put together as references to their parts: either would keep whole messages alive.
 */
export function detached(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
