import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { cacheFolder, find, kubernetesVersion, obstacle, provide } from './programs.ts'

describe('the programs of a control plane', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sbcfleet-programs-'))
    vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'))
    vi.stubEnv('KUBEBUILDER_ASSETS', '')
    // No Go, nor anything else.
    vi.stubEnv('PATH', folder)
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })

  function put(path: string, mode = 0o755): string {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, '')
    chmodSync(path, mode)
    return path
  }

  it('are kept apart for every set of versions', () => {
    expect(kubernetesVersion).toMatch(/^v1\.\d+\.\d+$/)
    expect(cacheFolder()).toMatch(new RegExp(`cache/sbcfleet/kubernetes-${kubernetesVersion}-[0-9a-f]{8}$`))
  })

  it('come from KUBEBUILDER_ASSETS first, then from the cache', async () => {
    const built = { etcd: put(join(cacheFolder(), 'etcd')), kubectl: put(join(cacheFolder(), 'kubectl')) }
    const readyMade = put(join(folder, 'assets', 'etcd'))
    expect(await provide('etcd', 'kubectl')).toEqual(built)
    vi.stubEnv('KUBEBUILDER_ASSETS', join(folder, 'assets'))
    expect(await provide('etcd', 'kubectl')).toEqual({ ...built, etcd: readyMade })
    expect(obstacle(['etcd', 'kubectl'])).toBeUndefined()
  })

  it('cannot be had without Go, which is said together with the ways out', async () => {
    put(join(cacheFolder(), 'etcd'))
    put(join(cacheFolder(), 'helm'), 0o644)
    expect(find('helm')).toBeUndefined()
    expect(obstacle(['etcd', 'helm'])).toMatch(/^helm not found, and no Go .*install Go .*or set KUBEBUILDER_ASSETS/)
    await expect(provide('helm')).rejects.toThrow('helm not found')
  })

  it('are not what a failed build leaves; its output is shown', async () => {
    const go = put(join(folder, 'go'))
    writeFileSync(go, '#!/bin/sh\n[ "$1" = version ] || { echo "no route to the proxy" >&2; exit 1; }\n')
    const nice = put(join(folder, 'nice'))
    writeFileSync(nice, '#!/bin/sh\n"$@"\n')
    await expect(provide('etcd')).rejects.toThrow('no route to the proxy')
    expect(find('etcd')).toBeUndefined()
  })

  it('are built once when several processes ask, and by the next one when a builder died', async () => {
    const go = put(join(folder, 'go'))
    writeFileSync(
      go,
      `#!/bin/sh
       [ "$1" = version ] && exit
       while [ "$1" != -o ]; do shift; done
       echo "#!" >"$2" && /bin/chmod +x "$2" && echo built >>${join(folder, 'builds')}`,
    )
    writeFileSync(put(join(folder, 'nice')), '#!/bin/sh\n"$@"\n')
    writeFileSync(put(join(cacheFolder(), 'building')), String(2 ** 22 + 1))
    const path = join(cacheFolder(), 'etcd')
    expect(await Promise.all([provide('etcd'), provide('etcd')])).toEqual([{ etcd: path }, { etcd: path }])
    expect(readFileSync(join(folder, 'builds'), 'utf8')).toBe('built\n')
  })
})
