import type { CommandSpec } from '../../src/core/command.ts'
import { ack } from './ack.ts'
import { approve } from './approve.ts'
import { audit } from './audit.ts'
import { automation } from './automation.ts'
import { canary } from './canary.ts'
import { cancel } from './cancel.ts'
import { capacity } from './capacity.ts'
import { checklist } from './checklist.ts'
import { conflicts } from './conflicts.ts'
import { consoleCommand } from './console.ts'
import { deliveries } from './deliveries.ts'
import { deny } from './deny.ts'
import { drill } from './drill.ts'
import { escalate } from './escalate.ts'
import { failover } from './failover.ts'
import { help } from './help.ts'
import { incidents } from './incidents.ts'
import { level } from './level.ts'
import { merge } from './merge.ts'
import { note } from './note.ts'
import { oncall } from './oncall.ts'
import { operations } from './operations.ts'
import { postmortem } from './postmortem.ts'
import { reconcile } from './reconcile.ts'
import { reset } from './reset.ts'
import { resolve } from './resolve.ts'
import { revert } from './revert.ts'
import { rollback } from './rollback.ts'
import { scale } from './scale.ts'
import { show } from './show.ts'
import { silence } from './silence.ts'
import { status } from './status.ts'
import { take } from './take.ts'
import { unsilence } from './unsilence.ts'

export type { CommandServices } from './define.ts'

/** Every chat command, in the order in which help lists them. */
export const commandSpecs: readonly CommandSpec[] = [
  status,
  incidents,
  show,
  ack,
  resolve,
  take,
  note,
  escalate,
  level,
  merge,
  silence,
  unsilence,
  reconcile,
  reset,
  capacity,
  scale,
  failover,
  rollback,
  revert,
  conflicts,
  canary,
  operations,
  cancel,
  automation,
  checklist,
  approve,
  deny,
  oncall,
  deliveries,
  postmortem,
  audit,
  consoleCommand,
  drill,
  help,
]
