import { compileFleets } from '../operator/compile/compile.ts'
import type { Problem } from '../operator/compile/world.ts'
import { formatProblem, placeOf, resourceName, resourcesOf } from './manifests/manifests.ts'
import type { ManifestProblem, Manifests } from './manifests/manifests.ts'
import { readManifests } from './manifests/read-manifests.ts'

/**
 * `sbcfleet check DIR`: reads and compiles, runs nothing. Prints every problem as `file:line:column: resource field: message`,
 * or one line for each fleet. Resolves to the exit code: 1 when there is any problem, else 0.
 */
export async function runCheck(directory: string, out: (line: string) => void): Promise<number> {
  const manifests = await readManifests(directory)
  const { fleets, strays } = compileFleets(resourcesOf(manifests))
  const compiled = [...fleets, strays].flatMap(({ problems }) => problems)
  const problems = [...manifests.problems, ...placeProblems(manifests, compiled)].toSorted(byPlace)
  if (problems.length === 0 && fleets.length === 0) {
    problems.push({
      file: directory,
      line: 1,
      column: 1,
      message: 'holds no VoiceService, so that nothing would run; add one',
    })
  }
  if (problems.length > 0) {
    for (const problem of problems) out(formatProblem(problem))
    out(`${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`)
    return 1
  }
  for (const { world, snapshot } of fleets) {
    const routes = snapshot.resources.filter(({ body }) => body.type === 'Route').length
    out(`${snapshot.fleet}: ${world.trunks.length} trunks, ${routes} routes, revision ${snapshot.revision}`)
  }
  out(`${fleets.length} ${fleets.length === 1 ? 'fleet' : 'fleets'}, no problem`)
  return 0
}

/**
 * Gives what the compiler found its place in the files. That something is missing is not said when it stands in a file
 * and is refused there: its own problem says it.
 */
export function placeProblems(manifests: Manifests, problems: readonly Problem[]): ManifestProblem[] {
  const refused = new Set(manifests.entries.filter(({ manifest }) => manifest === undefined).map(({ id }) => id))
  return problems.flatMap(({ resource, field, message, missing }) => {
    const place = placeOf(manifests, resource, field)
    if (place === undefined || (missing !== undefined && refused.has(missing))) return []
    return [{ ...place, resource: resourceName(resource.kind, resource.namespace, resource.name), field, message }]
  })
}

function byPlace(a: ManifestProblem, b: ManifestProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.line - b.line || a.column - b.column
}
