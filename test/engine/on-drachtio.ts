import type { Connection } from './under-test.ts'

/**
 * All tests, and those of calls once more with drachtio-srf between the calls and the engine. Where DRACHTIO_ADDRESS names a
 * drachtio-server, those of what both engines must do are one more project; they share the one server, so that only one
 * runs at a time.
 */
export function projects(all: { include: string[]; exclude: string[] }) {
  const embedded = { extends: true as const, test: { ...all, name: 'embedded' } }
  const always = [embedded, overProtocol]
  return process.env['DRACHTIO_ADDRESS'] === undefined ? always : [...always, onDrachtio]
}

const overProtocol = {
  extends: true as const,
  test: {
    name: 'protocol',
    include: [
      'test/call/*.test.ts',
      'test/media/{anchored-media,calls,local-answers,midcall,reliable-provisionals}.test.ts',
      'test/trunks/{calls,loops}.test.ts',
    ],
    exclude: ['test/call/{port,engine-port,session-load}.test.ts'],
    env: { SBCFLEET_TEST_CONNECTION: 'over the network' satisfies Connection },
  },
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
