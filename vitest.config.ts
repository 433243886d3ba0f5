import { defineConfig } from 'vitest/config'
import { testsOrProjects } from './test/engine/on-drachtio.ts'

export default defineConfig({
  test: {
    ...testsOrProjects({ include: ['**/*.test.ts'], exclude: ['**/node_modules/**'] }),
    globalSetup: ['test/setup/peers.ts', 'test/setup/kubernetes.ts'],
    pool: 'forks',
    maxWorkers: 2,
    sequence: { shuffle: true },
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
