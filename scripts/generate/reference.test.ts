import { describe, expect, it } from 'vitest'
import { reasons } from '#api/conditions.ts'
import { kinds, sipTrunkKind } from '#api/kinds.ts'
import { SipTrunk } from '#api/sip-trunk.ts'
import { editorSchemaText } from './editor-schema.ts'
import { conditionsPage, kindPage, wirePage } from './reference.ts'

describe('the reference', () => {
  const page = kindPage(sipTrunkKind)

  it('has a row for a field with its type, bounds, default and meaning', () => {
    expect(page).toContain('| `spec.dns.mode` | `SrvThenA`, `AOnly`, `NaptrSrvA` |  | `"SrvThenA"` |')
    expect(page).toContain('| `spec.keepalive.timeoutSeconds` | integer | 1–32 | `4` |')
    expect(page).toContain('| **`spec.targets[].name`** | string | RFC 1123 label; 1–63 characters |')
    expect(page).toContain('| `spec.targets[].transport` | `UDP`, `TCP`, `TLS`, `WS`, `WSS` |  | `"UDP"` |')
  })

  it('shows what SIP behaviour comes to when no level sets it', () => {
    expect(page).toContain('| `spec.sip.errors.keepaliveFailure` | integer | 400–699 | inherits; built in `503` |')
  })

  it('shows rules between fields', () => {
    expect(page).toContain(
      '- `spec.keepalive`: timeoutSeconds must be less than upIntervalSeconds and downIntervalSeconds.',
    )
  })

  it('leaves no field without a meaning', () => {
    for (const text of [...kinds.map(kindPage), wirePage()]) expect(text).not.toMatch(/\| \|$/m)
    for (const text of [...kinds.map(kindPage), wirePage()]) expect(text).not.toMatch(/\|  \|$/m)
  })

  it('has every reason of every condition', () => {
    const text = conditionsPage()
    for (const [type, meanings] of Object.entries(reasons)) {
      expect(text).toContain(`## ${type}\n`)
      for (const [reason, meaning] of Object.entries(meanings)) expect(text).toContain(`| \`${reason}\` | ${meaning} |`)
    }
  })

  it('never mistakes a bar in a cell for the end of it', () => {
    for (const line of page.split('\n').filter((one) => one.startsWith('| '))) {
      expect([3, 5]).toContain(line.replaceAll('\\|', '').split('|').length - 2)
    }
  })
})

describe('the schemas for editors', () => {
  const schema = JSON.parse(editorSchemaText(sipTrunkKind)) as Record<string, unknown>

  it('refuse unknown fields at every level, and say what is required', () => {
    const text = editorSchemaText(sipTrunkKind)
    const objects = text.match(/"properties"/g)?.length ?? 0
    const strict = text.match(/"additionalProperties": false/g)?.length ?? 0
    // Only metadata, of which most is none of our business, is open.
    expect(strict).toBe(objects - 1)
    expect(schema).toMatchObject({ required: ['apiVersion', 'kind', 'metadata', 'spec'] })
  })

  it('hold nothing that only Kubernetes or the reference understand', () => {
    expect(JSON.stringify(schema)).not.toMatch(/x-kubernetes|"form"/)
  })

  it('demand what the schema of the manifest demands', () => {
    const minimal = { apiVersion: 'sbcfleet.dev/v1alpha1', kind: 'SipTrunk', metadata: { name: 'a' } }
    expect(SipTrunk.safeParse(minimal).success).toBe(false)
    expect(
      SipTrunk.safeParse({
        ...minimal,
        spec: { voiceServiceRef: { name: 'edge' }, targets: [{ name: 'a', host: 'h' }] },
      }).success,
    ).toBe(true)
  })
})
