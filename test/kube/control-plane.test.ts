import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { kubernetesVersion } from '../tools/programs.ts'
import { clientOf } from './cluster.ts'
import { longestStart, startControlPlane } from './control-plane.ts'

describe.skipIf(!inject('kubernetes'))('a control plane for tests', () => {
  it(
    'runs beside another one, in the pinned version, and leaves neither programs nor files behind',
    async () => {
      const planes = await Promise.all([startControlPlane(), startControlPlane()])
      const clients = planes.map((plane) => clientOf(plane))
      for (const client of clients) {
        expect(await client.read('/version')).toMatchObject({ gitVersion: kubernetesVersion })
      }
      for (const plane of planes) await plane.stop()
      for (const client of clients) {
        await expect(client.read('/version')).rejects.toThrow('ECONNREFUSED')
        client.close()
      }
      expect(planes.filter(({ kubeconfig }) => existsSync(dirname(kubeconfig)))).toEqual([])
    },
    longestStart,
  )
})
