import type { Flags } from '../main.ts'
import { answerLines, runningClaw } from './server.ts'

/** `claw cmd "<chat command>" --as PERSON`: talks to the running server with the token in CLAW_API_TOKEN. */
export async function cmd(flags: Flags, rest: string[]): Promise<number> {
  const text = rest.join(' ')
  if (text === '') {
    process.stderr.write('claw cmd: say which command, such as "ack 12 looking".\n')
    return 2
  }
  const claw = await runningClaw(flags)
  const answer = await claw.say(text, {
    ...(flags.as === undefined ? {} : { as: flags.as }),
    ...(flags.yes === true ? { confirm: true } : {}),
    ...(flags.override === undefined ? {} : { override: flags.override }),
  })
  if (flags.json === true) process.stdout.write(`${JSON.stringify(answer.json, null, 2)}\n`)
  else (answer.ok ? process.stdout : process.stderr).write(`${answerLines(answer).join('\n')}\n`)
  return answer.ok ? 0 : 1
}
