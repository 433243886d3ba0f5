import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLog } from '#lib/log.ts'
import type { KubeClient } from './client.ts'
import { kubeMetrics, type KubeMetrics } from './metrics.ts'
import { Reflector, type ReflectorOptions } from './reflector.ts'
import type { KubeObject, Resource } from './resource.ts'
import { Arrivals } from './testing/arrivals.ts'
import { ObservedClock } from './testing/observed-clock.ts'
import { ScriptedApi } from './testing/scripted-api.ts'

const trunks: Resource = { group: 'sbc.test', version: 'v1', kind: 'Trunk', plural: 'trunks', namespaced: true }

function trunk(name: string, resourceVersion: string): KubeObject {
  return { metadata: { namespace: 'voice', name, resourceVersion } }
}
const added = (name: string, version: string) => ({ type: 'ADDED', object: trunk(name, version) })
const bookmark = (version: string) => ({ type: 'BOOKMARK', object: { metadata: { resourceVersion: version } } })
const expired = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } }

describe('the reflector', () => {
  let api: ScriptedApi
  let clock: ObservedClock
  let metrics: KubeMetrics
  let client: KubeClient
  let heard: Arrivals<string>
  let reflector: Reflector<KubeObject>
  let lines: string[]

  beforeEach(async () => {
    api = await ScriptedApi.start()
    clock = new ObservedClock()
    metrics = kubeMetrics()
    client = api.client(clock, metrics)
    heard = new Arrivals()
    lines = []
    reflector = reflect()
  })
  afterEach(async () => {
    await reflector.stop()
    client.close()
    await api.stop()
    expect(clock.pending).toBe(0)
  })

  function reflect(options: Partial<ReflectorOptions<KubeObject>> = {}): Reflector<KubeObject> {
    return new Reflector({
      client,
      resource: trunks,
      clock,
      metrics,
      random: () => 0,
      log: createLog({ level: 'warn', name: 'test', write: (line) => lines.push(line) }),
      sink: {
        replace: (objects) => heard.add(`= ${objects.map(({ metadata }) => metadata.name).join(' ')}`),
        upsert: ({ metadata }) => heard.add(`+ ${metadata.name} ${metadata.resourceVersion}`),
        remove: ({ metadata }) => heard.add(`- ${metadata.name} ${metadata.resourceVersion}`),
      },
      ...options,
    })
  }

  /** Answers the list with nothing at version 10, and returns the watch that follows. */
  async function watching() {
    reflector.start()
    ;(await api.next()).list('10', [])
    expect(await heard.next()).toBe('= ')
    return (await api.next()).open()
  }

  it('lists page by page, then watches from there with bookmarks and a time that the server ends it', async () => {
    reflector = reflect({ selection: { namespace: 'voice', labelSelector: 'app=x' } })
    reflector.start()
    const first = await api.next()
    expect(first.path).toBe('/apis/sbc.test/v1/namespaces/voice/trunks')
    expect(first.query).toEqual({ limit: '500', labelSelector: 'app=x' })
    first.list('10', [trunk('a', '3')], 'page-2')
    const second = await api.next()
    expect(second.query).toEqual({ limit: '500', labelSelector: 'app=x', continue: 'page-2' })
    second.list('10', [trunk('b', '4')])
    expect(await heard.next()).toBe('= a b')
    const watch = await api.next()
    expect(watch.query).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      labelSelector: 'app=x',
      resourceVersion: '10',
      timeoutSeconds: '290',
    })
    watch.open().send(added('c', '11'), { type: 'DELETED', object: trunk('a', '12') })
    expect([await heard.next(), await heard.next()]).toEqual(['+ c 11', '- a 12'])
  })

  it('spreads the ends of watches over the time it was given', async () => {
    reflector = reflect({ random: () => 0.5 })
    expect((await watching()).query['timeoutSeconds']).toBe('440')
  })

  it('fills in what lists leave out and drops the managed fields', async () => {
    const objects = new Arrivals<readonly KubeObject[]>()
    reflector = reflect({ sink: { replace: (list) => objects.add(list), upsert: () => {}, remove: () => {} } })
    reflector.start()
    ;(await api.next()).list('10', [{ metadata: { name: 'a', resourceVersion: '3', managedFields: [{}] } }])
    expect(await objects.next()).toEqual([
      { apiVersion: 'sbc.test/v1', kind: 'Trunk', metadata: { name: 'a', resourceVersion: '3' } },
    ])
  })

  it('goes on at once, and where it was, when the server ends a watch as it should', async () => {
    let watch = await watching()
    for (const version of ['11', '12', '13']) {
      watch.send(added('a', version)).end()
      watch = await api.next()
      expect(watch.query['resourceVersion']).toBe(version)
      watch.open()
    }
    expect(metrics.reflector.lists.value({ resource: 'trunks.sbc.test' })).toBe(1)
    expect(metrics.reflector.failures.value({ resource: 'trunks.sbc.test' })).toBe(0)
  })

  it('goes on at once after a long silence, bookmarks and all, and hears the next change', async () => {
    const guard = () => clock.timer((set) => set === 150_000)
    let watch = await watching()
    for (let minute = 1; minute <= 60; minute++) {
      watch.send(bookmark(String(10 + minute)))
      await guard()
      clock.advance(60_000)
      if (minute % 5 !== 0) continue
      watch.end()
      watch = await api.next()
      expect(watch.query['resourceVersion']).toBe(String(10 + minute))
      watch.open()
      await guard()
    }
    watch.send(added('late', '500'))
    expect(await heard.next()).toBe('+ late 500')
    expect(metrics.reflector.failures.value({ resource: 'trunks.sbc.test' })).toBe(0)
  })

  it('waits before it asks again when a watch ends at once and brought nothing', async () => {
    ;(await watching()).end()
    await clock.expire(800)
    ;(await api.next()).open().end()
    await clock.expire(1600)
    ;(await api.next()).open().end()
    await clock.expire(3200)
    await api.next()
  })

  it('takes a line that is cut for a failure, keeps what came before it, and resumes behind that', async () => {
    const watch = await watching()
    watch.send(added('a', '11')).sendText('{"type":"ADDED","object":{"metadata":{"na')
    expect(await heard.next()).toBe('+ a 11')
    watch.end()
    await clock.expire(800)
    const resumed = await api.next()
    expect(resumed.query['resourceVersion']).toBe('11')
    resumed.open().send(added('b', '12'))
    expect(await heard.next()).toBe('+ b 12')
  })

  it('resumes after a connection that broke', async () => {
    const watch = await watching()
    watch.send(added('a', '11'))
    expect(await heard.next()).toBe('+ a 11')
    watch.cut()
    await clock.expire(800)
    expect((await api.next()).query['resourceVersion']).toBe('11')
  })

  it('gives up a connection on which nothing comes, not even the bookmark of the minute', async () => {
    const watch = await watching()
    watch.send(bookmark('15'))
    await clock.expire(150_000)
    await watch.closed
    await clock.expire(800)
    expect((await api.next()).query['resourceVersion']).toBe('15')
  })

  it('knows from the first bookmark on how long a silence may be, also on later connections', async () => {
    const watch = await watching()
    watch.send(bookmark('15'))
    await clock.timer((set) => set === 150_000)
    watch.end()
    const next = (await api.next()).open()
    await clock.expire(150_000)
    await next.closed
  })

  it('without bookmarks, gives up a connection that the server should have ended', async () => {
    const watch = await watching()
    await clock.expire(305_000)
    await watch.closed
    await clock.expire(800)
    expect((await api.next()).query['resourceVersion']).toBe('10')
  })

  it('lists anew at once when history is gone', async () => {
    const watch = await watching()
    watch.send(added('a', '11'), expired)
    expect(await heard.next()).toBe('+ a 11')
    const list = await api.next()
    expect(list.query).toEqual({ limit: '500' })
    list.list('900', [trunk('b', '800')])
    expect(await heard.next()).toBe('= b')
    expect((await api.next()).query['resourceVersion']).toBe('900')
  })

  it('lists anew when the answer itself is 410', async () => {
    const watch = await watching()
    watch.send(added('a', '11')).end()
    ;(await api.next()).refuse(410, 'Gone')
    expect((await api.next()).query).toEqual({ limit: '500' })
  })

  it('waits when history is gone right after a list, again and again', async () => {
    ;(await watching()).send(expired)
    await clock.expire(800)
    ;(await api.next()).list('11', [])
    ;(await api.next()).open().send(expired)
    await clock.expire(1600)
    expect((await api.next()).query).toEqual({ limit: '500' })
  })

  it('lists all at once when history is gone between two pages', async () => {
    reflector.start()
    ;(await api.next()).list('10', [trunk('a', '3')], 'page-2')
    ;(await api.next()).refuse(410, 'Expired')
    const whole = await api.next()
    expect(whole.query).toEqual({})
    whole.list('20', [trunk('b', '4'), trunk('c', '5')])
    expect(await heard.next()).toBe('= b c')
  })

  it('lists anew when the server keeps refusing the watch', async () => {
    ;(await watching()).send(added('a', '11')).end()
    for (const delay of [800, 1600, 3200]) {
      ;(await api.next()).refuse(504, 'Timeout')
      await clock.expire(delay)
    }
    expect((await api.next()).query).toEqual({ limit: '500' })
  })

  it('waits as long as the server asks', async () => {
    ;(await watching()).send(added('a', '11')).end()
    ;(await api.next()).refuse(429, 'TooManyRequests', { 'retry-after': '12' })
    await clock.expire(12_000)
    expect((await api.next()).query['resourceVersion']).toBe('11')
  })

  it('says which CRD may be missing, and waits for it', async () => {
    reflector.start()
    ;(await api.next()).refuse(404, 'NotFound')
    await clock.expire(800)
    ;(await api.next()).list('10', [])
    expect(await heard.next()).toBe('= ')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(
      '404 NotFound: it is NotFound (is the CRD trunks.sbc.test installed, and does it have v1?)',
    )
  })

  it('gives a slow list up after a minute and tries again', async () => {
    reflector.start()
    const slow = await api.next()
    slow.open().sendText('{"items":[')
    await clock.expire(60_000)
    await slow.closed
    await clock.expire(800)
    ;(await api.next()).list('10', [])
    expect(await heard.next()).toBe('= ')
  })

  it('waits longer and longer, up to half a minute, while nothing works, and starts small after success', async () => {
    reflector.start()
    for (const delay of [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]) {
      ;(await api.next()).cut()
      await clock.expire(delay)
    }
    ;(await api.next()).list('10', [])
    const watch = (await api.next()).open().send(bookmark('11'))
    await clock.timer((set) => set === 150_000)
    watch.cut()
    await clock.expire(800)
  })

  it('does not mind what the sink throws', async () => {
    reflector = reflect({
      sink: {
        replace: () => {
          throw new Error('bad list')
        },
        upsert: ({ metadata }) => {
          heard.add(metadata.name)
          if (metadata.name === 'a') throw new Error('bad object')
        },
        remove: () => {},
      },
    })
    reflector.start()
    ;(await api.next()).list('10', [])
    ;(await api.next()).open().send(added('a', '11'), added('b', '12'))
    expect([await heard.next(), await heard.next()]).toEqual(['a', 'b'])
    expect(metrics.reflector.handlerErrors.value({ resource: 'trunks.sbc.test' })).toBe(2)
  })

  it('does not go back when an event comes late', async () => {
    const watch = await watching()
    watch.send(added('a', '15'), added('b', '12')).end()
    expect([await heard.next(), await heard.next()]).toEqual(['+ a 15', '+ b 12'])
    expect((await api.next()).query['resourceVersion']).toBe('15')
  })

  it('ends right after a list, before it watches', async () => {
    let stopped: Promise<void> | undefined
    reflector = reflect({
      sink: { replace: () => void (stopped = reflector.stop()), upsert: () => {}, remove: () => {} },
    })
    reflector.start()
    const list = await api.next()
    list.list('10', [])
    await list.closed
    while (stopped === undefined) await new Promise(setImmediate)
    await stopped
    expect(api.waiting).toBe(0)
  })

  it('ends within a list, within a watch, and while it waits', async () => {
    reflector.start()
    const list = await api.next()
    await reflector.stop()
    await list.closed
    reflector = reflect()
    const watch = await watching()
    await reflector.stop()
    await watch.closed
    reflector = reflect()
    reflector.start()
    ;(await api.next()).cut()
    await clock.timer((set) => set === 800)
    await reflector.stop()
    expect(api.waiting).toBe(0)
  })
})
