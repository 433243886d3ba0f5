import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '#lib/clock.ts'
import { runCheck } from './check.ts'
import { parseCommandLine, usage } from './command-line.ts'
import { runStart } from './start.ts'
import { runTrunks } from './trunks.ts'

const root = join(import.meta.dirname, '..')
const command = parseCommandLine(process.argv.slice(2), process.cwd(), join(root, 'examples', 'quickstart'))

// Whoever reads the output may go first, as `head` does, or a terminal that is closed: a fleet goes on unwatched.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

switch (command.name) {
  case 'start':
    process.exitCode = await runStart(command, process.stdout)
    break
  case 'check':
    process.exitCode = await runCheck(command.directory, (line) => void process.stdout.write(`${line}\n`))
    break
  case 'trunks':
    process.exitCode = runTrunks(command.statusDirectory, process.stdout, systemClock.wallTime())
    break
  case 'version':
    process.stdout.write(`${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version}\n`)
    break
  case 'help':
    process.stdout.write(usage)
    break
  case 'wrong':
    process.stderr.write(`${command.message}\n`)
    process.exitCode = 2
    break
}
