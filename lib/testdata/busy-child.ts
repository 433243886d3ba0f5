import { createLog } from '../log.ts'
import { crashOnFaults, endOn, showLife } from '../lifetime.ts'

/** A child that shows life, and is busy until that is due again when its parent may already be gone. */
const log = createLog({ level: 'error', name: 'child' })
crashOnFaults(log)
endOn(() => Promise.resolve(), log)
process.once('message', () =>
  setImmediate(() => {
    showLife()
    process.send?.('busy')
    const end = performance.now() + 1100
    while (performance.now() < end);
  }),
)
