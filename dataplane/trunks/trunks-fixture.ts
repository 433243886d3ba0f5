import { builtInBehaviour } from '#api/sip-behaviour.ts'
import type { RegistrationConfig, TargetConfig, TrunkConfig } from '#api/snapshot.ts'
import { createLog } from '#lib/log.ts'
import { ManualClock } from '#lib/manual-clock.ts'
import { Secret } from '#lib/secret.ts'
import type { OpenListener, Running, RunningConfig } from '../config/running.ts'
import { type IpFamily, type Locate, LocateError } from '../dns/locate.ts'
import { compileRoutes } from '../policy/route-order.ts'
import { compileSources } from '../policy/inbound-trunk.ts'
import { compileContacts } from '../policy/registered-contact.ts'
import { ScriptedPort } from './scripted-port.ts'
import { Trunks } from './trunks.ts'

/** For tests: configurations with defaults, and trunks that run on them with time and answers under control. */

export function listener(options: Partial<OpenListener> = {}): OpenListener {
  return {
    type: 'Listener',
    name: 'udp',
    transport: 'UDP',
    port: 5060,
    ipFamily: 'IPv4',
    address: '192.0.2.1',
    ...options,
  }
}

export function target(options: Partial<TargetConfig> = {}): TargetConfig {
  return {
    name: 'a',
    host: '198.51.100.1',
    port: 5060,
    transport: 'UDP',
    priority: 0,
    weight: 1,
    listener: 'udp',
    ...options,
  }
}

export function registration(options: Partial<RegistrationConfig> = {}): RegistrationConfig {
  return {
    account: 'main',
    registrar: 'primary',
    number: '+15550100',
    host: '198.51.100.1',
    port: 5060,
    transport: 'UDP',
    listener: 'udp',
    expiresSeconds: 3600,
    refreshPercent: 80,
    contactUser: options.number ?? '+15550100',
    bulk: false,
    retry: { minSeconds: 5, maxSeconds: 120 },
    username: 'carrier-user',
    password: new Secret('pa55'),
    ...options,
  }
}

export function trunk(options: Partial<TrunkConfig> = {}): TrunkConfig {
  return {
    type: 'Trunk',
    name: 'carrier',
    listeners: ['udp'],
    targets: [],
    allowedSources: [],
    registrations: [],
    registrationPolicy: 'All',
    keepalive: {
      enabled: true,
      upIntervalSeconds: 60,
      downIntervalSeconds: 30,
      failureThreshold: 5,
      timeoutSeconds: 4,
      scope: 'Fleet',
      failureCodes: [503, 505],
    },
    sip: builtInBehaviour,
    ...options,
  }
}

export function configOf(
  trunks: readonly TrunkConfig[],
  listeners: readonly OpenListener[] = [listener()],
): RunningConfig {
  return {
    fleet: 'voice/edge',
    revision: 'r',
    resources: new Map(),
    listeners: new Map(listeners.map((open) => [open.name, open])),
    trunks: new Map(trunks.map((one) => [one.name, one])),
    sources: compileSources(trunks),
    contacts: compileContacts(trunks),
    routes: compileRoutes([]),
    mediaEngines: new Map(),
  }
}

class SwappableRunning implements Running {
  #current: RunningConfig | undefined
  readonly #listeners: ((next: RunningConfig, previous: RunningConfig | undefined) => void)[] = []

  get current(): RunningConfig | undefined {
    return this.#current
  }

  onChange(changed: (next: RunningConfig, previous: RunningConfig | undefined) => void): void {
    this.#listeners.push(changed)
  }

  swap(next: RunningConfig): void {
    const previous = this.#current
    this.#current = next
    for (const changed of this.#listeners) changed(next, previous)
  }
}

type Resolve = (host: string, family: IpFamily) => Promise<{ addresses: readonly string[]; ttlSeconds: number }>

export function locateBy(resolve: Resolve): Locate {
  return async ({ host, port = 5060 }, [family = 'IPv4']) => {
    const { addresses, ttlSeconds } = await resolve(host, family).catch((error: unknown) => {
      const cause = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      throw new LocateError('Failing', `${host} has no ${family} address: ${cause}`)
    })
    return { sites: [{ priority: 0, weight: 0, port, addresses }], ttlSeconds }
  }
}

/** Addresses of a target that calls may try, in their order. */
export function addressesOf(trunks: Trunks, trunkName: string, targetName: string): string[] {
  return trunks.endpoints(trunkName, targetName, () => 0.5).map(({ address }) => address)
}

/** Trunks that run. Dice always show the middle unless told otherwise: first probes come after 500 ms, intervals are as configured. */
export function runTrunks(
  config: RunningConfig,
  options: {
    replica?: string
    members?: readonly string[]
    /** The DNS, where it has nothing but address records. */
    resolve?: Resolve
    /** The whole of the DNS. */
    locate?: Locate
    random?: () => number
    clock?: ManualClock
  } = {},
) {
  const { replica = 'edge-0', members = ['edge-0'] } = options
  const clock = options.clock ?? new ManualClock()
  const sip = new ScriptedPort()
  const running = new SwappableRunning()
  const logged: string[] = []
  const log = createLog({ level: 'debug', name: 'test', write: (line) => void logged.push(line) })
  let tokens = 0
  const trunks = new Trunks({
    sip,
    running,
    replica,
    clock,
    log,
    random: options.random ?? (() => 0.5),
    token: () => `token${++tokens}`,
    locate: options.locate ?? locateBy(options.resolve ?? (() => Promise.reject(new Error('this test has no DNS')))),
  })
  running.swap(config)
  trunks.start()
  if (members.length > 0) trunks.setMembers(1, members)
  return { trunks, clock, sip, logged, apply: (next: RunningConfig) => running.swap(next) }
}

/** Lets promises that have settled run what waits for them. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}
