import { compileFleets } from '../operator/compile/compile.ts'
import type { Problem } from '../operator/compile/world.ts'
import { formatProblem, placeOf, resourceName, resourcesOf } from './manifests/manifests.ts'
import type { ManifestProblem, Manifests } from './manifests/manifests.ts'
import { readManifests } from './manifests/read-manifests.ts'

/**
 * `sbcfleet check DIR`: reads and compiles, runs nothing. Prints every problem as `file:line:column: resource field: message`,
 * or one line for each fleet. Resolves to the exit code: 1 when there is any problem that is more than a warning, else 0.
 */
export async function runCheck(directory: string, out: (line: string) => void): Promise<number> {
  const manifests = await readManifests(directory)
  const { fleets, strays } = compileFleets(resourcesOf(manifests))
  const compiled = [...fleets, strays].flatMap(({ problems }) => problems)
  const found = [...manifests.problems, ...placeProblems(manifests, compiled)].toSorted(byPlace)
  if (found.length === 0 && fleets.length === 0) {
    found.push({
      file: directory,
      line: 1,
      column: 1,
      message: 'holds no VoiceService, so that nothing would run; add one',
    })
  }
  for (const problem of found) out(formatProblem(problem))
  const warnings = found.filter(({ isWarning }) => isWarning === true).length
  const problems = found.length - warnings
  if (problems > 0) {
    out(`${problems} ${problems === 1 ? 'problem' : 'problems'}`)
    return 1
  }
  for (const { world, snapshot } of fleets) {
    const routes = snapshot.resources.filter(({ body }) => body.type === 'Route').length
    out(`${snapshot.fleet}: ${world.trunks.length} trunks, ${routes} routes, revision ${snapshot.revision}`)
  }
  const warned = warnings === 0 ? '' : `, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`
  out(`${fleets.length} ${fleets.length === 1 ? 'fleet' : 'fleets'}, no problem${warned}`)
  return 0
}

/**
 * Gives what the compiler found its place in the files. That something is missing is not said when it stands in a file
 * and is refused there: its own problem says it.
 */
export function placeProblems(manifests: Manifests, problems: readonly Problem[]): ManifestProblem[] {
  const refused = new Set(manifests.entries.filter(({ manifest }) => manifest === undefined).map(({ id }) => id))
  return problems.flatMap(({ resource, field, message, missing, limit }) => {
    const place = placeOf(manifests, resource, field)
    if (place === undefined || (missing !== undefined && refused.has(missing))) return []
    const name = resourceName(resource.kind, resource.namespace, resource.name)
    return [{ ...place, resource: name, field, message, ...(limit === true && { isWarning: true }) }]
  })
}

function byPlace(a: ManifestProblem, b: ManifestProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.line - b.line || a.column - b.column
}
