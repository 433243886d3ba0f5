/**
 * The environment that replicas inherit: that of this process, less what is said to each replica by itself. Of ours only
 * `SBCFLEET_LOG_LEVEL` is passed on.
 */
export function inheritedEnvironment(environment: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      value === undefined || (name.startsWith('SBCFLEET_') && name !== 'SBCFLEET_LOG_LEVEL') ? [] : [[name, value]],
    ),
  )
}
