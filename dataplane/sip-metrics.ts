import type { Engine } from './engine/engine.types.ts'
import type { Family, Sample } from './metrics.ts'

/** Counters of the engine that become metrics, with the labels of what stands behind their name. */
const families: readonly {
  readonly counter: string
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
}[] = [
  {
    counter: 'received_requests',
    name: 'sbcfleet_sip_requests_received_total',
    help: 'Well-formed SIP requests received, retransmissions included, by method.',
    labels: ['method'],
  },
  {
    counter: 'sent_requests',
    name: 'sbcfleet_sip_requests_sent_total',
    help: 'SIP requests sent, retransmissions left out, by method.',
    labels: ['method'],
  },
  {
    counter: 'received_responses',
    name: 'sbcfleet_sip_responses_received_total',
    help: 'SIP responses received, retransmissions included, by method and status code; codes nobody registered by class.',
    labels: ['method', 'code'],
  },
  {
    counter: 'sent_responses',
    name: 'sbcfleet_sip_responses_sent_total',
    help: 'SIP responses sent, retransmissions left out, by method and status code; codes nobody registered by class.',
    labels: ['method', 'code'],
  },
  {
    counter: 'rejected_malformed',
    name: 'sbcfleet_sip_messages_malformed_total',
    help: 'Messages that are no SIP or break its grammar, by what is wrong; a trunk is told so, others get no answer.',
    labels: ['reason'],
  },
]

/** The other counters, by what they tell. */
const events: readonly {
  readonly name: string
  readonly help: string
  readonly label: string
  readonly counters: Readonly<Record<string, string>>
}[] = [
  {
    name: 'sbcfleet_sip_retransmissions_total',
    help: 'Messages sent again since nothing came back, and requests received again.',
    label: 'direction',
    counters: { retransmitted: 'sent', received_again: 'received' },
  },
  {
    name: 'sbcfleet_sip_messages_dropped_total',
    help: 'Messages that got no answer, by why.',
    label: 'cause',
    counters: {
      ignored_unknown_source: 'unknown_source',
      dropped_stranger_flood: 'flood_of_unknown_sources',
      dropped_known_flood: 'flood_of_a_trunk',
      stray_responses: 'stray_response',
      rejected_stream: 'no_sip_on_connection',
    },
  },
  {
    name: 'sbcfleet_sip_failures_total',
    help: 'What went wrong on the way of a message, by what.',
    label: 'kind',
    counters: {
      failed: 'internal_error',
      failed_connections: 'connection_not_opened',
      unsent_responses: 'response_not_sent',
      unsent_acks: 'ack_not_sent',
      acks_missing: 'ack_never_came',
      pracks_missing: 'prack_never_came',
      unanswered: 'request_never_answered',
    },
  },
  {
    name: 'sbcfleet_sip_calls_refused_total',
    help: 'INVITEs refused with 503 before any trunk was looked at, by why.',
    label: 'cause',
    counters: { refused_overload: 'overload' },
  },
]

const gauges: readonly {
  readonly name: string
  readonly help: string
  readonly samples: readonly (readonly [gauge: string, labels?: Readonly<Record<string, string>>])[]
}[] = [
  {
    name: 'sbcfleet_sip_transactions',
    help: 'SIP transactions alive now, those that only wait for retransmissions included, by role of the replica.',
    samples: [
      ['clientTransactions', { role: 'client' }],
      ['serverTransactions', { role: 'server' }],
    ],
  },
  {
    name: 'sbcfleet_sip_dialogs',
    help: 'SIP dialogs alive now, early ones included; a call has two.',
    samples: [['dialogs']],
  },
  {
    name: 'sbcfleet_sip_connections',
    help: 'Connections of TCP, TLS and WebSocket listeners open now.',
    samples: [['connections']],
  },
  { name: 'sbcfleet_sip_timers', help: 'Timers of the SIP engine that run now.', samples: [['timers']] },
  {
    name: 'sbcfleet_sip_applications',
    help: 'Applications the SIP engine serves: 1 unless the call logic has lost it.',
    samples: [['applications']],
  },
  {
    name: 'sbcfleet_sip_overloaded',
    help: '1 while new calls are refused since the replica cannot keep up.',
    samples: [['overloaded']],
  },
]

/** What can be told of a SIP engine; a server outside of the replica counts for itself, and has no counters here. */
export interface SipStatistics {
  readonly counters?: Engine['counters']
  gauges(): Readonly<Record<string, number>>
}

/**
 * What the engine counts and holds. A counter that nothing has been counted for is shown as 0 where its labels are known;
 * of an engine without counters only what is known is shown.
 */
export function sipFamilies(engine: SipStatistics): Family[] {
  const { counters } = engine
  if (counters === undefined) return heldFamilies(engine.gauges(), undefined)
  return [...countedFamilies(counters), ...heldFamilies(engine.gauges(), 0)]
}

function countedFamilies(counted: Engine['counters']): Family[] {
  return [
    ...families.map(({ counter, name, help, labels }): Family => ({
      ...{ name, help, type: 'counter' },
      samples: labelled(counted, counter, labels),
    })),
    ...events.map(({ name, help, label, counters }): Family => ({
      ...{ name, help, type: 'counter' },
      samples: Object.entries(counters).map(([counter, value]) => ({
        labels: { [label]: value },
        value: counted[counter] ?? 0,
      })),
    })),
  ]
}

function heldFamilies(held: Readonly<Record<string, number>>, otherwise: number | undefined): Family[] {
  return gauges.flatMap(({ name, help, samples }) => {
    const known = samples.flatMap(([gauge, labels]) => {
      const value = held[gauge] ?? otherwise
      return value === undefined ? [] : [{ ...(labels && { labels }), value }]
    })
    return known.length === 0 ? [] : [{ name, help, type: 'gauge' as const, samples: known }]
  })
}

/** The last label takes all that is left, since a reason has spaces of its own. */
function labelled(counters: Readonly<Record<string, number>>, counter: string, labels: readonly string[]): Sample[] {
  return Object.entries(counters)
    .filter(([key]) => key.startsWith(`${counter} `))
    .map(([key, value]) => {
      const parts = key.slice(counter.length + 1).split(' ')
      const values = labels.map((_, at) => (at < labels.length - 1 ? (parts[at] ?? '') : parts.slice(at).join(' ')))
      return { labels: Object.fromEntries(labels.map((label, at) => [label, values[at] ?? ''])), value }
    })
}
