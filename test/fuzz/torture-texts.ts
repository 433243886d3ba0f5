import { invalidMessages } from '../../dataplane/engine/testdata/torture-invalid.ts'
import { ipv6Messages } from '../../dataplane/engine/testdata/torture-ipv6.ts'
import { semanticMessages } from '../../dataplane/engine/testdata/torture-semantics.ts'
import { validMessages } from '../../dataplane/engine/testdata/torture-valid.ts'

/** The messages of RFC 4475 and RFC 5118. */
export const tortureTexts: readonly string[] = [
  ...validMessages,
  ...invalidMessages,
  ...semanticMessages,
  ...ipv6Messages,
].map(({ text }) => text)
