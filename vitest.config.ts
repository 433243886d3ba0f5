import { defineConfig } from 'vitest/config'
import { projectsWithDrachtio } from './test/engine/on-drachtio.ts'

const usual = {
  include: ['**/*.test.ts'],
  exclude: ['**/node_modules/**'],
}

export default defineConfig({
  test: {
    ...usual,
    globalSetup: ['test/setup/peers.ts', 'test/setup/kubernetes.ts'],
    pool: 'forks',
    maxWorkers: 2,
    sequence: { shuffle: true },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    ...projectsWithDrachtio(usual),
  },
})
