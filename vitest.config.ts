import { defineConfig } from 'vitest/config'
import { projects } from './test/engine/on-drachtio.ts'

/** In milliseconds. Tests wait for events, so that this ends what hangs, and nothing that a busy machine only holds up. */
const hung = 120_000

export default defineConfig({
  test: {
    projects: projects({ include: ['**/*.test.ts'], exclude: ['**/node_modules/**'] }),
    globalSetup: ['test/setup/peers.ts', 'test/setup/kubernetes.ts'],
    pool: 'forks',
    maxWorkers: 2,
    sequence: { shuffle: true },
    testTimeout: hung,
    hookTimeout: hung,
    expect: { poll: { timeout: hung / 2 } },
  },
})
