import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export interface BaresipOptions {
  readonly user: string
  readonly address: string
  /** Port of UDP and TCP; TLS is the next one. */
  readonly port: number
  /** PEM texts: its certificate with the key, and the authorities it trusts. Without, it speaks SIP over UDP. */
  readonly tls?: { readonly certificate: string; readonly authorities: string }
  /** What it answers challenges with. */
  readonly credentials?: { readonly username: string; readonly password: string }
  /** Whom it calls as soon as it runs; it answers calls otherwise. */
  readonly calls?: string
}

/** A phone: a baresip without a sound card, that speaks SIP over TLS or UDP. */
export class Baresip {
  readonly #process: ChildProcess
  readonly #folder: string
  #output = ''
  #listeners: (() => void)[] = []

  constructor(options: BaresipOptions) {
    this.#folder = writeConfiguration(options)
    const dial = options.calls === undefined ? [] : ['-e', `/dial ${options.calls}`]
    // Into a pipe it would write only once it has much to say.
    const program = ['-oL', 'baresip', '-f', this.#folder, '-s', ...dial]
    this.#process = spawn('stdbuf', program, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        for (const listener of this.#listeners) listener()
      })
    }
  }

  /** Everything it wrote, SIP messages included. */
  get output(): string {
    return this.#output
  }

  /** Resolves once it has written something that matches. */
  async wrote(wanted: RegExp): Promise<void> {
    while (!wanted.test(this.#output)) await new Promise<void>((resolve) => this.#listeners.push(resolve))
  }

  /** Hangs up, and ends. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGTERM')
      await once(this.#process, 'exit')
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function writeConfiguration(options: BaresipOptions): string {
  const folder = mkdtempSync(join(tmpdir(), 'baresip-'))
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  const { user, address, port, tls, credentials } = options
  write('certificate.pem', tls?.certificate ?? '')
  write('authorities.pem', tls?.authorities ?? '')
  write('contacts', '')
  const own = tls === undefined ? `${address}:${port};transport=udp` : `${address}:${port + 1};transport=tls`
  const proof = credentials && `;auth_user=${credentials.username};auth_pass="${credentials.password}"`
  write('accounts', `<sip:${user}@${own}>;regint=0;answermode=auto${proof ?? ''}\n`)
  write(
    'config',
    [
      `sip_listen ${address}:${port}`,
      ...(tls === undefined
        ? []
        : [`sip_certificate ${join(folder, 'certificate.pem')}`, `sip_cafile ${join(folder, 'authorities.pem')}`]),
      'audio_player aubridge,nil',
      'audio_source aubridge,nil',
      'audio_alert aubridge,nil',
      `module_path ${modulePath()}`,
      ...['g711', 'aubridge'].map((name) => `module ${name}.so`),
      ...['account', 'menu'].map((name) => `module_app ${name}.so`),
      '',
    ].join('\n'),
  )
  return folder
}

/** `/usr/lib/baresip/modules`, or in the folder of the machine's architecture. */
function modulePath(): string {
  const places = ['/usr/lib', ...readdirSync('/usr/lib').map((name) => join('/usr/lib', name))]
  const found = places.map((place) => join(place, 'baresip/modules/account.so')).find(exists)
  return found === undefined ? '/usr/lib/baresip/modules' : dirname(found)
}

function exists(file: string): boolean {
  try {
    return readdirSync(dirname(file)).includes('account.so')
  } catch {
    return false
  }
}
