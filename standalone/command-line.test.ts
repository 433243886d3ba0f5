import { describe, expect, it } from 'vitest'
import { parseCommandLine, usage } from './command-line.ts'

const parse = (line: string) =>
  parseCommandLine(line.split(' ').filter(Boolean), '/home/me', '/opt/examples/quickstart')

describe('the command line', () => {
  it.each([
    [
      'start',
      {
        name: 'start',
        directory: '/opt/examples/quickstart',
        statusDirectory: '.sbcfleet/quickstart',
        addresses: undefined,
        selftest: false,
      },
    ],
    [
      'start fleets/a --selftest --status-dir /tmp/status --address 192.0.2.1,2001:db8::1 --address 192.0.2.2',
      {
        name: 'start',
        directory: 'fleets/a',
        statusDirectory: '/tmp/status',
        addresses: [['192.0.2.1', '2001:db8::1'], ['192.0.2.2']],
        selftest: true,
      },
    ],
    ['check .', { name: 'check', directory: '.' }],
    ['check /opt/examples', { name: 'check', directory: '/opt/examples' }],
    ['start --selftest', expect.objectContaining({ directory: '/opt/examples/quickstart', selftest: true })],
    ['trunks', { name: 'trunks', statusDirectory: '.sbcfleet/quickstart' }],
    ['trunks fleets/a', { name: 'trunks', statusDirectory: '.sbcfleet/a' }],
    ['trunks --status-dir /tmp/status', { name: 'trunks', statusDirectory: '/tmp/status' }],
    ['check a', { name: 'check', directory: 'a' }],
    ['', { name: 'help' }],
    ['help', { name: 'help' }],
    ['--help', { name: 'help' }],
    ['start --help', { name: 'help' }],
    ['version', { name: 'version' }],
    ['--version', { name: 'version' }],
  ])('reads "%s"', (line, command) => expect(parse(line)).toEqual(command))

  it.each([
    ['strat', 'There is no command "strat"; did you mean "start"?'],
    ['start --selftes', '"start" has no option --selftes; did you mean "--selftest"?'],
    ['start --adress=192.0.2.1', '"start" has no option --adress; did you mean "--address"?'],
    ['start -x', '"start" has no option -x\n'],
    ['start --status-dir', "Option '--status-dir <value>' argument missing"],
    ['start --selftest=yes', "Option '--selftest' does not take an argument"],
    ['start a b', '"start" takes one directory, but was given "a" and "b"'],
    ['start --address 192.0.2', '--address "192.0.2" is not an IP address'],
    ['check', '"check" needs the directory of the manifests'],
    ['check a --selftest', '"check" has no option --selftest'],
  ])('says what is wrong with "%s"', (line, message) => {
    const command = parse(line)
    expect(command).toMatchObject({ name: 'wrong', message: expect.stringContaining(message) })
  })

  it('is documented with its exit codes', () => expect(usage).toContain('Exit codes: 0'))
})
