import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

/**
 * Makes of each program one file that needs nothing but Node: `dist/operator/app/main.mjs` and `dist/replica/app/main.mjs`.
 * The folders are what the images hold beside Node.
 */
const root = join(import.meta.dirname, '..')

const programs = { operator: 'operator/main.ts', replica: 'dataplane/main.ts' } as const

for (const [name, input] of Object.entries(programs)) {
  const folder = join(root, 'dist', name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'app'), { recursive: true })
  const bundle = await rolldown({ input: join(root, input), platform: 'node' })
  const { output } = await bundle.generate({
    format: 'esm',
    codeSplitting: false,
    // CommonJS dependencies ask for the modules of Node with `require`.
    banner:
      "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  })
  const [chunk] = output
  writeFileSync(join(folder, 'app/main.mjs'), chunk.code)
  await bundle.close()
  console.log(`dist/${name}/app/main.mjs: ${Math.round(chunk.code.length / 1024)} KiB`)
}
