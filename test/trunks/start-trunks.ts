import type { TrunkConfig } from '#api/snapshot.ts'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import type { RunningConfig } from '../../dataplane/config/running.ts'
import { createLocate } from '../../dataplane/dns/system-locate.ts'
import { configOf, listener } from '../../dataplane/trunks/trunks-fixture.ts'
import { Trunks } from '../../dataplane/trunks/trunks.ts'
import { engineUnderTest } from '../engine/under-test.ts'

const log = createLog({ level: 'error', name: 'test' })

/** The engine on a free port of loopback, and trunks whose time the test turns. `closers` is told what to stop. */
export async function startTrunks(closers: (() => unknown)[], one: TrunkConfig, address = '127.0.0.1') {
  const engine = engineUnderTest({ clock: systemClock, log, admit: () => true })
  closers.push(() => engine.stop())
  const ipFamily = address.includes(':') ? 'IPv6' : 'IPv4'
  const udp = await engine.open('udp', 'UDP', address)
  const tcp = await engine.open('tcp', 'TCP', address)
  const sip = await engine.connect(log)
  closers.push(() => sip.close())
  const clock = new ManualClock()
  const listeners = [
    listener({ address, ipFamily, port: udp.port }),
    listener({ name: 'tcp', transport: 'TCP', address, ipFamily, port: tcp.port }),
  ]
  let changed: (next: RunningConfig, previous: RunningConfig | undefined) => void = () => {}
  const running = {
    current: configOf([one], listeners),
    onChange(run: typeof changed) {
      changed = run
    },
  }
  /** The trunk has changed. */
  const apply = (next: TrunkConfig) => {
    const previous = running.current
    running.current = configOf([next], listeners)
    changed(running.current, previous)
  }
  const trunks = new Trunks({
    sip,
    running,
    replica: 'edge-0',
    locate: createLocate(clock),
    clock,
    log,
    random: () => 0,
  })
  const waiting = new Set<() => void>()
  trunks.onChange(() => {
    for (const check of waiting) check()
  })
  /** Settles as soon as what a report shows is as wanted. */
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (!holds()) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
    })
  trunks.start()
  trunks.setMembers(1, ['edge-0'])
  closers.push(() => trunks.stop())
  return { trunks, clock, until, apply, port: udp.port, engine }
}
