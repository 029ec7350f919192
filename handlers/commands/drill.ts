import { z } from 'zod'
import { reply } from '../../src/core/command.ts'
import { defineCommand } from './define.ts'

/** Those of contract.md, section 7. */
const SCENARIOS = ['traffic-spike', 'partition', 'merge-bug', 'region-outage', 'bad-canary', 'alert-storm']

export const drill = defineCommand({
  name: 'drill',
  aliases: [],
  usage: 'drill',
  summary: 'how to run a drill',
  help: 'Tells how to rehearse an incident in the sandbox, where nothing real is touched. It starts nothing.',
  parameters: [],
  args: z.strictObject({}),
  danger: 'none',
  run: async () =>
    reply('A drill runs in the sandbox; nothing was started here.', {
      lines: [
        '1. On any machine: npm ci && npm run sandbox, then open http://127.0.0.1:8080/.',
        '2. Start a fault: curl -X POST http://127.0.0.1:8080/sandbox/scenarios/merge-bug',
        `   (or ${SCENARIOS.filter((name) => name !== 'merge-bug').join(', ')}).`,
        '3. Work on it as if it were real: status, ack, show, resolve.',
        'Next: postmortem ID tells how long each step took.',
      ],
      data: { scenarios: SCENARIOS },
    }),
})
