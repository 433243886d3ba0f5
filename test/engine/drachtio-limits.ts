/**
 * What drachtio-server cannot do, by the rows of docs/engines.md, each with the ends of the names of the tests that show
 * what the built-in engine does there. These tests are not run on drachtio-server.
 */
const limits: Readonly<Record<string, readonly string[]>> = {
  'Session timers': [
    'check 1: PassThrough: a refresh reaches the callee with SE, refresher and the same o=, and its 200 comes back',
    'check 5: without description, with SE: the session timer starts anew',
    'check 2: with a session timer nobody is asked, unless that is wanted',
    'a re-INVITE refreshes the session end to end, with its session timer headers (RFC 4028 section 7.4)',
  ],
  'Time of transactions': [
    'gives the caller 408 when nobody is there',
    'check 6: no answer: the call is cleared after 32 s',
    'of a call whose ACK never comes: BYE to both (RFC 3261 section 13.3.1.4)',
    'a 200 whose ACK is lost comes again, once the ACK is there the offer of the other side goes on (RFC 3261 section 13.3.1.4)',
    'that nobody answers get a 408 that is marked as made here (RFC 3261 section 8.1.3.1)',
    'with FirstAvailable goes to the second registrar only after the first has said nothing for its time (registrars check 3)',
    'that nobody answers ends with its own time, and is not sent on until Timer F (RFC 3261 section 17.1.2.2)',
  ],
  'Why something failed': ['over TCP to a port where nobody listens fails before its time is over'],
  'Which listener a request leaves from': ['leaves from the listener of the target, and shows its address only'],
  IPv6: ['a call over UDP on ::1 is set up, refreshed and released'],
  'Silence for strangers': ['answers nobody it does not know (feature item 29.4)'],
  'CANCEL of another branch': ['a CANCEL of another branch cancels nothing'],
  'CANCEL of a re-INVITE': [
    'of a re-INVITE leaves the call up',
    'goes on with what was agreed when a re-INVITE is cancelled',
  ],
  'UPDATE before the answer': ['UPDATE goes through before the answer, too, both ways (RFC 3311 section 5.1)'],
  Forks: [
    'hides that the callee forks: one To tag for the caller, ACK and BYE for a late 200 (RFC 3261 section 13.2.2.4; feature item 1, check 7)',
  ],
  'A new Contact inside a call': [
    'check 6: a new Contact in UPDATE is where the BYE goes',
    'a re-INVITE moves media and Contact, and the BYE goes there (RFC 3665 section 3.7)',
  ],
  'CANCEL that crosses with the 200': ['the CANCEL crosses with the 200: ACK, then BYE (RFC 3261 section 9.1)'],
  'Routes of our own': [
    'takes the Service-Route that the registrar gave, on its way to the target (RFC 3608 section 5)',
  ],
}

/** The rows that tests are about. */
export const rows = Object.keys(limits)

/** The row that says why a test is not run on drachtio-server; undefined when it is. */
export function rowOf(fullTestName: string): string | undefined {
  const name = fullTestName.replaceAll(' > ', ' ')
  return rows.find((row) => limits[row]?.some((end) => name.endsWith(end)))
}
