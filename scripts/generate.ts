import { join } from 'node:path'
import { differences, writeArtefacts } from './generate/output.ts'

/**
 * Writes everything that is made from `api/`: CRDs, JSON schemas, reference pages. With `--check` it writes nothing,
 * prints what differs, and exits 1 on any difference.
 */
const root = join(import.meta.dirname, '..')

if (process.argv.includes('--check')) {
  const found = differences(root)
  for (const difference of found) console.log(difference)
  if (found.length > 0) {
    console.log('Generated files differ from api/; run "npm run generate" and commit what it writes.')
    process.exitCode = 1
  }
} else {
  for (const path of writeArtefacts(root)) console.log(`wrote ${path}`)
}
