import { type CommandServices, commandSpecs } from '../../../handlers/commands/index.ts'
import type { Access } from '../../../src/core/access.ts'
import type { CommandRequest, Person, Platform, RegionStatus, Reply } from '../../../src/core/command.ts'
import type { Store } from '../../../src/core/store.ts'
import type { EdgeChange } from '../../../src/core/triage.ts'
import type { WorkflowServices } from '../../../src/core/workflow.ts'
import { type Commands, createCommands } from '../../../src/engine/commands.ts'
import { createWorld, silent, TWO_RECEIVERS, type World } from '../../support/engine.ts'
import { policyOf } from '../../support/policy.ts'

const person = (name: string, role: string): Person => ({
  name,
  roles: role === '' ? [] : [role],
  slack: `U${name}`,
  telegram: null,
  pagerduty: null,
})

/** Dana and Bob respond, Cleo commands, Vic looks, Otto has no role. */
export const access: Access = {
  people: [
    person('Dana', 'responder'),
    person('Bob', 'responder'),
    person('Cleo', 'commander'),
    person('Vic', 'viewer'),
    person('Otto', 'oncaller'),
  ],
  roles: {
    viewer: { allow: ['status', 'incidents', 'show', 'oncall', 'help'] },
    responder: {
      allow: [
        ...['ack', 'resolve', 'silence', 'unsilence', 'escalate', 'postmortem', 'take', 'note', 'approve', 'deny'],
        ...['reconcile', 'reset'],
      ],
      inherits: 'viewer',
    },
    commander: { allow: ['*'], inherits: 'responder' },
    oncaller: { allow: ['approve'] },
  },
}

export function region(name: string, more: Partial<RegionStatus> = {}): RegionStatus {
  return {
    region: name,
    healthy: true,
    receiving: true,
    ratio: 0.52,
    syncLagSeconds: 0.04,
    conflictsPerMinute: 0,
    requestRate: 240,
    p95Seconds: 0.02,
    errorRatio: 0,
    canaryWeight: 10,
    version: 'v1.4.2',
    ...more,
  }
}

/** Neither edge nor cluster: what a test needs of them it puts there. */
export function nothingOutside(policy = policyOf()): WorkflowServices {
  return { edge: null, traffic: null, cluster: null, query: null, load: null, settings: policy.actions }
}

export type Rig = {
  world: World
  store: Store
  commands: Commands
  /** may be replaced by the test */
  services: CommandServices
  /** edge and cluster are null until the test gives them */
  outside: WorkflowServices
  changes: EdgeChange[]
  approvals: { needed: Record<string, number>; expireAfter: number }
  /** types it as that person; a thread's incident where given */
  say(text: string, more?: Partial<CommandRequest> & { as?: string }): Promise<Reply>
  /** outcome and action of each audit row, oldest first */
  audit(): Promise<string[]>
}

export function requestOf(
  id: string,
  text: string,
  more: Partial<CommandRequest> & { as?: string } = {},
): CommandRequest {
  const { as = 'Dana', ...rest } = more
  const via: Platform = 'http'
  return {
    id,
    via,
    person: null,
    user: as,
    text,
    incident: null,
    confirmed: false,
    override: null,
    replyTo: null,
    ...rest,
  }
}

/** Commands as a person runs them, on the real engine and an SQLite store; what lies outside answers as told. */
export async function createRig(t: { after(done: () => Promise<void>): void }, yaml = TWO_RECEIVERS): Promise<Rig> {
  const world = await createWorld(t, yaml)
  const { store } = world
  const policy = policyOf(yaml)
  const outside = nothingOutside(policy)
  const changes: EdgeChange[] = []
  const approvals = { needed: {} as Record<string, number>, expireAfter: 15 * 60_000 }
  const services: CommandServices = {
    publicUrl: () => null,
    regions: async () => ({
      regions: [region('A'), region('B')],
      at: world.now() - 8_000,
      problem: null,
      configured: true,
    }),
    onCall: async () => null,
    approval: (id) => commands.approval(id),
    commands: () => commandSpecs,
    vitals: async () => ({ pagingProvenAt: world.now() - 240_000, heartbeatAge: 12_000, deadLetters: 0, waiting: 0 }),
    matching: async () => ({ alerts: 14, regions: ['A', 'B', 'C'], critical: 1 }),
    postmortem: async (id) => (id === 1 ? '# Post-mortem of incident 1\n\nStatus: Draft.\n' : null),
    incident: async (id) => (await store.incidents([id]))[0] ?? null,
    outside: () => outside,
    changes: () => changes,
    reads: store,
  }
  const commands: Commands = createCommands({
    store,
    specs: commandSpecs,
    services,
    access: () => access,
    policy: () => policy,
    approvals: () => approvals,
    believes: () => false,
    clock: world.now,
    log: silent,
    onStored: () => {},
    onRun: () => {},
  })
  let said = 0
  return {
    world,
    store,
    commands,
    services,
    approvals,
    outside,
    changes,
    say(text, more) {
      said += 1
      return commands.run(requestOf(`http:${said}`, text, more))
    },
    audit: async () => (await store.auditRows(0, 1000)).map((row) => `${row.actor} ${row.action} ${row.outcome}`),
  }
}

/** All that a reply shows, as one text. */
export function shown(answer: Reply): string {
  const table = answer.table ? [answer.table.head, ...answer.table.rows].map((row) => row.join(' | ')) : []
  return [answer.summary, ...table, ...answer.lines].join('\n')
}
