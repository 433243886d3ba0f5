/**
 * All tests; where DRACHTIO_ADDRESS names a drachtio-server they are a project of vitest, and those of what both engines
 * must do are another one. The latter share the one server, so that only one runs at a time.
 */
export function testsOrProjects(all: { include: string[]; exclude: string[] }) {
  if (process.env['DRACHTIO_ADDRESS'] === undefined) return all
  return { projects: [{ extends: true as const, test: { ...all, name: 'embedded' } }, onDrachtio] }
}

const onDrachtio = {
  extends: true as const,
  test: {
    name: 'drachtio',
    include: [
      'test/call/port.test.ts',
      'test/call/calls.test.ts',
      'test/call/in-dialog-keepalive.test.ts',
      'test/call/mid-call-offers.test.ts',
      'test/sip/calls.test.ts',
      'test/media/calls.test.ts',
      'test/media/midcall.test.ts',
      'test/media/local-answers.test.ts',
      'test/trunks/calls.test.ts',
      'test/trunks/loops.test.ts',
    ],
    env: { SBCFLEET_TEST_ENGINE: 'Drachtio' },
    fileParallelism: false,
    setupFiles: ['test/engine/beyond-drachtio.ts'],
  },
}
