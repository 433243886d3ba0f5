import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { diff } from 'node:util'
import { artefacts, generatedFolders } from './generate/artefacts.ts'

/**
 * Writes everything that is made from `api/`: CRDs, JSON schemas, reference pages. With `--check` it writes nothing,
 * prints what differs, and exits 1 on any difference.
 */
const root = join(import.meta.dirname, '..')
const checking = process.argv.includes('--check')
const wanted = artefacts()

const present = generatedFolders
  .filter((folder) => existsSync(join(root, folder)))
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
const stale = present.filter((path) => !wanted.has(path))
const changed = [...wanted].filter(([path, text]) => textOf(path) !== text)

if (checking) {
  for (const path of stale) console.log(`${path}: is made from nothing any more`)
  for (const [path, text] of changed) console.log(`--- ${path}\n${difference(textOf(path) ?? '', text)}`)
  if (stale.length + changed.length > 0) {
    console.log('Generated files differ from api/; run "npm run generate" and commit what it writes.')
    process.exitCode = 1
  }
} else {
  for (const path of stale) rmSync(join(root, path), { recursive: true })
  for (const [path, text] of changed) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    console.log(`wrote ${path}`)
  }
}

function textOf(path: string): string | undefined {
  return existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined
}

/** Lines that are in one text only: `-` for those in the file, `+` for those to be written. */
function difference(file: string, text: string): string {
  const marks = { '-1': '+ ', '0': '  ', '1': '- ' }
  return diff(file.split('\n'), text.split('\n'))
    .filter(([operation]) => operation !== 0)
    .map(([operation, line]) => marks[operation] + line)
    .join('\n')
}
