import { describe, expect, inject, it, onTestFailed, onTestFinished } from 'vitest'
import { SipTrunk } from '#api/sip-trunk.ts'
import { systemClock } from '#lib/clock.ts'
import { createLog } from '#lib/log.ts'
import { compile } from '../../operator/compile/compile.ts'
import { sharedToken } from '../../operator/push/authenticate.ts'
import { PushServer } from '../../operator/push/push-server.ts'
import { answerWith, requestText, SipPeer } from '../engine/sip-peer.ts'
import { worldOf } from '../replica/manifests.ts'
import { ReplicaProcess } from '../replica/replica-process.ts'
import { freePorts } from '../sip/free-port.ts'
import { startKnot } from './knot.ts'

const fleet = 'voice/edge'
const token = 'a token of the test'

async function peer(): Promise<SipPeer> {
  const opened = await SipPeer.udp()
  onTestFinished(() => opened.close())
  return opened
}

/** A fleet whose carrier is `sip.carrier.test`, without a port. */
async function snapshotOf(pbx: SipPeer) {
  const [port = 0] = await freePorts(1)
  const world = worldOf({ port, pbx: pbx.port, carrier: 9 })
  const carrier = SipTrunk.parse({
    ...world.trunks[1],
    spec: { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'a', host: 'sip.carrier.test' }] },
  })
  const { snapshot } = compile({ ...world, trunks: [...world.trunks.slice(0, 1), carrier] })
  return { port, snapshot }
}

describe.skipIf(!inject('peers').knotd)('a replica that is given a DNS server', () => {
  it('finds the servers of a manifest without port, takes a call over to the next, and reports them', async () => {
    const [pbx, busy, second] = [await peer(), await peer(), await peer()]
    const knot = await startKnot([
      `_sip._udp.sip 60 SRV 10 0 ${busy.port} here`,
      `_sip._udp.sip 60 SRV 20 0 ${second.port} here`,
      'here 60 A 127.0.0.1',
    ])
    onTestFinished(() => knot.close())
    const log = createLog({ level: 'error', name: 'test', write: () => undefined })
    const server = new PushServer({ clock: systemClock, log, authenticate: sharedToken(token), epoch: 1 })
    onTestFinished(() => server.close())
    const { url } = await server.listen({ host: '127.0.0.1', port: 0 })
    const { port, snapshot } = await snapshotOf(pbx)
    server.publish(snapshot, { replicas: 1 })
    const replica = new ReplicaProcess({
      SBCFLEET_FLEET: fleet,
      SBCFLEET_REPLICA: 'edge-0',
      SBCFLEET_CONTROL_URLS: url,
      SBCFLEET_TOKEN: token,
      SBCFLEET_ADDRESSES: '127.0.0.1',
      SBCFLEET_DNS_SERVERS: `127.0.0.1:${knot.server.port}`,
    })
    onTestFinished(async () => {
      replica.kill('SIGKILL')
      await replica.exited
    })
    onTestFailed(() => void process.stderr.write(`${replica.describe()}\n`))

    for (const gateway of [busy, second]) answerWith(await gateway.request('OPTIONS'), { status: 200 })
    const reported = new Promise<readonly string[]>((resolve) => {
      const look = () => {
        const [state] = server.replicas(fleet)
        const target = state?.report?.targets.find(({ trunk }) => trunk === 'carrier')
        if (target?.state === 'Up' && target.endpoints !== undefined) resolve(target.endpoints)
      }
      server.onChange(look)
      look()
    })
    expect(await reported).toEqual([`127.0.0.1:${busy.port}`, `127.0.0.1:${second.port}`].sort())

    pbx.send(requestText(pbx, { method: 'INVITE', uri: `sip:+15550100@127.0.0.1:${port}`, callId: 'one' }), port)
    answerWith(await busy.request('INVITE'), { status: 503 })
    const invite = await second.request('INVITE')
    expect(invite.message.uri).toBe('sip:+15550100@sip.carrier.test')
    answerWith(invite, { status: 486, toTag: 'b' })
    await pbx.response(486, 'INVITE')
  })
})
