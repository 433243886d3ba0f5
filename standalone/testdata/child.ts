import { writeSync } from 'node:fs'

/** A replica for the supervisor's tests: says that it is up, and ends as its environment says. */
const behaviour = process.env['CHILD']
if (behaviour === 'dies') process.exit(3)
if (behaviour === 'complains') {
  writeSync(1, '{"level":"info","msg":"all is well"}\n{"level":"error","msg":"the socket is gone"}\n')
}
if (behaviour === 'hangs') process.send?.('alive')
process.on('SIGTERM', () => {
  if (behaviour === 'stubborn') return
  writeSync(1, 'drained\n')
  process.exit(0)
})
process.on('disconnect', () => process.exit(0))
writeSync(2, `ready ${process.pid}\n`)
