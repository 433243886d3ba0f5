import { createHmac } from 'node:crypto'
import type { Account, Registrar, SecretManifest, SipTrunk } from '#api/sip-trunk.ts'
import type { RegistrationConfig } from '#api/snapshot.ts'
import { didYouMean } from '#lib/nearest.ts'
import { Secret } from '#lib/secret.ts'
import { placed, type Check, type Findings, type Part } from './check.ts'
import { hasListener, hostIsWellFormed, listenerTowards, type TrunkContext } from './listeners.ts'

type AccountContext = TrunkContext & { readonly registrars: readonly string[] }
type AccountPart = Part<Account, AccountContext>

const registrarChecks: readonly Check<Part<Registrar, TrunkContext>>[] = [
  hostIsWellFormed, // what is neither an address nor a name never answers
  hasListener, // REGISTER has to leave from somewhere
]

const accountChecks: readonly Check<AccountPart>[] = [
  secretExists, // the credentials are in a Secret of the trunk's namespace
  secretHasPassword, // a registrar that asks gets an answer
  registrarsExist, // a name that is not in the list registers nothing
  credentialsAreOneLine, // a line break is what `echo` adds, and never what was meant
]

/** Every account with every registrar; an account without credentials is left out, calls do not need it. */
export function compileRegistrations(trunk: SipTrunk, context: TrunkContext, findings: Findings): RegistrationConfig[] {
  const registration = trunk.spec.registration
  if (registration === undefined) return []
  const registrars = findings.sift(
    placed(registration.registrars, 'spec.registration.registrars'),
    context,
    registrarChecks,
  )
  const accountContext = { ...context, registrars: registration.registrars.map(({ name }) => name) }
  const accounts = findings.sift(
    placed(registration.accounts, 'spec.registration.accounts'),
    accountContext,
    accountChecks,
  )
  return accounts.flatMap(({ value: account }) => {
    const secret = context.secrets.get(account.secretRef.name)
    const password = secret === undefined ? undefined : credential(secret, 'password')
    if (secret === undefined || password === undefined) return []
    const username = credential(secret, 'username')?.reveal() ?? account.number
    const own = account.registrarNames
    const chosen = registrars.filter(({ value }) => own === undefined || own.includes(value.name))
    return chosen.flatMap(({ value: registrar }) => {
      const listener = listenerTowards(registrar, context.listeners)
      if (listener === undefined) return []
      const { name, ...peer } = registrar
      const { number, bulk, realm } = account
      return [
        {
          ...peer,
          account: account.name,
          registrar: name,
          listener: listener.name,
          number,
          contactUser: bulk ? '' : registration.randomContact ? contactToken(number, password) : number,
          bulk,
          retry: registration.retry,
          ...(realm === undefined ? {} : { realm }),
          username,
          password,
        },
      ]
    })
  })
}

/** Nobody guesses it, every replica and every control side make the same of it, and another password another one. */
function contactToken(number: string, password: Secret): string {
  return createHmac('sha256', password.reveal()).update(`contact ${number}`).digest('hex').slice(0, 20)
}

function registrarsExist({ value, context }: AccountPart) {
  const missing = value.registrarNames?.find((name) => !context.registrars.includes(name))
  if (missing === undefined) return undefined
  return {
    field: 'registrarNames',
    message: `there is no registrar "${missing}"${didYouMean(missing, context.registrars) || `; there are ${context.registrars.join(', ')}`}`,
  }
}

function secretExists({ value, context }: AccountPart) {
  const { name } = value.secretRef
  if (context.secrets.has(name)) return undefined
  return {
    field: 'secretRef.name',
    unresolved: 'SecretNotFound' as const,
    missing: `Secret ${context.namespace}/${name}`,
    message: `Secret ${context.namespace}/${name} does not exist; create it with the key "password"`,
  }
}

function secretHasPassword({ value, context }: AccountPart) {
  const { name } = value.secretRef
  const secret = context.secrets.get(name)
  const password = secret === undefined ? undefined : credential(secret, 'password')
  if (password !== undefined && password.reveal() !== '') return undefined
  return {
    field: 'secretRef.name',
    unresolved: 'SecretKeyMissing' as const,
    message: `Secret ${context.namespace}/${name} has ${password === undefined ? 'no key "password"' : 'an empty "password"'}; put the digest password there`,
  }
}

function credentialsAreOneLine({ value, context }: AccountPart) {
  const { name } = value.secretRef
  const secret = context.secrets.get(name)
  for (const key of ['username', 'password']) {
    const text = secret === undefined ? undefined : credential(secret, key)?.reveal()
    if (text === undefined || !hasControlCharacter(text)) continue
    return {
      field: 'secretRef.name',
      unresolved: 'SecretKeyMissing' as const,
      message: `Secret ${context.namespace}/${name} has a line break or control character in "${key}"; write it without, as with "echo -n"`,
    }
  }
  return undefined
}

function hasControlCharacter(text: string): boolean {
  return Array.from(text).some((character) => character < ' ' || character === '\u007f')
}

function credential(secret: SecretManifest, key: string): Secret | undefined {
  const plain = secret.stringData?.[key]
  if (plain !== undefined) return new Secret(plain)
  const encoded = secret.data?.[key]
  return encoded === undefined ? undefined : new Secret(Buffer.from(encoded, 'base64').toString('utf8'))
}
