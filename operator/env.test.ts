import { describe, expect, it } from 'vitest'
import { EnvError, readEnv } from './env.ts'

const good = {
  SBCFLEET_POD_NAME: 'sbcfleet-7d9f-abcde',
  SBCFLEET_POD_NAMESPACE: 'sbcfleet',
  SBCFLEET_ADDRESS: '10.0.0.1',
  SBCFLEET_CONTROL_SERVICE: 'sbcfleet-control',
  SBCFLEET_REPLICA_IMAGE: 'replica.example/sbcfleet:1',
}

function problemsOf(changes: Record<string, string | undefined>): readonly string[] {
  try {
    readEnv({ ...good, ...changes })
    return []
  } catch (error) {
    if (error instanceof EnvError) return error.problems
    throw error
  }
}

describe('readEnv', () => {
  it('takes defaults for what is absent or empty', () => {
    expect(readEnv({ ...good, SBCFLEET_NAMESPACES: '', SBCFLEET_CONTROL_PORT: '' })).toMatchObject({
      SBCFLEET_NAMESPACES: [],
      SBCFLEET_CONTROL_PORT: 8443,
      SBCFLEET_TLS_ISSUER: 'Operator',
    })
  })

  it('reads lists', () => {
    expect(readEnv({ ...good, SBCFLEET_NAMESPACES: 'voice, lab' }).SBCFLEET_NAMESPACES).toEqual(['voice', 'lab'])
  })

  it('names every wrong variable with its value', () => {
    expect(
      problemsOf({ SBCFLEET_ADDRESS: 'here', SBCFLEET_CONTROL_PORT: '0', SBCFLEET_REPLICA_IMAGE: undefined }),
    ).toEqual([
      'SBCFLEET_ADDRESS is "here": expected an IP address',
      'SBCFLEET_CONTROL_PORT is "0": expected a port',
      expect.stringMatching(/^SBCFLEET_REPLICA_IMAGE is not set: /),
    ])
  })
})
