import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { kinds } from '../../scripts/session-dialog.ts'
import { beginSessionLoad, untilUp } from '../../scripts/session-load.ts'

// A refresh comes at half of the interval, and the session ends at two thirds of it: a machine may stand still for 7 s.
it('every combination of what caller and callee can do with session timers is refreshed, in real time', async () => {
  const load = await beginSessionLoad({ expiresSeconds: 45, minSeSeconds: 45, alwaysRequest: true })
  try {
    const calls = kinds.length ** 2
    const order = { port: load.port, calls, callsPerSecond: 50, seconds: 45 }
    load.tell({ order: 'begin', ...order, callers: kinds, callees: kinds })
    await untilUp(load, calls, 60)
    // All but those of two peers without timers, whom nobody has to refresh.
    let seen = await load.seen()
    while (seen.refreshed < calls - 1) {
      await pause(200)
      seen = await load.seen()
    }
    expect(seen).toMatchObject({ missed: 0, doubled: 0, ended: 0, refused: 0 })
    expect(load.calls.count).toBe(calls)
  } finally {
    await load.end()
  }
})
