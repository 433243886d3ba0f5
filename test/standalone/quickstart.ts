import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '../sip/free-port.ts'

const directory = join(import.meta.dirname, '../../examples/quickstart')

export interface Quickstart {
  /** Text by file name. */
  readonly manifests: Record<string, string>
  readonly ports: { readonly inside: number; readonly outside: number; readonly pbx: number; readonly carrier: number }
}

/** The quickstart on ports that were free a moment ago. */
export async function quickstartOnFreePorts(): Promise<Quickstart> {
  const [inside = 0, outside = 0, pbx = 0, carrier = 0] = await freePorts(4)
  const moved: Record<string, number> = { 5060: inside, 5080: outside, 5090: pbx, 5070: carrier }
  const manifests = Object.fromEntries(
    readdirSync(directory).map((file) => {
      const text = readFileSync(join(directory, file), 'utf8')
      return [file, text.replaceAll(/port: (\d+)/g, (whole, port: string) => `port: ${moved[port] ?? whole}`)]
    }),
  )
  return { manifests, ports: { inside, outside, pbx, carrier } }
}
