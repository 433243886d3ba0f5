import { execFileSync } from 'node:child_process'
import { Cluster } from './cluster.ts'
import { platformOf } from './platform.ts'
import { type Scene, scenes } from './scenes.ts'

/** Runs the product on a real cluster, scene by scene, from `helm install` to `helm uninstall`. */
const platform = await platformOf(process.env)
const cluster = await Cluster.at(platform)
const began = Date.now()

async function play({ name, play: run }: Scene): Promise<void> {
  const start = Date.now()
  await run(cluster)
  console.log(`ok    ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`)
}

async function tellWhatThereIs(): Promise<void> {
  const asks = [
    ['get', 'vsvc,sipt,pods,events', '-A', '-o', 'wide'],
    ['logs', '-n', 'sbcfleet', '-l', 'app.kubernetes.io/component=operator', '--tail=40', '--prefix'],
    ['logs', '-n', 'voice', '-l', 'app.kubernetes.io/component=replica', '--tail=20', '--prefix'],
  ]
  for (const ask of asks) console.error(await cluster.kubectl(...ask).catch(String))
}

try {
  execFileSync(process.execPath, ['scripts/bundle.ts'], { stdio: 'inherit' })
  platform.load('operator', 'sbcfleet-operator:e2e')
  platform.load('replica', 'sbcfleet-replica:e2e')
  for (const scene of scenes) await play(scene)
  console.log(`all ${scenes.length} scenes played in ${Math.round((Date.now() - began) / 1000)} s`)
} catch (error) {
  console.error(`FAILED: ${error instanceof Error ? error.message : String(error)}`)
  await tellWhatThereIs()
  process.exitCode = 1
} finally {
  cluster.stop()
  platform.end()
}
