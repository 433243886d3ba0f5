const common: ReadonlySet<string> = new Set(['SBCFLEET_LOG_LEVEL', 'SBCFLEET_DNS_SERVERS'])

/**
 * The environment that replicas inherit: that of this process, less what is said to each replica by itself. Of ours only
 * those are passed on that are the same for all.
 */
export function inheritedEnvironment(environment: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      value === undefined || (name.startsWith('SBCFLEET_') && !common.has(name)) ? [] : [[name, value]],
    ),
  )
}
