import { describe, expect, it } from 'vitest'
import { binding, carrierOf, now, registration, replica, spell, trunk } from './testing/fleet.ts'

describe('Registered', () => {
  const trunks = [trunk('carrier', { registration })]

  it.each<[string, Parameters<typeof binding>[], string]>([
    [
      'all are in place',
      [
        ['main', 'Registered'],
        ['fax', 'Registered'],
      ],
      'True Registered: 2 of 2 registrations in place.',
    ],
    [
      'nothing was answered yet',
      [['main', 'Pending']],
      'Unknown Pending: 0 of 2 registrations in place; the others have not been answered yet',
    ],
    [
      'one is in place and the other is refused',
      [
        ['main', 'Registered'],
        ['fax', 'Unregistered', { lastCode: 403, failure: 'AuthFailed' }],
      ],
      'False Partial: 1 of 2 registrations in place; fax with primary from edge-0: last answer 403',
    ],
    [
      'credentials are wrong and another registrar is silent',
      [
        ['main', 'Unregistered', { failure: 'NoAnswer' }],
        ['fax', 'Unregistered', { failure: 'AuthFailed', lastCode: 401 }],
      ],
      'False AuthFailed: 0 of 2 registrations in place; main with primary from edge-0: no answer; fax with primary from edge-0: last answer 401',
    ],
    [
      'no registrar answers',
      [
        ['main', 'Unregistered', { failure: 'NoAnswer' }],
        ['fax', 'Unregistered', { failure: 'NoAnswer' }],
      ],
      'False NoAnswer: 0 of 2 registrations in place; main with primary from edge-0: no answer; fax with primary from edge-0: no answer',
    ],
    [
      'a registrar refuses for another reason',
      [
        ['main', 'Unregistered', { failure: 'Rejected', detail: '404 Not Found' }],
        ['fax', 'Pending'],
      ],
      'False Unregistered: 0 of 2 registrations in place; main with primary from edge-0: 404 Not Found',
    ],
  ])('when %s', (_what, bindings, message) => {
    const registrations = bindings.map((each) => binding(...each))
    const replicas = [replica('edge-0', { report: { registrations } }), replica('edge-1')]
    expect(spell(carrierOf({ trunks, replicas }).conditions, 'Registered')).toBe(message)
  })

  it('is not asked when the trunk has no registration', () => {
    const status = carrierOf({})
    expect(spell(status.conditions, 'Registered')).toMatch(/^Unknown NotConfigured/)
    expect(status.registrations).toBeUndefined()
  })

  it('takes the binding that is in place while an account moves, and shows those in trouble first', () => {
    const expiresAt = now + 60_000
    const replicas = [
      replica('edge-0', { report: { registrations: [binding('main', 'Unregistered')] } }),
      replica('edge-1', {
        report: {
          registrations: [binding('main', 'Registered', { expiresAt, lastCode: 200 }), binding('fax', 'Unregistered')],
        },
      }),
    ]
    expect(carrierOf({ trunks, replicas }).registrations).toEqual([
      {
        account: 'fax',
        registrar: 'primary',
        state: 'Unregistered',
        lastTransitionTime: '2026-01-01T11:59:00.000Z',
        replica: 'edge-1',
      },
      {
        account: 'main',
        registrar: 'primary',
        state: 'Registered',
        lastTransitionTime: '2026-01-01T11:59:00.000Z',
        lastCode: 200,
        expirationTime: '2026-01-01T12:01:00.000Z',
        replica: 'edge-1',
      },
    ])
  })

  it('says of a binding that was not renewed in time when it lapsed, and not that the last answer was good', () => {
    const registrations = [binding('main', 'Unregistered', { lastCode: 200 }), binding('fax', 'Registered')]
    const status = carrierOf({ trunks, replicas: [replica('edge-0', { report: { registrations } })] })
    const lapsed = 'lapsed at 2026-01-01T11:59:00.000Z'
    expect(spell(status.conditions, 'Registered')).toContain(`main with primary from edge-0: ${lapsed}`)
    expect(status.registrations?.[0]).toMatchObject({ account: 'main', message: lapsed, lastCode: 200 })
  })

  it('shows no more than 64 registrations', () => {
    const accounts = Array.from({ length: 100 }, (_, index) => ({
      name: `account-${index}`,
      number: `${index}`,
      secretRef: { name: 'secret' },
    }))
    const many = [trunk('carrier', { registration: { ...registration, accounts } })]
    const registrations = accounts.map(({ name }) =>
      binding(name, name === 'account-99' ? 'Unregistered' : 'Registered'),
    )
    const status = carrierOf({ trunks: many, replicas: [replica('edge-0', { report: { registrations } })] })
    expect(status.registrations).toHaveLength(64)
    expect(status.registrations?.[0]?.account).toBe('account-99')
  })

  it('is True and Partial while one registrar of two is down, since every account is found (registrars check 2)', () => {
    const two = {
      ...registration,
      registrars: ['primary', 'second'].map((name) => ({ name, host: `${name}.example` })),
    }
    const registrations = [
      binding('main', 'Registered'),
      binding('fax', 'Registered'),
      ...['main', 'fax'].map((account) =>
        binding(account, 'Unregistered', { registrar: 'second', lastCode: 503, detail: '503 Service Unavailable' }),
      ),
    ]
    const status = carrierOf({
      trunks: [trunk('carrier', { registration: two })],
      replicas: [replica('edge-0', { report: { registrations } })],
    })
    expect(spell(status.conditions, 'Registered')).toMatch(/^True Partial: 2 of 4 registrations in place/)
  })

  it('does not count registrars that stand by', () => {
    const registrations = [
      binding('main', 'Registered'),
      binding('fax', 'Registered'),
      binding('main', 'Standby', { registrar: 'second' }),
      binding('fax', 'Standby', { registrar: 'second' }),
    ]
    const two = {
      ...registration,
      registrars: ['primary', 'second'].map((name) => ({ name, host: `${name}.example` })),
    }
    const status = carrierOf({
      trunks: [trunk('carrier', { registration: two })],
      replicas: [replica('edge-0', { report: { registrations } })],
    })
    expect(spell(status.conditions, 'Registered')).toMatch(/^True Registered: 2 of 2/)
  })
})
