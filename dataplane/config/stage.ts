import type { Resource, ResourceKey } from '#api/snapshot.ts'
import type { ResourceError } from '#api/wire.ts'
import { checkResource } from './check-resource.ts'
import { placeListener, socketName, type ListenerTrouble } from './listener-socket.ts'
import type { OpenListener, RunningConfig } from './running.ts'

/** A resource that is wanted but not run. What may run later, when a port becomes free, has the resource with it. */
export interface Refusal {
  readonly error: ResourceError
  readonly resource?: Resource
}

/** A difference to what runs. */
export interface Change {
  readonly revision: string
  readonly upserts: readonly unknown[]
  readonly removes: readonly string[]
}

/** The next configuration while it takes shape: what can run, where, and what is refused. */
export interface Stage {
  readonly resources: Map<string, Resource>
  readonly listeners: Map<string, OpenListener>
  readonly refusals: Map<string, Refusal>
}

export interface StageOptions {
  readonly running: RunningConfig | undefined
  readonly refusals: ReadonlyMap<string, Refusal>
  readonly addresses: readonly string[]
}

/**
 * What runs, with the change laid over it. A resource that is not sound stays at its last good version, or is left out.
 * Undefined when a resource cannot even be named.
 */
export function stage(change: Change, options: StageOptions): Stage | undefined {
  const resources = new Map<string, Resource>(options.running?.resources)
  const refusals = new Map(options.refusals)
  for (const key of change.removes) {
    resources.delete(key)
    refusals.delete(key)
  }
  for (const { resource } of options.refusals.values()) {
    if (resource === undefined || !refusals.has(resource.key)) continue
    refusals.delete(resource.key)
    resources.set(resource.key, resource)
  }
  for (const value of change.upserts) {
    const checked = checkResource(value)
    if (checked === undefined) return undefined
    if ('error' in checked) {
      refusals.set(checked.error.key, checked)
      const kept = options.running?.resources.get(checked.error.key)
      if (kept !== undefined) resources.set(kept.key, kept)
      else resources.delete(checked.error.key)
    } else {
      refusals.delete(checked.resource.key)
      resources.set(checked.resource.key, checked.resource)
    }
  }
  const staged = { resources, listeners: new Map<string, OpenListener>(), refusals }
  placeListeners(staged, options)
  return staged
}

/**
 * Takes back the listeners whose sockets could not be opened. Each goes back to where it is bound now, or is left out; who
 * wanted that place instead is refused in turn.
 */
export function takeBack(
  staged: Stage,
  troubles: ReadonlyMap<string, ListenerTrouble>,
  running: RunningConfig | undefined,
): void {
  for (const [name, listener] of staged.listeners) {
    const trouble = troubles.get(socketName(listener))
    if (trouble !== undefined) refuse(staged, name, trouble, running)
  }
  refuseSharers(staged, running)
}

function placeListeners(staged: Stage, { running, addresses }: StageOptions): void {
  for (const { body } of staged.resources.values()) {
    if (body.type !== 'Listener') continue
    const placed = placeListener(body, addresses)
    if ('listener' in placed) staged.listeners.set(body.name, placed.listener)
    else refuse(staged, body.name, placed.trouble, running)
  }
  refuseSharers(staged, running)
}

/** Of two listeners on one socket, the one that has it now keeps it. */
function refuseSharers(staged: Stage, running: RunningConfig | undefined): void {
  for (;;) {
    const clash = findClash(staged, running)
    if (clash === undefined) return
    const message = `${clash.socket} belongs to listener ${clash.holder}: choose another port, or remove that listener`
    refuse(staged, clash.name, { code: 'AddressInUse', field: 'body.port', message }, running)
  }
}

function findClash(staged: Stage, running: RunningConfig | undefined) {
  const holders = new Map<string, string>()
  for (const [name, listener] of staged.listeners) {
    const socket = socketName(listener)
    const holder = holders.get(socket)
    if (holder === undefined) {
      holders.set(socket, name)
      continue
    }
    const now = running?.listeners.get(name)
    const hasIt = now !== undefined && socketName(now) === socket
    return hasIt ? { socket, holder: name, name: holder } : { socket, holder, name }
  }
  return undefined
}

function refuse(staged: Stage, name: string, trouble: ListenerTrouble, running: RunningConfig | undefined): void {
  const key: ResourceKey = `Listener/${name}`
  const resource = staged.resources.get(key)
  if (resource === undefined) return
  staged.refusals.set(key, { error: { key, version: resource.version, ...trouble }, resource })
  const keptResource = running?.resources.get(key)
  const keptListener = running?.listeners.get(name)
  if (keptResource !== undefined && keptListener !== undefined && keptResource.version !== resource.version) {
    staged.resources.set(key, keptResource)
    staged.listeners.set(name, keptListener)
  } else {
    staged.resources.delete(key)
    staged.listeners.delete(name)
  }
}
