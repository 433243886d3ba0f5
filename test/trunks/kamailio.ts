import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requestText, SipPeer } from '../engine/sip-peer.ts'
import { freeUdpPorts } from '../sip/free-port.ts'

export const kamailioPassword = 'Circle of Life'

/** A binding as the registrar lists it. */
export interface ListedBinding {
  readonly contact: string
  readonly expiresSeconds: number
}

/** Kamailio as a registrar on loopback that wants digest for every REGISTER that changes something. */
export async function startKamailio() {
  const [port = 0] = await freeUdpPorts(1)
  const directory = await mkdtemp(join(tmpdir(), 'kamailio-'))
  const file = join(directory, 'kamailio.cfg')
  await writeFile(file, configuration(port))
  const child = spawn('kamailio', ['-f', file, '-DD', '-E', '-m', '32', '-M', '8', '-Y', directory], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const exited = once(child, 'exit')
  const asker = await SipPeer.udp()
  let serial = 0
  const ask = async (method: string, number: string) => {
    const callId = `ask-${process.pid}-${++serial}`
    const uri = `sip:127.0.0.1:${port}`
    const text = requestText(asker, { method, uri, callId, contact: false })
    const request = text.replace('To: <sip:bob@example.com>', `To: <sip:${number}@127.0.0.1>`)
    asker.send(request, port)
    // A request to a process that is not there yet is lost.
    const again = setInterval(() => asker.send(request, port), 100)
    const { message } = await asker.next((one) => one.callId === callId && one.kind === 'response')
    clearInterval(again)
    return message
  }
  const ready = ask('OPTIONS', 'nobody')
  await Promise.race([
    ready,
    exited.then(() => {
      throw new Error(`kamailio did not start: ${said}`)
    }),
  ])
  return {
    port,
    /** What is registered for a number: a REGISTER without Contact asks for it (RFC 3261 section 10.2.3). */
    async bindings(number: string): Promise<ListedBinding[]> {
      const message = await ask('REGISTER', number)
      return message.values('Contact').map((value) => ({
        contact: /<([^>]*)>/.exec(value)?.[1] ?? value,
        expiresSeconds: Number(/expires=(\d+)/.exec(value)?.[1] ?? 0),
      }))
    },
    async close() {
      child.kill('SIGTERM')
      await exited
      await asker.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function configuration(port: number): string {
  return `#!KAMAILIO
debug=-1
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:127.0.0.1:${port}
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "timer_interval", 1)
modparam("registrar", "max_expires", 3600)
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
request_route {
  if (is_method("OPTIONS")) {
    sl_send_reply("200", "OK");
    exit;
  }
  if (!is_method("REGISTER")) {
    sl_send_reply("405", "Method Not Allowed");
    exit;
  }
  if (is_present_hf("Contact")) {
    if (!pv_www_authenticate("kamailio.example", "${kamailioPassword}", "0")) {
      auth_challenge("kamailio.example", "1");
      exit;
    }
  }
  save("location");
  exit;
}
`
}
