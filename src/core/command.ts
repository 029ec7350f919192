import type { ZodType } from 'zod'
import type { Approval } from './chatops.ts'
import type { Json } from './delivery.ts'
import type { Draft, Incident } from './incident.ts'
import type { Policy } from './policy.ts'
import type { Reads, Tx } from './store.ts'
import type { TransitionRules } from './transitions.ts'
import type { EdgeChange } from './triage.ts'
import type { NewRun, WorkflowRun, WorkflowServices } from './workflow.ts'

/** Someone who may do something, and who they are on each platform. */
export type Person = {
  name: string
  roles: readonly string[]
  slack: string | null
  telegram: string | null
  pagerduty: string | null
}

export type Platform = 'slack' | 'telegram' | 'pagerduty' | 'terminal' | 'http' | 'console' | 'claw'

/** A button under a reply or an incident's message. Pressing it runs `command` as if typed. */
export type Button = {
  label: string
  /** e.g. `ack 12` */
  command: string
  style: 'primary' | 'danger' | 'plain'
}

/**
 * What a command answers: plain text that each platform escapes and lays out. The first line matters most; the last says
 * what to do next.
 */
export type Reply = {
  /** false: the answer is no (exit 1, HTTP `code`) */
  ok: boolean
  /** why not, for the HTTP status and the exit code; null when ok */
  code: 'invalid' | 'forbidden' | 'not_found' | 'conflict' | 'unavailable' | null
  /** one line */
  summary: string
  /** further lines */
  lines: string[]
  /** shown in a fixed-width block; rows of equal length */
  table: { head: string[]; rows: string[][] } | null
  buttons: Button[]
  /** the same for programs (HTTP, `--json`) */
  data: Json
  /** a way to somewhere, where the platform makes links; lines never become any */
  link?: { label: string; url: string }
  /** the incident that it is about */
  incident: number | null
}

/** A reply in short: `reply('Acknowledged.')`, `refusal('conflict', '…')`. */
export function reply(summary: string, more: Partial<Omit<Reply, 'ok' | 'code' | 'summary'>> = {}): Reply {
  return { ok: true, code: null, summary, lines: [], table: null, buttons: [], data: null, incident: null, ...more }
}

export function refusal(code: NonNullable<Reply['code']>, summary: string, lines: string[] = []): Reply {
  return { ok: false, code, summary, lines, table: null, buttons: [], data: null, incident: null }
}

/** How an argument is taken from the typed words, in order. */
export type Parameter = {
  name: string
  /** may be left out */
  optional?: boolean
  /** takes all words that are left, as one text */
  rest?: boolean
  /** an incident id that a thread or button may already tell */
  incident?: boolean
}

export type CommandContext = {
  person: Person
  via: Platform
  now: number
  policy: Policy
  /** incident whose thread or message the command was typed in; null elsewhere */
  incident: number | null
  /** reason given with `--override` (commander) or `--break-glass`; null for none */
  override: string | null
  /** where the answer goes; null when the caller waits for it */
  replyTo: CommandRequest['replyTo']
  /** whether a person may run a command, by their roles */
  may: (person: string, command: string) => boolean
  /**
   * Changes an incident within the command's transaction: stores it with its story, wakes its deliveries.
   * @throws ClawError('not_found')
   */
  change: <T>(tx: Tx, incident: number, work: (draft: Draft, rules: TransitionRules) => T) => Promise<T>
  /**
   * Starts a workflow within the command's transaction, in this person's name. It reports in `incident`; when that is left out,
   * in the newest open incident that touches its regions (contract.md, section 8).
   * @returns the run, or the one that is in its way: nothing was started then
   */
  start: (
    tx: Tx,
    run: Pick<NewRun, 'kind' | 'input' | 'title' | 'regions'> & { incident?: number | null },
  ) => Promise<{ run: WorkflowRun; busy: null } | { run: null; busy: WorkflowRun }>
}

/** A stored question whose command is ready to run. */
export type PreparedApproval = {
  approval: Approval
  /** runs the command in the name of the one who asked; marks the approval granted, tells the asker */
  grant: (tx: Tx, agreed: readonly string[]) => Promise<Reply>
}

