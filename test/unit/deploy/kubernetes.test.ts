import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { accept, render } from './helm-chart.ts'
import { assertSafe, clawYamlOf, Deployment, type Manifest, manifestsOf, only, without } from './manifests.ts'
import { run } from './programs.ts'
import { deployed } from './rules-file.ts'

const Kustomization = z.strictObject({
  apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
  kind: z.literal('Kustomization'),
  resources: z.array(z.string()),
})
const read = (path: string) => readFileSync(deployed(path), 'utf8')
const folder = (name: string) => {
  const { resources } = Kustomization.parse(parse(read(`${name}/kustomization.yaml`)))
  return { resources, manifests: resources.flatMap((file) => manifestsOf(read(`${name}/${file}`))) }
}

const plain = folder('kubernetes')
const operator = folder('operator')

for (const [name, { resources, manifests }] of Object.entries({ kubernetes: plain, operator })) {
  test(`${name}: the kustomization names every manifest, and none names a namespace`, () => {
    const files = readdirSync(deployed(name)).filter((file) => /\.yaml$/.test(file) && file !== 'kustomization.yaml')
    assert.deepEqual([...resources].sort(), files.sort())
    for (const { kind, metadata } of manifests) assert.equal(metadata.namespace, undefined, kind)
  })

  test(`${name}: kustomize builds it`, (t) => {
    const done = run('kubectl', ['kustomize', deployed(name)])
    if (!done) return t.skip(without('kubectl', 'kustomize has not built the manifests'))
    assert.equal(done.code, 0, done.output)
    const ids = (all: readonly Manifest[]) => all.map((one) => `${one.kind} ${one.metadata.name}`).sort()
    assert.deepEqual(ids(manifestsOf(done.output)), ids(manifests))
  })
}

test('kubernetes: the pod is locked down, probed, and given time to drain', () => {
  const { spec } = Deployment.parse(only(plain.manifests, 'Deployment')).spec.template
  assertSafe(spec)
  const { shutdown_timeout } = accept(clawYamlOf(only(plain.manifests, 'ConfigMap')))
  assert.ok(spec.terminationGracePeriodSeconds >= shutdown_timeout / 1000 + 10)
})

test('kubernetes: Claw takes the configuration, and no secret stands in a manifest', () => {
  const text = clawYamlOf(only(plain.manifests, 'ConfigMap'))
  const config = accept(text)
  assert.equal(config.store, 'sqlite:/data/claw.db')
  assert.ok(config.alertmanager.heartbeat)
  assert.doesNotMatch(text, /(?:token|secret|password|routing_key): (?!\$\{file:)\S/)
  assert.ok(!plain.manifests.some((one) => one.kind === 'Secret'))
})

test('kubernetes: it is what the chart makes by default, but for the labels that Helm adds', () => {
  const bare = (manifests: readonly Manifest[]) =>
    new Map(
      manifests.map((one) => [
        one.kind,
        JSON.parse(JSON.stringify({ ...one, metadata: one.metadata.name }), (key: string, value: unknown) =>
          /^(?:helm\.sh\/.*|app\.kubernetes\.io\/(?:version|managed-by))$/.test(key) ? undefined : value,
        ) as Record<string, unknown>,
      ]),
    )
  const [ours, charts] = [bare(plain.manifests), bare(render().manifests)]
  for (const map of [ours, charts]) map.delete('ConfigMap')
  assert.deepEqual(ours, charts)
  const configOf = (manifests: readonly Manifest[]) => accept(clawYamlOf(only(manifests, 'ConfigMap')))
  assert.deepEqual(configOf(plain.manifests), configOf(render().manifests))
})

test('the copies of the rules for Kubernetes are up to date: deploy/operator/sync-rules.sh makes them', (t) => {
  const made = mkdtempSync(join(tmpdir(), 'claw-sync-'))
  t.after(() => rmSync(made, { recursive: true }))
  const done = run('sh', [deployed('operator/sync-rules.sh'), made])
  assert.equal(done?.code, 0, done?.output)
  const files = ['operator', 'helm/claw/files'].flatMap((path) =>
    readdirSync(join(made, path)).map((file) => `${path}/${file}`),
  )
  assert.equal(files.length, 4)
  for (const file of files) {
    assert.ok(
      readFileSync(join(made, file), 'utf8') === read(file),
      `${file} is old; run deploy/operator/sync-rules.sh`,
    )
  }
})

test('operator: the PrometheusRules hold the groups of deploy/prometheus', () => {
  for (const name of ['claw', 'claw-self']) {
    const rule = operator.manifests.find((one) => one.kind === 'PrometheusRule' && one.metadata.name === name)
    assert.deepEqual(rule?.spec, parse(read(`prometheus/${name}.rules.yaml`)), name)
  }
})

test('operator: the ServiceMonitor finds the service of the chart and of the manifests, under the job `claw`', () => {
  const { spec } = only(operator.manifests, 'ServiceMonitor')
  const { jobLabel, selector, endpoints } = z
    .object({
      jobLabel: z.string(),
      selector: z.object({ matchLabels: z.record(z.string(), z.string()) }),
      endpoints: z.array(z.looseObject({ port: z.string(), path: z.string() })),
    })
    .parse(spec)
  for (const manifests of [plain.manifests, render({ store: { kind: 'postgres' } }, 'prod').manifests]) {
    const service = only(manifests, 'Service')
    assert.equal(service.metadata.labels?.[jobLabel], 'claw')
    for (const [key, value] of Object.entries(selector.matchLabels)) assert.equal(service.metadata.labels?.[key], value)
    const { ports } = z.object({ ports: z.array(z.looseObject({ name: z.string() })) }).parse(service.spec)
    assert.deepEqual(
      endpoints.map(({ port, path }) => [port, path]),
      ports.map((port) => [port.name, '/metrics']),
    )
  }
})

const Route = z.looseObject({ receiver: z.string(), matchers: z.unknown() })
const Tree = z.looseObject({ receiver: z.string(), routes: z.array(Route) })

/** snake_case keys as the Operator writes them. */
const camel = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(camel)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      camel(one),
    ]),
  )
}

