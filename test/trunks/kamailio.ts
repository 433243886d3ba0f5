import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requestText, SipPeer } from '../engine/sip-peer.ts'
import { freePorts } from '../sip/free-port.ts'

export const kamailioPassword = 'Circle of Life'

/** A binding as the registrar lists it. */
export interface ListedBinding {
  readonly contact: string
  readonly expiresSeconds: number
}

/** Kamailio as a registrar on loopback that wants digest for every REGISTER that changes something. */
export async function startKamailio() {
  const { port, ask, close } = await runKamailio(registrar)
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
    close,
  }
}

/**
 * Kamailio as a carrier's proxy that stays in the path of every call: what comes from one of two addresses goes to the other.
 * With a realm it wants digest of every request of the fleet's, inside calls too, and the password is `kamailioPassword`.
 */
export async function startKamailioProxy(ports: { fleet: number; peer: number; realm?: string }) {
  const { port, said, close } = await runKamailio((own) => proxy(own, ports))
  return {
    port,
    /** How many requests of this method came in a dialog so far, by the route that the dialog has. */
    routed: (method: string) => said().split(`in a dialog: ${method} `).length - 1,
    /** How many requests of this method were challenged so far. */
    challenged: (method: string) => said().split(`challenged: ${method} `).length - 1,
    close,
  }
}

/** Runs Kamailio on a free port of loopback; resolves when it answers OPTIONS. */
async function runKamailio(configuration: (port: number) => string) {
  const [port = 0] = await freePorts(1)
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
    ask,
    /** All that it has logged. */
    said: () => said,
    close: async () => {
      child.kill('SIGTERM')
      await exited
      await asker.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

const common = (port: number) => `#!KAMAILIO
debug=-1
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:127.0.0.1:${port}
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
`

const registrar = (port: number) => `${common(port)}
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

/** RFC 3261 section 22.1: nobody challenges an ACK or a CANCEL. The ACK of the 407 ends here, so there is a transaction for it. */
const challenge = (fleet: number, realm: string) => `
  # A retransmission is answered as before, and ends here: its nonce has been used.
  if (!is_method("CANCEL")) t_check_trans();
  if ($sp == ${fleet} && !is_method("ACK") && !is_method("CANCEL")) {
    if (!pv_proxy_authenticate("${realm}", "${kamailioPassword}", "0")) {
      xlog("L_ERR", "challenged: $rm \n");
      t_newtran();
      auth_challenge("${realm}", "1");
      exit;
    }
    consume_credentials();
  }
`

const proxy = (
  port: number,
  { fleet, peer, realm }: { fleet: number; peer: number; realm?: string },
) => `${common(port)}
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "siputils.so"
loadmodule "maxfwd.so"
loadmodule "xlog.so"
loadmodule "auth.so"
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
request_route {
  if (!mf_process_maxfwd_header("70")) {
    sl_send_reply("483", "Too Many Hops");
    exit;
  }
  ${realm === undefined ? '' : challenge(fleet, realm)}
  if (has_totag()) {
    if (loose_route()) {
      xlog("L_ERR", "in a dialog: $rm \n");
      t_relay();
    } else if (is_method("ACK")) {
      if (t_check_trans()) t_relay();
    } else {
      sl_send_reply("404", "Not Here");
    }
    exit;
  }
  if (is_method("OPTIONS")) {
    sl_send_reply("200", "OK");
    exit;
  }
  if (is_method("CANCEL")) {
    if (t_check_trans()) t_relay();
    exit;
  }
  record_route();
  if ($sp == ${fleet}) {
    $du = "sip:127.0.0.1:${peer}";
  } else {
    $du = "sip:127.0.0.1:${fleet}";
  }
  t_relay();
}
`
