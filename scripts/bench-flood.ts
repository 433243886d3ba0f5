import { createSocket } from 'node:dgram'
import { parseArgs } from 'node:util'
import { callThroughManifests, startFleet } from '../test/sip/fleet.ts'
import { startSipp } from '../test/sip/sipp.ts'

const usage = `npm run bench -- flood [--rate 50] [--seconds 30] [--packets 20000]

Calls through one replica over UDP at that rate, while so many packets of junk a second come from an address that belongs to
no trunk: requests without a dialog, responses to nothing, and noise.`

const listener = 15_160
const caller = { address: '127.0.2.1', port: 15_170 }
const called = { address: '127.0.2.1', port: 15_180 }
const stranger = '127.0.2.9'

/** Runs the bench; how many calls were lost. */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      rate: { type: 'string', default: '50' },
      seconds: { type: 'string', default: '30' },
      packets: { type: 'string', default: '20000' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return {}
  }
  const [rate, seconds, packets] = [Number(values.rate), Number(values.seconds), Number(values.packets)]
  const fleet = await startFleet(callThroughManifests({ listener, caller: [caller], called: [called] }))
  try {
    const uas = startSipp({ scenario: 'uas', local: called, limitSeconds: seconds + 60 })
    await uas.listening
    const flood = startFlood(packets)
    const uac = startSipp({
      ...{ scenario: 'uac-timed', local: caller, remote: `127.0.0.1:${listener}`, calls: rate * seconds },
      ...{ callsPerSecond: rate, holdMilliseconds: 1000, number: '+15550100', limitSeconds: seconds + 45 },
    })
    const result = await uac.done
    const sent = flood.stop()
    uas.stop()
    await uas.done
    const calls = rate * seconds
    return {
      calls,
      failed: calls - result.successful,
      retransmitted: result.retransmissions,
      junkPackets: sent.packets,
      junkPacketsPerSecond: Math.round(sent.packets / sent.seconds),
    }
  } finally {
    await fleet.stop()
  }
}

/** Sends evenly in slices of 5 ms; what a slow machine has left out, it sends in the next one. */
function startFlood(packetsPerSecond: number): { stop(): { packets: number; seconds: number } } {
  const socket = createSocket('udp4')
  const junk = junkPackets()
  const start = performance.now()
  let packets = 0
  socket.bind(0, stranger)
  const timer = setInterval(() => {
    const due = ((performance.now() - start) / 1000) * packetsPerSecond
    for (; packets < due; packets++) socket.send(junk[packets % junk.length] ?? '', listener, '127.0.0.1', () => {})
  }, 5)
  return {
    stop() {
      clearInterval(timer)
      socket.close()
      return { packets, seconds: (performance.now() - start) / 1000 }
    },
  }
}

function junkPackets(): Buffer[] {
  return Array.from({ length: 64 }, (_, at) => {
    const lines = [
      `Via: SIP/2.0/UDP ${stranger}:5060;branch=z9hG4bKjunk${at};rport`,
      `From: <sip:scan@${stranger}>;tag=junk${at}`,
      `To: <sip:1000@127.0.0.1>${at % 4 === 1 ? ';tag=x' : ''}`,
      `Call-ID: junk${at}@${stranger}`,
      'CSeq: 1 INVITE',
      `Contact: <sip:scan@${stranger}>`,
      'Max-Forwards: 70',
      'User-Agent: friendly-scanner',
      'Content-Length: 0',
    ].join('\r\n')
    const kinds = [
      `INVITE sip:1000@127.0.0.1 SIP/2.0\r\n${lines}\r\n\r\n`,
      `BYE sip:1000@127.0.0.1 SIP/2.0\r\n${lines.replace('1 INVITE', '1 BYE')}\r\n\r\n`,
      `SIP/2.0 200 OK\r\n${lines}\r\n\r\n`,
      Array.from({ length: 400 }, (_unused, byte) => String.fromCharCode((byte * 37 + at * 11) & 255)).join(''),
    ]
    return Buffer.from(kinds[at % kinds.length] ?? '', 'latin1')
  })
}