test('operator: the AlertmanagerConfig says what alertmanager.yaml says, with the token from a Secret', () => {
  const file = z
    .object({ route: Tree, receivers: z.array(z.looseObject({ name: z.string() })) })
    // as it is once the `# ` of the route past Claw are off
    .parse(camel(parse(read('alertmanager/alertmanager.yaml').replace(/^( +)# ((?:- | {2}).*)$/gm, '$1$2'))))
  const { spec } = only(operator.manifests, 'AlertmanagerConfig')
  const object = z.object({ route: Tree, receivers: z.array(z.looseObject({ name: z.string() })) }).parse(spec)
  const matchersOf = (text: unknown) =>
    z
      .array(z.string())
      .parse(text)
      .map((matcher) => {
        const [, name, matchType, value] = /^(\w+) (=) "?(\w+)"?$/.exec(matcher) ?? []
        return { name, value, matchType }
      })
  assert.deepEqual(object.route, {
    ...file.route,
    routes: file.route.routes.map((route) => ({ ...route, matchers: matchersOf(route.matchers) })),
  })

  const Webhooks = z.array(
    z.looseObject({ url: z.string(), httpConfig: z.looseObject({ authorization: z.looseObject({}) }) }),
  )
  const authorization = { type: 'Bearer', credentials: { name: 'claw', key: 'alertmanager_token' } }
  for (const { name, webhookConfigs } of file.receivers) {
    const found = object.receivers.find((one) => one.name === name)
    assert.ok(found, name)
    if (webhookConfigs === undefined) {
      assert.deepEqual(found.pagerdutyConfigs, [
        { routingKey: { name: 'past-claw', key: 'routing_key' }, sendResolved: true },
      ])
      continue
    }
    const wanted = Webhooks.parse(webhookConfigs).map((one) => ({
      ...one,
      httpConfig: { ...one.httpConfig, authorization },
    }))
    assert.deepEqual(found.webhookConfigs, wanted)
  }
  // the Secret and its key are those that Claw's own configuration reads
  const { credentials } = authorization
  assert.match(
    clawYamlOf(only(plain.manifests, 'ConfigMap')),
    new RegExp(`token: \\$\\{file:/run/secrets/${credentials.name}/${credentials.key}\\}`),
  )
})
