import { describe, expect, it } from 'vitest'
import type { Body, HeaderList } from '../sip/port.ts'
import { createScenario, far, farSdp, near, type Scenario, sdp } from './testing/scenario.ts'

/** Every way a call can go, each as far as it sends something to the other side. */
const courses: Readonly<Record<string, (scenario: Scenario) => void>> = {
  'answered, then released by the caller': ({ connect, fromA }) => {
    fromA(connect().invite, 'BYE', { headers: [['Reason', `SIP;cause=200;text="at ${near.host}"`]] })
  },
  'answered, then released by the callee': ({ connect, fromB }) => {
    fromB(connect().b, 'BYE', { headers: [...far.headers, ['Reason', `Q.850;cause=16;text="${far.host}"`]] })
  },
  'early media, forked': ({ sip, invite }) => {
    invite()
    for (const toTag of ['b1', 'b2'])
      sip.last('INVITE').respond(183, { body: farSdp('5000'), headers: far.headers, toTag })
    sip.last('INVITE').respond(200, { body: farSdp('5002'), headers: far.headers, toTag: 'b2' })
  },
  'late offer': ({ sip, invite, ack }) => {
    const a = invite({ body: 'none' })
    sip.last('INVITE').respond(200, { body: farSdp('5000'), headers: far.headers })
    ack(a, sdp('4000'))
  },
  'every header a caller may send': ({ invite }) => {
    invite({ headers: [...chatty(near.host), ['P-Asserted-Identity', `"Alice" <sip:1000@${near.host}>`]] })
  },
  'a caller who keeps the identity private': ({ invite }) => {
    invite({
      headers: [
        ['Privacy', 'id'],
        ['P-Asserted-Identity', `<sip:1000@${near.host}>`],
      ],
    })
  },
  'refused, with every header a callee may send': ({ sip, invite }) => {
    invite()
    sip
      .last('INVITE')
      .respond(486, { headers: [...far.headers, ...chatty(far.host), ['Retry-After', `5 (${far.host})`]] })
  },
  redirected: ({ sip, invite }) => {
    invite()
    sip.last('INVITE').respond(302, { headers: far.headers })
  },
  challenged: ({ sip, invite }) => {
    invite()
    sip.last('INVITE').respond(401, { headers: [['WWW-Authenticate', `Digest realm="${far.host}", nonce="1"`]] })
  },
  'hunted over three targets': ({ sip, invite }) => {
    invite()
    for (let i = 0; i < 3; i++) sip.last('INVITE').respond(503, { headers: far.headers })
  },
  cancelled: ({ sip, invite }) => {
    const a = invite()
    sip.last('INVITE').respond(180, { headers: far.headers })
    a.cancel([['Reason', `SIP;cause=200;text="${near.signalling}"`]])
  },
  'requests of the caller inside the call': ({ sip, connect, fromA, ack }) => {
    const { invite } = connect()
    for (const method of ['UPDATE', 'INFO', 'INVITE']) {
      const request = fromA(invite, method, { headers: chatty(near.host), body: sdp('4002', 2) })
      sip.last(method).respond(200, { headers: [...far.headers, ...chatty(far.host)], body: farSdp('5002', 2) })
      if (method === 'INVITE') ack(request)
    }
  },
  'requests of the callee inside the call': ({ sip, connect, fromB }) => {
    const { b } = connect()
    for (const method of ['UPDATE', 'INFO', 'INVITE']) {
      fromB(b, method, { headers: [...far.headers, ...chatty(far.host)], body: farSdp('5002', 2) })
      sip.last(method).respond(200, { headers: [...nearAnswer, ...chatty(near.host)], body: sdp('4002', 2) })
    }
  },
  'a re-INVITE that is taken back': ({ sip, connect, fromA }) => {
    const again = fromA(connect().invite, 'INVITE', { body: sdp('4002', 2) })
    again.cancel()
    sip.last('INVITE').respond(200, { body: farSdp('5002', 2), headers: far.headers })
  },
}

