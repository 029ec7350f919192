import type { Workflow } from '../../src/core/workflow.ts'
import { canaryAbort } from './canary-abort.ts'
import { capacity } from './capacity.ts'
import { failover } from './failover.ts'
import { reconcile } from './reconcile.ts'
import { reset } from './reset.ts'
import { revert } from './revert.ts'
import { rollback } from './rollback.ts'
import { scale } from './scale.ts'

/** Every durable workflow there is; `kind` names it in the store, so a name is never used for something else. */
export const workflows: readonly Workflow[] = [
  reconcile,
  reset,
  capacity,
  scale,
  revert,
  canaryAbort,
  failover,
  rollback,
]
