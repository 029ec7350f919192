import type { Workflow } from '../../src/core/workflow.ts'

/** A workflow with the type of its own input, as the registry holds it: the runner parses the input before it calls `run`. */
export function defineWorkflow<I>(workflow: Workflow<I>): Workflow {
  return { kind: workflow.kind, input: workflow.input, run: (flow, input) => workflow.run(flow, input as I) }
}
