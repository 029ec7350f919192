import { suggestion } from '../core/suggest.ts'
import type { Report } from './build.ts'
import type { Config, ReceiverConfig } from './schema.ts'

/** Everything that one key says about another, apart from routes. Mistakes go to `report`. */
export function checkReferences(config: Config, report: Report): void {
  checkReceivers(config, report)
  checkPeople(config, report)
  checkPlatforms(config, report)
}

function checkReceivers(config: Config, report: Report): void {
  const byName = new Map<string, ReceiverConfig>()
  const pagerduty = new Map<string, string>()
  for (const [index, receiver] of config.receivers.entries()) {
    const path = ['receivers', index]
    if (byName.has(receiver.name)) report([...path, 'name'], `receiver "${receiver.name}" is defined twice`)
    byName.set(receiver.name, receiver)
    if (receiver.pagerduty !== undefined) {
      const key = receiver.pagerduty.routing_key ?? config.pagerduty.routing_key
      if (key === undefined)
        report([...path, 'pagerduty'], 'this receiver pages through PagerDuty: add pagerduty.routing_key', {
          key: true,
        })
      const target =
        receiver.pagerduty.name ?? (receiver.pagerduty.routing_key === undefined ? 'default' : receiver.name)
      if (key !== undefined && (pagerduty.get(target) ?? key) !== key)
        report(
          [...path, 'pagerduty'],
          `two different PagerDuty services are both called "${target}"; give one another name`,
          { key: true },
        )
      if (key !== undefined) pagerduty.set(target, key)
    }
    if (receiver.slack !== undefined && config.slack.bot_token === undefined)
      report([...path, 'slack'], 'this receiver posts to Slack: add slack.bot_token', { key: true })
    if (receiver.telegram !== undefined && config.telegram.bot_token === undefined)
      report([...path, 'telegram'], 'this receiver posts to Telegram: add telegram.bot_token', { key: true })
  }
  for (const [index, receiver] of config.receivers.entries()) {
    const { name, fallback } = receiver
    const path = ['receivers', index, 'fallback']
    if (fallback === undefined) continue
    if (fallback === name) report(path, `receiver "${name}" cannot be its own fallback`)
    else if (!byName.has(fallback))
      report(path, `fallback "${fallback}" does not exist${suggestion(fallback, byName.keys())}`)
    else if (leadsBack(name, (at) => byName.get(at)?.fallback))
      report(path, `the fallbacks of "${name}" lead back to itself`)
  }
}

/** Whether following `next` from `start` comes back to `start`. */
function leadsBack(start: string, next: (name: string) => string | undefined): boolean {
  const seen = new Set<string>()
  for (let at = next(start); at !== undefined && !seen.has(at); at = next(at)) {
    if (at === start) return true
    seen.add(at)
  }
  return false
}

function checkPeople(config: Config, report: Report): void {
  const roles = new Set(Object.keys(config.roles))
  for (const [name, role] of Object.entries(config.roles)) {
    if (role.inherits === undefined) continue
    if (!roles.has(role.inherits))
      report(['roles', name, 'inherits'], `role "${role.inherits}" does not exist${suggestion(role.inherits, roles)}`)
    else if (leadsBack(name, (at) => config.roles[at]?.inherits))
      report(['roles', name, 'inherits'], `role "${name}" inherits from itself`)
  }
  const people = new Set<string>()
  const accounts = new Map<string, string>()
  for (const [index, person] of config.people.entries()) {
    if (people.has(person.name)) report(['people', index, 'name'], `person "${person.name}" is listed twice`)
    people.add(person.name)
    for (const [at, role] of person.roles.entries())
      if (!roles.has(role))
        report(['people', index, 'roles', at], `role "${role}" does not exist${suggestion(role, roles)}`)
    for (const platform of ['slack', 'telegram', 'pagerduty'] as const) {
      const id = person[platform]
      if (id === undefined) continue
      const other = accounts.get(`${platform}:${id}`)
      if (other !== undefined)
        report(['people', index, platform], `${platform} account ${id} belongs to "${other}" already`)
      else accounts.set(`${platform}:${id}`, person.name)
    }
  }
  const tokens = new Map<string, string>()
  for (const [name, token] of Object.entries(config.api.tokens)) {
    const other = tokens.get(token)
    if (other !== undefined)
      report(['api', 'tokens', name], `"${name}" and "${other}" have the same token; one token speaks for one person`)
    tokens.set(token, name)
    if (people.size > 0 && !people.has(name))
      report(['api', 'tokens', name], `person "${name}" is not in people${suggestion(name, people)}`, { key: true })
  }
}

function checkPlatforms(config: Config, report: Report): void {
  const { alertmanager, slack, telegram, edge } = config
  if ((alertmanager.username === undefined) !== (alertmanager.password === undefined))
    report(['alertmanager'], 'alertmanager needs username and password together', { key: true })
  const auth = alertmanager.api_auth
  if (auth !== undefined && (auth.username === undefined) !== (auth.password === undefined))
    report(['alertmanager', 'api_auth'], 'api_auth needs username and password together', { key: true })
  if (slack.bot_token === undefined && slack.app_token !== undefined)
    report(['slack', 'app_token'], 'slack.app_token is of no use without slack.bot_token', { key: true })
  if (telegram.mode === 'webhook') {
    if (config.public_url === undefined)
      report(['telegram', 'mode'], 'telegram.mode webhook needs public_url, so that Telegram finds this server')
    if (telegram.webhook_secret === undefined)
      report(['telegram', 'mode'], 'telegram.mode webhook needs telegram.webhook_secret')
  }
  if ((edge.url !== undefined || Object.keys(edge.regions).length > 0) && edge.token === undefined)
    report(['edge'], 'edge needs a token', { key: true })
  const remediation = new Set<string>()
  for (const [index, policy] of config.remediation.entries()) {
    if (remediation.has(policy.name)) report(['remediation', index, 'name'], `policy "${policy.name}" is defined twice`)
    remediation.add(policy.name)
    if (policy.action === 'failover' && policy.mode === 'automatic')
      report(['remediation', index, 'mode'], 'a failover is never automatic: use suggest')
    if (policy.action === 'failover' && policy.with.to === undefined)
      report(['remediation', index, 'with'], 'failover needs with.to, the region that takes over', { key: true })
  }
  const { leads } = config.automation
  if (leads !== undefined && !config.receivers.some((receiver) => receiver.name === leads))
    report(
      ['automation', 'leads'],
      `receiver "${leads}" does not exist${suggestion(
        leads,
        config.receivers.map((receiver) => receiver.name),
      )}`,
    )
  const { failover } = config
  if (failover.traffic === 'cloudflare') {
    const { record, load_balancer: balancer } = failover.cloudflare ?? {}
    if (failover.cloudflare === undefined || (record === undefined) === (balancer === undefined))
      report(['failover', 'traffic'], 'cloudflare needs failover.cloudflare with either record or load_balancer')
  }
  if (failover.traffic === 'route53' && failover.route53 === undefined)
    report(['failover', 'traffic'], 'route53 needs failover.route53')
  const { access_key_id: id, secret_access_key: key } = failover.route53 ?? {}
  if ((id === undefined) !== (key === undefined))
    report(['failover', 'route53'], 'route53 needs access_key_id and secret_access_key together', { key: true })
}
