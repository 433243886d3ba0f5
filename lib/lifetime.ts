import type { Log } from './log.ts'

/** Something with a beginning and an end. */
export interface Part {
  readonly name: string
  /** Rejecting ends the process: a part that cannot start is needed. */
  readonly start: () => unknown
  readonly stop?: () => unknown
}

/** Starts parts in order. */
export async function startParts(parts: readonly Part[], log: Log): Promise<void> {
  for (const { name, start } of parts) {
    try {
      await start()
    } catch (error) {
      throw new Error(`${name} cannot start: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      })
    }
    log.debug({ part: name }, 'started')
  }
}

/** Stops parts in reverse; one that fails does not keep the others from it. */
export async function stopParts(parts: readonly Part[], log: Log): Promise<void> {
  for (const { name, stop } of parts.toReversed()) {
    try {
      await stop?.()
      log.debug({ part: name }, 'stopped')
    } catch (error) {
      log.warn({ part: name, error }, 'did not stop in good order')
    }
  }
}

/**
 * What ends the process: SIGTERM and SIGINT with all manners, a second signal at once, and the death of the parent
 * quickly, where there is one that holds a channel to us: a replica that nobody watches would keep its ports for ever.
 */
export function endOn(end: (hurry: boolean) => Promise<void>, log: Log): void {
  let ending = false
  const begin = (hurry: boolean, why: string) => {
    if (ending) {
      log.warn({ why }, 'ending at once')
      process.exit(1)
    }
    ending = true
    log.info({ why }, 'ending')
    end(hurry).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ error }, 'did not end in good order')
        process.exit(1)
      },
    )
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => begin(false, signal))
  const orphaned = () => begin(true, 'the parent process is gone')
  process.on('disconnect', orphaned)
  // It may have gone before we listened. Without a channel to a parent this is undefined.
  if (process.connected === false) orphaned()
}

/** Shows once a second that the event loop turns, to a parent that holds a channel to us. */
export function showLife(): void {
  if (process.send === undefined) return
  // A parent that has just gone makes this an error, which is nobody's to handle: `disconnect` tells of it.
  const ignored = () => undefined
  setInterval(() => process.connected && process.send?.('alive', undefined, undefined, ignored), 1000).unref()
}

/** A fault nobody expected leaves the process in a state nobody knows: it is logged, and whoever watches starts anew. */
export function crashOnFaults(log: Log): void {
  const crash = (error: unknown) => {
    log.error({ error }, 'crashed')
    process.exit(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
}
