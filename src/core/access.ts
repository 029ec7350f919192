import type { Person, Platform } from './command.ts'

export type Role = { allow: readonly string[]; inherits?: string | undefined }

export type Access = {
  people: readonly Person[]
  roles: Readonly<Record<string, Role>>
}

/**
 * Everyone may ask for help: it tells the unknown how to be linked. To agree or deny needs no right of its own either: both
 * check whether the person may run what was asked, or is on call.
 */
const ALWAYS = ['help', 'approve', 'deny']

/**
 * Commands that come with another: who may acknowledge may also take over and leave a note; what only shows comes with what
 * shows. Who may stop an operation is checked against what it does.
 */
const IMPLIED: Readonly<Record<string, string>> = {
  take: 'ack',
  note: 'ack',
  unsilence: 'silence',
  operations: 'status',
  conflicts: 'status',
  checklist: 'show',
  console: 'status',
  cancel: 'reconcile',
}

/** Whether a role allows a command, its inherited roles included; a circle of roles ends. */
export function roleAllows(access: Access, role: string, command: string): boolean {
  const seen = new Set<string>()
  for (let name: string | undefined = role; name !== undefined && !seen.has(name); ) {
    seen.add(name)
    const found: Role | undefined = Object.hasOwn(access.roles, name) ? access.roles[name] : undefined
    const allow = found?.allow ?? []
    if (['*', command, IMPLIED[command] ?? command].some((one) => allow.includes(one))) return true
    name = found?.inherits
  }
  return false
}

export function mayRun(access: Access, person: Person, command: string): boolean {
  return ALWAYS.includes(command) || person.roles.some((role) => roleAllows(access, role, command))
}

/** Roles that may run a command, for the text of a refusal. */
export function rolesFor(access: Access, command: string): string[] {
  return Object.keys(access.roles).filter((role) => roleAllows(access, role, command))
}

/** The person behind a platform's user id; null when nobody is linked to it. Names count on the terminal and over HTTP. */
export function personOf(access: Access, via: Platform, user: string): Person | null {
  const matches = (person: Person): boolean => {
    if (via === 'slack') return person.slack === user
    if (via === 'telegram') return person.telegram === user
    if (via === 'pagerduty') return person.pagerduty === user
    return person.name === user
  }
  return user === '' ? null : (access.people.find(matches) ?? null)
}
