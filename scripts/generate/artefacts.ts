import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { group, kinds, sipTrunkKind, version, voiceServiceKind } from '#api/kinds.ts'
import { crdText } from './crd.ts'
import { editorSchemaText } from './editor-schema.ts'
import { conditionsPage, kindPage, wirePage } from './reference.ts'

/** Folders that hold nothing but what is generated. */
export const generatedFolders = [
  'crds',
  'charts/sbcfleet/files/crds',
  'charts/sbcfleet/files/alerts',
  'docs/reference',
  'docs/schemas',
]

/** Everything that is made from `api/`: path from the root of the project, and text. */
export function artefacts(): Map<string, string> {
  return new Map([
    ...kinds.map((kind): [string, string] => [`crds/${group}_${kind.plural}.yaml`, crdText(kind)]),
    // Helm reads nothing outside of a chart.
    ...kinds.map((kind): [string, string] => [`charts/sbcfleet/files/crds/${kind.plural}.yaml`, crdText(kind)]),
    ...kinds.map((kind): [string, string] => [`docs/schemas/${kind.singular}_${version}.json`, editorSchemaText(kind)]),
    [
      'charts/sbcfleet/files/alerts/fleets.yaml',
      readFileSync(join(import.meta.dirname, '../../docs/alerts.yaml'), 'utf8'),
    ],
    ['docs/reference/voice-service.md', kindPage(voiceServiceKind)],
    ['docs/reference/sip-trunk.md', kindPage(sipTrunkKind)],
    ['docs/reference/conditions.md', conditionsPage()],
    ['docs/reference/wire-protocol.md', wirePage()],
  ])
}
