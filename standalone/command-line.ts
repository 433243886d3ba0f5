import { basename, relative, resolve } from 'node:path'
import { isIP } from 'node:net'
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { didYouMean } from '#lib/nearest.ts'

export interface StartCommand {
  readonly name: 'start'
  /** Path of the manifests. */
  readonly directory: string
  readonly statusDirectory: string
  /** Addresses of replica 0, 1 and so on, each with one or more; undefined: those of the loopback network. */
  readonly addresses: readonly (readonly string[])[] | undefined
  readonly selftest: boolean
}

export type Command =
  | StartCommand
  | { readonly name: 'check'; readonly directory: string }
  | { readonly name: 'trunks'; readonly statusDirectory: string }
  | { readonly name: 'help' | 'version' }
  /** The command line cannot be used; the message says why, and what would be right. */
  | { readonly name: 'wrong'; readonly message: string }

export const usage = `sbcfleet: a fleet of session border controllers on this machine

  sbcfleet start [DIR]   run the fleets of the manifests in DIR (default: examples/quickstart)
                         until Ctrl-C; a second Ctrl-C does not wait for calls to end
    --selftest           play the peers of the trunks, place one call, show it, and end
    --address A          address of a replica, once per replica, several joined by commas
                         (default: 127.0.0.1 and ::1, then 127.0.0.2, 127.0.0.3 …)
    --status-dir D       where status and logs are written (default: .sbcfleet/<name of DIR>)
  sbcfleet check DIR     compile the manifests in DIR and print every problem with its place
  sbcfleet trunks [DIR]  show what the running fleets of DIR know of every target and registration:
                         state, since when, found by whom, and the last exchange
    --status-dir D       where they write their status (default: .sbcfleet/<name of DIR>)
  sbcfleet version       print the version
  sbcfleet help          print this

Exit codes: 0 all well, 1 a problem was found or nothing can run, 2 the command line is wrong.
`

const options = {
  start: {
    selftest: { type: 'boolean' },
    address: { type: 'string', multiple: true },
    'status-dir': { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
  trunks: { 'status-dir': { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  check: { help: { type: 'boolean', short: 'h' } },
  help: { help: { type: 'boolean', short: 'h' } },
  version: { help: { type: 'boolean', short: 'h' } },
} as const satisfies Record<string, ParseArgsOptionsConfig>

type Name = keyof typeof options
const isName = (word: string): word is Name => Object.hasOwn(options, word)

/** Reads the arguments after the program's name. `cwd` is what relative paths start from. */
export function parseCommandLine(words: readonly string[], cwd: string, defaultDirectory: string): Command {
  const [first = 'help', ...rest] = words
  if (first === '--help' || first === '-h') return { name: 'help' }
  if (first === '--version') return { name: 'version' }
  if (!isName(first)) {
    return wrong(`There is no command "${first}"${didYouMean(first, Object.keys(options))}`)
  }
  const unknown = unknownOption(rest, options[first])
  if (unknown !== undefined) return wrong(`"${first}" ${unknown}`)
  try {
    return readCommand(first, rest, cwd, defaultDirectory)
  } catch (error) {
    // parseArgs says which option lacks its value, or has one too many.
    return wrong(error instanceof Error ? error.message : String(error))
  }
}

function readCommand(name: Name, words: string[], cwd: string, defaultDirectory: string): Command {
  const { values, positionals } = parseArgs({ args: words, options: options[name], allowPositionals: true })
  if (values.help === true || name === 'help') return { name: 'help' }
  if (name === 'version') return { name }
  if (positionals.length > 1) {
    return wrong(`"${name}" takes one directory, but was given ${positionals.map((word) => `"${word}"`).join(' and ')}`)
  }
  const [given] = positionals
  if (name === 'check') {
    return given === undefined
      ? wrong('"check" needs the directory of the manifests: sbcfleet check DIR')
      : { name, directory: shorten(given, cwd) }
  }
  if (name === 'trunks') {
    const trunks = parseArgs({ args: words, options: options.trunks, allowPositionals: true })
    return { name, statusDirectory: statusDirectoryOf(given ?? defaultDirectory, trunks.values['status-dir'], cwd) }
  }
  const start = parseArgs({ args: words, options: options.start, allowPositionals: true })
  return readStart(shorten(given ?? defaultDirectory, cwd), start.values, cwd)
}

function readStart(
  directory: string,
  values: { selftest?: boolean; address?: string[]; 'status-dir'?: string },
  cwd: string,
): Command {
  const addresses = values.address?.map((words) => words.split(','))
  const bad = addresses?.flat().find((address) => isIP(address) === 0)
  if (bad !== undefined) {
    return wrong(`--address "${bad}" is not an IP address; give one such as 192.0.2.1 or 2001:db8::1`)
  }
  const statusDirectory = statusDirectoryOf(directory, values['status-dir'], cwd)
  return { name: 'start', directory, statusDirectory, addresses, selftest: values.selftest ?? false }
}

function statusDirectoryOf(directory: string, given: string | undefined, cwd: string): string {
  return shorten(given ?? `.sbcfleet/${basename(resolve(cwd, directory))}`, cwd)
}

/** A path as people want to read it: relative where it lies below the current directory. */
function shorten(path: string, cwd: string): string {
  const absolute = resolve(cwd, path)
  const below = relative(cwd, absolute)
  return below.startsWith('..') ? absolute : below === '' ? '.' : below
}

function unknownOption(words: string[], known: ParseArgsOptionsConfig): string | undefined {
  const { tokens } = parseArgs({ args: words, options: known, strict: false, allowPositionals: true, tokens: true })
  for (const token of tokens) {
    if (token.kind !== 'option' || Object.hasOwn(known, token.name)) continue
    return `has no option ${token.rawName}${didYouMean(token.name, Object.keys(known)).replace('"', '"--')}`
  }
  return undefined
}

function wrong(message: string): Command {
  return { name: 'wrong', message: `${message}\nsbcfleet help lists the commands and options.` }
}