/** What commands may ask of the outside before they decide; never changes anything. Each answers within 2 s. */
export type Services = {
  /** each region's health, from the edge; cached, with its age */
  regions(): Promise<RegionsAnswer>
  /** who is on call, from PagerDuty; null when it cannot be asked */
  onCall(): Promise<{ level: number; name: string; policy: string; until: number | null }[] | null>
  /** an incident as stored, for previews; null when there is none of this number */
  incident(id: number): Promise<Incident | null>
  /** an open question with its command prepared; null when there is none of this number */
  approval(id: number): Promise<PreparedApproval | null>
  /** the commands there are, for help */
  commands(): readonly CommandSpec[]
  /** the highest-ranking thing to know: when paging was last proven, heartbeats, dead letters */
  vitals(): Promise<{
    pagingProvenAt: number | null
    heartbeatAge: number | null
    deadLetters: number
    waiting: number
  }>
  /** alerts that fire now and match: for the preview of a silence */
  matching(matchers: string): Promise<{ alerts: number; regions: string[]; critical: number }>
  /** Markdown of the post-mortem */
  postmortem(incident: number): Promise<string | null>
  /** edge, traffic switch, cluster and Prometheus, for pre-flight checks and previews; give each call a time-out below 2 s */
  outside(): WorkflowServices
  /** what changed on the edge lately, newest last */
  changes(): readonly EdgeChange[]
  /** what is stored, outside of a transaction */
  reads: Reads
  /** how people reach Claw; null when it is not configured */
  publicUrl(): string | null
}

export type RegionStatus = {
  region: string
  healthy: boolean | null
  receiving: boolean | null
  ratio: number | null
  syncLagSeconds: number | null
  conflictsPerMinute: number | null
  requestRate: number | null
  p95Seconds: number | null
  errorRatio: number | null
  canaryWeight: number | null
  version: string | null
}

export type RegionsAnswer = {
  regions: RegionStatus[]
  /** when the edge said so, ms; null when it never did */
  at: number | null
  /** why it is not fresh; null when it is */
  problem: string | null
  configured: boolean
}

/**
 * A command is data: `handlers/commands` defines each once, and Slack, Telegram, terminal, HTTP and console all run that
 * same definition. `run` is one transaction with the answer and the audit entry, so a crash runs it once or not at all.
 * What has to happen outside (PagerDuty, Alertmanager, edge) leaves as a delivery.
 */
export type CommandSpec<A = unknown, F = unknown> = {
  name: string
  aliases: readonly string[]
  /** `ack ID [note]` */
  usage: string
  /** one line for the list */
  summary: string
  /** more, for `help NAME` */
  help: string
  parameters: readonly Parameter[]
  args: ZodType<A>
  /** the last words of an answer that asks back; `confirm` must be confirmed by the same person first */
  danger: 'none' | 'confirm'
  /** these arguments only look, or stop something: nothing to confirm, and nobody has to agree */
  harmless?: (args: A) => boolean
  /** the command whose right is enough for these arguments; its own name when left out */
  right?: (args: A) => string
  /** what exactly will happen, for the confirmation */
  preview?: (args: A, facts: F, context: CommandContext) => string
  prepare?: (args: A, services: Services, context: CommandContext) => Promise<F>
  run: (tx: Tx, args: A, facts: F, context: CommandContext) => Promise<Reply>
}

/** One thing somebody said, however they said it. */
export type CommandRequest = {
  /** identity on its platform (trigger_id, update_id, …): each gets one answer */
  id: string
  via: Platform
  /** the person, where the platform's identity is already known; else `user` is looked up */
  person: Person | null
  /** id of the user on the platform, for linking and for telling how to link */
  user: string
  text: string
  incident: number | null
  /** confirmed already (`--yes`, or the confirm button) */
  confirmed: boolean
  override: string | null
  /** where the answer goes, for the platform's adapter; null when the caller waits for it */
  replyTo: { lane: string; target: string; address: Json } | null
  /** `traceparent` that it came with; absent where it came with none */
  trace?: string
}

/** What platforms' adapters may do with what people say. */
export type Inbox = {
  /**
   * On disk when it resolves: acknowledge to the platform then. The answer comes through the lane, to `replyTo`.
   * @returns false when a request of this id was taken before
   * @throws ClawError('unavailable') when it cannot be stored: tell the person to try again
   */
  submit(request: CommandRequest): Promise<boolean>
  /** What a dangerous command would do, for a confirmation; a refusal when it cannot run; null when it needs no confirmation. */
  preview(request: CommandRequest): Promise<Reply | null>
}

/** Words of a typed line; quotes hold blanks together. */
export function words(text: string): string[] {
  const found: string[] = []
  for (const match of text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)) {
    found.push(match[1] !== undefined ? match[1].replace(/\\(.)/g, '$1') : (match[2] ?? ''))
  }
  return found
}