const nearAnswer: HeaderList = [
  ['Contact', `<sip:1000@${near.signalling}>`],
  ['Server', 'NearPBX/1.0'],
  ['Warning', `399 ${near.host} "near"`],
]

/** Headers that could name a host, known ones and unknown ones. */
function chatty(host: string): HeaderList {
  return [
    ['Alert-Info', `<http://${host}/ring.wav>;info=alert-internal`],
    ['Call-Info', `<http://${host}/card>;purpose=card`],
    ['Error-Info', `<http://${host}/error.wav>`],
    ['Diversion', `<sip:3000@${host}>;reason=unconditional`],
    ['History-Info', `<sip:3000@${host}>;index=1`],
    ['Referred-By', `<sip:3000@${host}>`],
    ['Remote-Party-ID', `<sip:3000@${host}>;party=calling`],
    ['Reply-To', `<sip:3000@${host}>`],
    ['Organization', host],
    ['P-Charging-Vector', `icid-value=1;orig-ioi=${host}`],
    ['P-Access-Network-Info', `IEEE-802.11;i-wlan-node-id=${host}`],
    ['Path', `<sip:${host};lr>`],
    ['Service-Route', `<sip:${host};lr>`],
    ['Identity', `abc;info=<https://${host}/cert>`],
    ['Geolocation', `<https://${host}/location>`],
    ['Session-ID', host],
    ['X-Anything', host],
    ['Unheard-Of', host],
  ]
}

/** All that went to one side, as text: what was sent there, and what its requests were answered with. */
function sentTo(side: 'near' | 'far', { sip }: Scenario): string {
  const isNear = (dialogId: string | undefined) => dialogId?.startsWith('dialog-in') ?? true
  const requests = sip.sent.filter(
    ({ request }) => (request.dialogId !== undefined && isNear(request.dialogId)) === (side === 'near'),
  )
  const answers = sip.received.filter(({ dialogId }) => isNear(dialogId) === (side === 'near'))
  return [
    ...requests.flatMap(({ request, acks, cancelled = [] }) => [
      request.uri ?? '',
      text(request.headers, request.body),
      text(cancelled, undefined),
      ...acks.map(({ body }) => text([], body)),
    ]),
    ...answers.flatMap(({ answers }) => answers.map((answer) => text(answer.headers ?? [], answer.body))),
  ].join('\n')
}

function text(headers: HeaderList, body: Body | undefined): string {
  return [...headers.map(([name, value]) => `${name}: ${value}`), body?.content ?? ''].join('\n')
}

/** Lines of a session description that say where media goes, which is what both sides must know. */
const mediaLine = /^(c=|m=|a=).*$/gm

describe.each(Object.entries(courses))('a call that is %s', (_name, run) => {
  it('shows the far side nothing of the near one', () => {
    const scenario = createScenario()
    run(scenario)
    const sent = sentTo('far', scenario)
    expect(sent).not.toBe('')
    expect(sent.replace(mediaLine, '')).not.toMatch(/10\.66\.|corp\.example|near/i)
  })

  it('shows the near side nothing of the far one', () => {
    const scenario = createScenario()
    run(scenario)
    const sent = sentTo('near', scenario)
    expect(sent.replace(mediaLine, '')).not.toMatch(/198\.51\.100\.|gateway\.example|far/i)
  })

  it('gives each side its own tag', () => {
    const scenario = createScenario()
    run(scenario)
    const tags = new Set(scenario.sip.received.flatMap(({ answers }) => answers.flatMap(({ toTag }) => toTag ?? [])))
    expect([...tags].filter((tag) => ['b1', 'b2', 'remote', 'near-tag'].includes(tag))).toEqual([])
  })
})

it('media goes around the fleet: each side gets the address of the other to send to', () => {
  const scenario = createScenario()
  scenario.connect()
  expect(sentTo('far', scenario)).toContain(`c=IN IP4 ${near.media}`)
  expect(sentTo('near', scenario)).toContain(`c=IN IP4 ${far.media}`)
})
