import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ApiError, ConnectionError, isConflict, isExpired, isNotFound } from './api-error.ts'
import type { KubeClient } from './client.ts'
import { kubeMetrics, type KubeMetrics } from './metrics.ts'
import type { KubeObject, Resource } from './resource.ts'
import { ObservedClock } from './testing/observed-clock.ts'
import { ScriptedApi } from './testing/scripted-api.ts'

const trunks: Resource = { group: 'sbc.test', version: 'v1', kind: 'Trunk', plural: 'trunks', namespaced: true }
const carrier: KubeObject = { metadata: { namespace: 'voice', name: 'carrier' } }
const name = { namespace: 'voice', name: 'carrier' }

describe('the client', () => {
  let api: ScriptedApi
  let clock: ObservedClock
  let metrics: KubeMetrics
  let client: KubeClient

  beforeEach(async () => {
    api = await ScriptedApi.start()
    clock = new ObservedClock()
    metrics = kubeMetrics()
    client = api.client(clock, metrics)
  })
  afterEach(async () => {
    client.close()
    await api.stop()
  })

  it('names itself and shows its token', async () => {
    const got = client.get(trunks, name)
    const request = await api.next()
    expect(request).toMatchObject({ method: 'GET', path: '/apis/sbc.test/v1/namespaces/voice/trunks/carrier' })
    expect(request.headers).toMatchObject({ authorization: 'Bearer secret-token', 'user-agent': 'sbcfleet' })
    request.answer(200, carrier)
    expect(await got).toEqual(carrier)
    expect(metrics.rest.requests.value({ code: '200', host: request.headers.host ?? '', method: 'GET' })).toBe(1)
    expect(clock.pending).toBe(0)
  })

  describe('with credentials that change', () => {
    let folder: string
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'sbcfleet-credentials-'))
    })
    afterEach(() => rmSync(folder, { recursive: true }))

    const shownBy = async (who: KubeClient, code = 200) => {
      const got = who.get(trunks, name).catch((error: unknown) => error)
      const request = await api.next()
      request.answer(code, carrier)
      await got
      return request.headers.authorization
    }
    /** A credential plugin that answers with what stands in a file. */
    const pluginFor = (file: string) => ({ command: 'cat', args: [file], installHint: 'It comes with coreutils.' })
    const credential = (status: object) => JSON.stringify({ kind: 'ExecCredential', status })

    it('reads a token file again once a minute, since tokens of pods expire', async () => {
      const tokenFile = join(folder, 'token')
      writeFileSync(tokenFile, 'first\n')
      const inPod = api.client(clock, metrics, { tokenFile })
      expect(await shownBy(inPod)).toBe('Bearer first')
      writeFileSync(tokenFile, 'second')
      clock.advance(59_000)
      expect(await shownBy(inPod)).toBe('Bearer first')
      clock.advance(1_000)
      expect(await shownBy(inPod)).toBe('Bearer second')
      inPod.close()
    })

    it('reads a token file at once when it was refused', async () => {
      const tokenFile = join(folder, 'token')
      writeFileSync(tokenFile, 'first')
      const inPod = api.client(clock, metrics, { tokenFile })
      expect(await shownBy(inPod, 401)).toBe('Bearer first')
      writeFileSync(tokenFile, 'second')
      expect(await shownBy(inPod)).toBe('Bearer second')
      inPod.close()
    })

    it('asks a plugin, and again shortly before what it gave lapses', async () => {
      const file = join(folder, 'credential')
      const expirationTimestamp = new Date(clock.wallTime() + 3_600_000).toISOString()
      writeFileSync(file, credential({ token: 'first', expirationTimestamp }))
      const outside = api.client(clock, metrics, { exec: pluginFor(file) })
      expect(await shownBy(outside)).toBe('Bearer first')
      writeFileSync(file, credential({ token: 'second' }))
      clock.advance(3_500_000)
      expect(await shownBy(outside)).toBe('Bearer first')
      clock.advance(90_000)
      expect(await shownBy(outside)).toBe('Bearer second')
      outside.close()
    })

    it('says which plugin failed and what to do, without what it printed', async () => {
      const file = join(folder, 'credential')
      writeFileSync(file, '{"status":{"token":"secret"')
      const outside = api.client(clock, metrics, { exec: pluginFor(file) })
      const error = await outside.get(trunks, name).catch((reason: unknown) => String(reason))
      expect(error).toMatch(/the credential plugin cat failed: .*\(It comes with coreutils\.\)/)
      expect(error).not.toContain('secret')
      rmSync(file)
      await expect(outside.get(trunks, name)).rejects.toThrow('No such file')
      outside.close()
    })

    it('shows a user name and a password, and in whose name it asks', async () => {
      const other = api.client(clock, metrics, {
        username: 'a',
        password: 'b',
        as: 'somebody',
        'as-groups': ['x', 'y'],
      })
      const got = other.get(trunks, name)
      const request = await api.next()
      request.answer(200, carrier)
      await got
      expect(request.headers).toMatchObject({
        authorization: `Basic ${Buffer.from('a:b').toString('base64')}`,
        'impersonate-user': 'somebody',
        'impersonate-group': 'x, y',
      })
      other.close()
    })
  })

  it('goes through the proxy of its cluster', async () => {
    const beyond = { server: 'http://kube.example:6443', 'proxy-url': api.address, 'insecure-skip-tls-verify': true }
    const proxied = api.client(clock, metrics, {}, beyond)
    const got = proxied.get(trunks, name)
    const request = await api.next()
    expect(request.headers.host).toBe('kube.example:6443')
    request.answer(200, carrier)
    expect(await got).toEqual(carrier)
    proxied.close()
  })

  it('knows the namespace of its context', () => {
    expect(client.namespace).toBe('voice')
  })

  it('applies under its manager, with kind and version filled in, and only by force when told', async () => {
    const applied = client.apply(trunks, carrier, { fieldManager: 'sbcfleet', force: true, subresource: 'status' })
    const request = await api.next()
    expect(request).toMatchObject({
      method: 'PATCH',
      path: '/apis/sbc.test/v1/namespaces/voice/trunks/carrier/status',
      query: { fieldManager: 'sbcfleet', force: 'true' },
    })
    expect(request.headers['content-type']).toBe('application/apply-patch+yaml')
    expect(JSON.parse(request.body)).toEqual({ apiVersion: 'sbc.test/v1', kind: 'Trunk', ...carrier })
    request.answer(200, carrier)
    await applied
  })

  it('deletes one object and no other of its name', async () => {
    const deleted = client.delete(trunks, name, 'uid-1')
    const request = await api.next()
    expect(JSON.parse(request.body)).toMatchObject({
      propagationPolicy: 'Background',
      preconditions: { uid: 'uid-1' },
    })
    request.answer(200, {})
    await deleted
  })

  it.each([
    [404, 'NotFound', isNotFound],
    [409, 'Conflict', isConflict],
    [410, 'Expired', isExpired],
  ] as const)('rejects %i %s as what it is', async (code, reason, isIt) => {
    const got = client.get(trunks, name).catch((error: unknown) => error)
    ;(await api.next()).refuse(code, reason)
    const error = await got
    expect(isIt(error)).toBe(true)
    expect(error).toMatchObject({
      code,
      reason,
      message: `GET /apis/sbc.test/v1/namespaces/voice/trunks/carrier: ${code} ${reason}: it is ${reason}`,
    })
  })

  it('shows the beginning of an answer that is not JSON', async () => {
    const got = client.get(trunks, name)
    ;(await api.next()).open().sendText('<html>no').end()
    await expect(got).rejects.toThrow(ConnectionError)
    const watch = client.watch(trunks, { resourceVersion: '1', timeoutSeconds: 300 })
    ;(await api.next()).answer(502, 'bad gateway')
    await expect(watch).rejects.toThrow(ApiError)
  })

  it('asks again when the server says when, for 429 and for 503 with Retry-After', async () => {
    const created = client.create(trunks, carrier)
    ;(await api.next()).refuse(429, 'TooManyRequests', { 'retry-after': '7' })
    await clock.expire(7000)
    ;(await api.next()).refuse(503, 'ServiceUnavailable', { 'retry-after': '2' })
    await clock.expire(2000)
    const request = await api.next()
    expect(request).toMatchObject({ method: 'POST', path: '/apis/sbc.test/v1/namespaces/voice/trunks' })
    request.answer(201, carrier)
    expect(await created).toEqual(carrier)
  })

  it('does not ask again when the server does not say when', async () => {
    const got = client.get(trunks, name)
    ;(await api.next()).refuse(503, 'ServiceUnavailable')
    await expect(got).rejects.toThrow('503 ServiceUnavailable')
  })

  it('gives up after ten times', async () => {
    const got = client.get(trunks, name).catch((error: unknown) => error)
    for (let retry = 0; retry <= 10; retry++) {
      ;(await api.next()).refuse(429, 'TooManyRequests', { 'retry-after': '1' })
      if (retry < 10) await clock.expire(1000)
    }
    expect(await got).toMatchObject({ code: 429 })
  })

  it('gives up on a server that says nothing', async () => {
    const got = client.get(trunks, name)
    const request = await api.next()
    clock.advance(30_000)
    await expect(got).rejects.toThrow('no answer within 30 s')
    await request.closed
    expect(clock.pending).toBe(0)
  })

  it('gives up on a server that stops in the middle of a list', async () => {
    const listed = client.list(trunks, { limit: 500, timeout: 60_000 })
    const request = await api.next()
    request.open().sendText('{"metadata":')
    clock.advance(60_000)
    await expect(listed).rejects.toThrow('no answer within 60 s')
  })

  it('says what may be wrong when nobody listens', async () => {
    const lonely = await ScriptedApi.start()
    const hopeful = lonely.client(clock, metrics)
    await lonely.stop()
    await expect(hopeful.get(trunks, name)).rejects.toThrow('is the API server up')
  })

  it('sends a request again when the server had closed the kept connection, unless it could be done twice', async () => {
    const first = client.get(trunks, name)
    ;(await api.next()).answer(200, carrier)
    await first
    const second = client.get(trunks, name)
    ;(await api.next()).cut()
    ;(await api.next()).answer(200, carrier)
    expect(await second).toEqual(carrier)
    const third = client.create(trunks, carrier)
    ;(await api.next()).cut()
    await expect(third).rejects.toThrow(ConnectionError)
    expect(metrics.rest.retries.value({ method: 'GET' })).toBe(1)
  })

  it('ends a request when its caller no longer wants it', async () => {
    const abort = new AbortController()
    const got = client.get(trunks, name, abort.signal)
    const request = await api.next()
    abort.abort(new Error('changed my mind'))
    await expect(got).rejects.toThrow('changed my mind')
    await request.closed
  })
})
