import type { TrunkConfig } from '#api/snapshot.ts'
import type { Running, RunningConfig } from '../config/running.ts'
import type { TrunkHealth } from '../trunks/health.ts'
import { holdsName } from '../engine/message/domain-name.ts'
import { namesOfTrunk } from './peer-tls.ts'
import { compileBlocks, type SourceTable } from './source-blocks.ts'

/** Who sent a request, and the name of the listener it came in on. */
export interface Source {
  readonly address: string
  readonly port: number
  readonly listener: string
  /** User part of the Request-URI, which names the Contact of a registered account; undefined where it does not matter. */
  readonly user?: string
}

/** The trunk that a source belongs to, if it does, and why. */
export interface Origin {
  readonly trunk: TrunkConfig | undefined
  readonly because: string
}

/** Gathers the `allowedSources` of all trunks; a trunk counts on its own listeners only. */
export function compileSources(trunks: Iterable<TrunkConfig>): SourceTable {
  const entries = new Map<string, [block: string, trunk: string][]>()
  for (const trunk of trunks) {
    for (const listener of trunk.listeners) {
      const blocks = entries.get(listener) ?? []
      entries.set(listener, blocks)
      for (const block of trunk.allowedSources) blocks.push([block, trunk.name])
    }
  }
  return new Map([...entries].map(([listener, blocks]) => [listener, compileBlocks(blocks)]))
}

/**
 * Whether a request from there is taken at all. False means silence: an answer would tell a scanner that somebody is
 * there (feature item 29.4). Requests inside a dialog are not asked about. `names` are those of its certificate, which
 * count on a listener that asks for certificates.
 */
export function admitSource(
  { current }: Running,
  health: TrunkHealth,
  source: Source & { readonly names?: readonly string[] },
): boolean {
  if (current === undefined) return false
  if (current.listeners.get(source.listener)?.tls?.clientAuthorities !== undefined) {
    const { trunk } = findInboundTrunk(source, current, health)
    return trunk !== undefined && isCertified(source.names ?? [], trunk)
  }
  return exactMatch(source, current, health).length > 0 || blockMatch(source, current).length > 0
}

/** RFC 5922 section 7.4: who has a certificate is let in only as who the certificate is for. */
function isCertified(certified: readonly string[], trunk: TrunkConfig): boolean {
  const names = namesOfTrunk(trunk)
  return certified.length > 0 && (names.length === 0 || holdsName(certified, names))
}

/**
 * The trunk a source belongs to. The resolved address of a target is the closest match, and among several trunks with
 * that address the port tells them apart, then the Contact that was called; else the longest block of `allowedSources`
 * wins. What is still ambiguous goes to the first trunk by name, so that the same call always takes the same way.
 */
export function findInboundTrunk(source: Source, config: RunningConfig, health: TrunkHealth): Origin {
  const from = `${source.address} port ${source.port} on listener ${source.listener}`
  const exact = exactMatch(source, config, health)
  const byPort = exact.filter(({ port }) => port === source.port)
  const called = calledTrunk(source, byPort.length > 0 ? byPort : exact, config)
  if (called !== undefined) {
    return { trunk: called, because: `${from} calls the Contact registered by trunk ${called.name}` }
  }
  const candidates = names(byPort.length > 0 ? byPort.map(({ trunk }) => trunk) : exact.map(({ trunk }) => trunk))
  if (candidates[0] !== undefined) {
    const how = byPort.length > 0 && names(exact.map(({ trunk }) => trunk)).length > 1 ? 'address and port' : 'address'
    return found(candidates, config, `${from} is the ${how} of a target of trunk`)
  }
  const blocks = names(blockMatch(source, config))
  if (blocks[0] !== undefined) return found(blocks, config, `${from} is in the allowed sources of trunk`)
  return { trunk: undefined, because: `${from} belongs to no trunk` }
}

/** The one trunk that registered the Contact that was called, where the address leaves a choice. */
function calledTrunk(
  source: Source,
  exact: readonly { trunk: string }[],
  config: RunningConfig,
): TrunkConfig | undefined {
  if (source.user === undefined || exact.length < 2) return undefined
  const contacts = config.contacts.get(source.user) ?? []
  const owners = names(exact.flatMap(({ trunk }) => (contacts.some((one) => one.trunk === trunk) ? [trunk] : [])))
  return owners.length === 1 && owners[0] !== undefined ? config.trunks.get(owners[0]) : undefined
}

function exactMatch(source: Source, config: RunningConfig, health: TrunkHealth) {
  return health
    .trunksAt(source.address)
    .filter(({ trunk }) => config.trunks.get(trunk)?.listeners.includes(source.listener) === true)
}

function blockMatch(source: Source, config: RunningConfig): readonly string[] {
  return config.sources.get(source.listener)?.longest(source.address) ?? []
}

function names(trunks: readonly string[]): string[] {
  return [...new Set(trunks)].sort()
}

function found(candidates: readonly string[], config: RunningConfig, sentence: string) {
  const [first = '', ...others] = candidates
  const overlap = others.length === 0 ? '' : `, taken before ${others.join(', ')} by name`
  return { trunk: config.trunks.get(first), because: `${sentence} ${first}${overlap}` }
}
