import { beforeEach } from 'vitest'
import { rowOf } from './drachtio-limits.ts'

beforeEach(({ task, skip }) => {
  const row = rowOf(task.fullTestName)
  if (row !== undefined) skip(`docs/engines.md: ${row}`)
})
