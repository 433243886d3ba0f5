import { systemClock as clock } from '#lib/clock.ts'
import { Registrar } from '../../standalone/peer/registrar.ts'
import { UserAgent } from '../../standalone/peer/user-agent.ts'

/**
 * The carrier and the PBX of `examples/quickstart`, on an address that pods can reach: `peers.ts ADDRESS`. Says on standard
 * output how many numbers are registered with the carrier, whenever that changes.
 */
const [host = '127.0.0.1'] = process.argv.slice(2)
const credentials = { username: 'example-user', password: 'example-password-change-me' }
const registrar = new Registrar('carrier.invalid', new Map([['+15550100', credentials]]))
let told = -1

function tell(): void {
  if (registrar.bindings.size === told) return
  told = registrar.bindings.size
  console.log(`registered ${told}`)
}

const carrier = new UserAgent({
  name: 'carrier',
  endpoint: { host, port: 5070 },
  domain: 'carrier.invalid',
  mediaAddress: host,
  registrar,
  // An answer is sent before it is traced.
  onTrace: tell,
  clock,
})
const pbx = new UserAgent({
  name: 'pbx',
  endpoint: { host, port: 5090 },
  domain: 'pbx.invalid',
  mediaAddress: host,
  registrar: undefined,
  onTrace: () => undefined,
  clock,
})
await carrier.open()
await pbx.open()
tell()
