import type { Resource } from '#api/snapshot.ts'

/** A configuration as far as a plan needs it. */
export interface Situation {
  /** Undefined: nothing runs. */
  readonly revision: string | undefined
  readonly resources: ReadonlyMap<string, Resource>
  /** Sockets by name, each with the listener it belongs to. */
  readonly sockets: ReadonlyMap<string, string>
  /** What of each socket can change without binding it anew, as texts to compare; absent: nothing. */
  readonly reloadable?: ReadonlyMap<string, string>
}

/** One thing to do, and why, for the log. */
export type Step =
  | { readonly act: 'open' | 'reload' | 'close'; readonly socket: string; readonly because: string }
  | { readonly act: 'swap'; readonly because: string }

/**
 * What leads from one configuration to the next: sockets are opened before the swap and closed after it, those that get
 * another certificate keep their connections, and everything else is the swap of one reference.
 */
export function plan(running: Situation, wanted: Situation): Step[] {
  const steps: Step[] = []
  for (const [socket, listener] of wanted.sockets) {
    if (!running.sockets.has(socket)) {
      steps.push({ act: 'open', socket, because: move(listener, running, 'is new', 'moves here from') })
    }
  }
  for (const [socket, listener] of wanted.sockets) {
    if (!running.sockets.has(socket) || running.reloadable?.get(socket) === wanted.reloadable?.get(socket)) continue
    steps.push({
      act: 'reload',
      socket,
      because: `listener ${listener} has other certificates, or tells another address`,
    })
  }
  const changes = describeChanges(running, wanted)
  if (changes !== '') steps.push({ act: 'swap', because: changes })
  for (const [socket, listener] of running.sockets) {
    if (!wanted.sockets.has(socket)) {
      steps.push({ act: 'close', socket, because: move(listener, wanted, 'is gone', 'moves to') })
    }
  }
  return steps
}

function move(listener: string, other: Situation, alone: string, moved: string): string {
  for (const [socket, name] of other.sockets) if (name === listener) return `listener ${listener} ${moved} ${socket}`
  return `listener ${listener} ${alone}`
}

function describeChanges(running: Situation, wanted: Situation): string {
  const added = [...wanted.resources.keys()].filter((key) => !running.resources.has(key))
  const removed = [...running.resources.keys()].filter((key) => !wanted.resources.has(key))
  const changed = [...wanted.resources.values()].filter(({ key, version }) => {
    const before = running.resources.get(key)
    return before !== undefined && before.version !== version
  })
  const parts = [
    ...count(added, 'added'),
    ...count(
      changed.map(({ key }) => key),
      'changed',
    ),
    ...count(removed, 'removed'),
  ]
  if (parts.length > 0) return parts.join(', ')
  return running.revision === wanted.revision ? '' : `revision ${wanted.revision} has the same content`
}

function count(keys: readonly string[], what: string): string[] {
  if (keys.length === 0) return []
  return keys.length > 3 ? [`${keys.length} resources ${what}`] : [`${keys.join(' and ')} ${what}`]
}
