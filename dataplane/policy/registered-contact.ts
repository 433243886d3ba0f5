import type { TrunkConfig } from '#api/snapshot.ts'

/** An account that is registered under a Contact of ours. */
export interface RegisteredContact {
  readonly trunk: string
  /** User part of its address of record. */
  readonly number: string
}

/** Accounts by the user part of their Contact. */
export type ContactTable = ReadonlyMap<string, readonly RegisteredContact[]>

/** Every replica knows all Contacts, also those that another one has registered. Contacts of many numbers have no user. */
export function compileContacts(trunks: Iterable<TrunkConfig>): ContactTable {
  const table = new Map<string, RegisteredContact[]>()
  for (const { name: trunk, registrations } of trunks) {
    for (const { contactUser, number } of registrations) {
      if (contactUser === '') continue
      const contacts = table.get(contactUser) ?? []
      if (!contacts.some((contact) => contact.trunk === trunk && contact.number === number)) {
        contacts.push({ trunk, number })
      }
      table.set(contactUser, contacts)
    }
  }
  return table
}

/**
 * The number that was dialled. A registrar puts the Contact into the Request-URI (RFC 3261 section 16.5); where that is a
 * token of ours, the number it stands for is that of the account.
 */
export function numberOf(contacts: ContactTable, user: string): string {
  return contacts.get(user)?.[0]?.number ?? user
}
