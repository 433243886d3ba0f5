import { createHmac } from 'node:crypto'
import type { Account, Registrar, SipTrunk } from '#api/sip-trunk.ts'
import type { RegistrationConfig } from '#api/snapshot.ts'
import { didYouMean } from '#lib/nearest.ts'
import type { Secret } from '#lib/secret.ts'
import { placed, type Check, type Findings, type Part } from './check.ts'
import { digestChecks, readDigest } from './digest-secret.ts'
import { located } from './located.ts'
import { hasListener, hostIsWellFormed, listenerTowards, type TrunkContext } from './listeners.ts'

type AccountContext = TrunkContext & { readonly registrars: readonly string[] }
type AccountPart = Part<Account, AccountContext>

const registrarChecks: readonly Check<Part<Registrar, TrunkContext>>[] = [
  hostIsWellFormed, // what is neither an address nor a name never answers
  hasListener, // REGISTER has to leave from somewhere
]

const accountChecks: readonly Check<AccountPart>[] = [
  ...digestChecks, // a registrar that asks gets an answer
  registrarsExist, // a name that is not in the list registers nothing
]

/** Every account with every registrar; an account without credentials is left out, calls do not need it. */
export function compileRegistrations(trunk: SipTrunk, context: TrunkContext, findings: Findings): RegistrationConfig[] {
  const registration = trunk.spec.registration
  if (registration === undefined) return []
  const registrars = findings.sift(
    placed(registration.registrars, 'spec.registration.registrars').map((part) => ({
      ...part,
      value: located(part.value, trunk.spec.dns.mode),
    })),
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
    const credentials = readDigest(account.secretRef.name, account.number, context)
    if (credentials === undefined) return []
    const { username, password } = credentials
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
