import type { CommandSpec } from '../../src/core/command.ts'
import { ack } from './ack.ts'
import { approve } from './approve.ts'
import { audit } from './audit.ts'
import { deliveries } from './deliveries.ts'
import { deny } from './deny.ts'
import { drill } from './drill.ts'
import { escalate } from './escalate.ts'
import { help } from './help.ts'
import { incidents } from './incidents.ts'
import { level } from './level.ts'
import { merge } from './merge.ts'
import { note } from './note.ts'
import { oncall } from './oncall.ts'
import { postmortem } from './postmortem.ts'
import { resolve } from './resolve.ts'
import { show } from './show.ts'
import { silence } from './silence.ts'
import { status } from './status.ts'
import { take } from './take.ts'
import { unsilence } from './unsilence.ts'

export type { CommandServices } from './define.ts'

/** Every chat command that moves no edge, in the order in which help lists them. */
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
  approve,
  deny,
  oncall,
  deliveries,
  postmortem,
  audit,
  drill,
  help,
]
