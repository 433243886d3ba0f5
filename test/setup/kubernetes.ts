import type { TestProject } from 'vitest/node'
import { find, obstacle, type Program } from '../tools/programs.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Whether tests can have a real Kubernetes API. */
    kubernetes: boolean
  }
}

const controlPlane = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const satisfies Program[]

/**
 * Looks whether a real Kubernetes API can be had, and says so: the tests that want one build what is missing when they
 * start, so that a run of other tests waits for nothing. Without Go or ready-made programs they are skipped with one
 * loud line; with `CI` set that ends the run.
 */
export default function setup(project: TestProject): void {
  const problem = obstacle(controlPlane)
  if (problem !== undefined) {
    if (process.env['CI'] !== undefined) throw new Error(`cannot test against Kubernetes: ${problem}`)
    console.error(`\n*** SKIPPING THE TESTS AGAINST A REAL KUBERNETES API: ${problem} ***\n`)
  } else if (controlPlane.some((program) => find(program) === undefined)) {
    console.log('tests against a real Kubernetes API will first build one; this is done once and takes minutes')
  }
  project.provide('kubernetes', problem === undefined)
}
