import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { diff } from 'node:util'
import { artefacts, generatedFolders } from './artefacts.ts'

/** Writes what differs below the root of the project and removes what is made from nothing any more; returns the paths. */
export function writeArtefacts(root: string): string[] {
  const { stale, changed } = compare(root)
  for (const path of stale) rmSync(join(root, path), { recursive: true })
  for (const [path, text] of changed) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return [...stale, ...changed.map(([path]) => path)]
}

/** What `writeArtefacts` would do, as a diff for people; nothing when all is as it should be. */
export function differences(root: string): string[] {
  const { stale, changed } = compare(root)
  return [
    ...stale.map((path) => `${path}: is made from nothing any more`),
    ...changed.map(([path, text]) => `--- ${path}\n${lineDiff(textOf(root, path) ?? '', text)}`),
  ]
}

function compare(root: string): { stale: string[]; changed: [path: string, text: string][] } {
  const wanted = artefacts()
  const present = generatedFolders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
  return {
    stale: present.filter((path) => !wanted.has(path)),
    changed: [...wanted].filter(([path, text]) => textOf(root, path) !== text),
  }
}

function textOf(root: string, path: string): string | undefined {
  return existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined
}

/** Lines that are in one text only: `-` for those in the file, `+` for those to be written. */
function lineDiff(file: string, text: string): string {
  const marks = { '-1': '+ ', '0': '  ', '1': '- ' }
  return diff(file.split('\n'), text.split('\n'))
    .filter(([operation]) => operation !== 0)
    .map(([operation, line]) => marks[operation] + line)
    .join('\n')
}
