import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import {
  accept,
  CHART,
  chart,
  defaults,
  isMap,
  merged,
  type Rendered,
  read,
  render,
  schema,
  sources,
  Values,
} from './helm-chart.ts'
import { assertSafe, clawYamlOf, Deployment, type Manifest, manifestsOf, only, without } from './manifests.ts'
import { run } from './programs.ts'
import { deployed } from './rules-file.ts'

const POSTGRES = { store: { kind: 'postgres' } }
const EVERYTHING: Values = {
  ...POSTGRES,
  replicas: 3,
  image: { repository: 'registry.example.com/claw', digest: `sha256:${'0'.repeat(64)}` },
  imagePullSecrets: [{ name: 'registry' }],
  config: {
    public_url: 'https://claw.example.com',
    slack: {
      bot_token: `\${file:/run/secrets/claw/slack_bot_token}`,
      signing_secret: `\${file:/run/secrets/claw/slack_signing_secret}`,
    },
    receivers: [{ name: 'default', pagerduty: {}, slack: { channel: 'C0ALERTS' } }],
  },
  env: [{ name: 'TZ', value: 'UTC' }],
  extraVolumes: [{ name: 'texts', configMap: { name: 'texts' } }],
  extraVolumeMounts: [{ name: 'texts', mountPath: '/etc/claw-templates', readOnly: true }],
  podAnnotations: { 'example.com/team': 'sre' },
  priorityClassName: 'important',
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ key: 'dedicated', operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
  service: { annotations: { a: 'b' } },
  ingress: { enabled: true, className: 'nginx', annotations: { c: 'd' }, tlsSecretName: 'claw-tls' },
  networkPolicy: {
    ingressFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
  },
  serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
  prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
  serviceAccount: { annotations: { e: 'f' } },
  kubernetes: {
    enabled: true,
    namespace: 'edge',
    rollouts: ['rating-api'],
    workloads: ['rating-api'],
    configMaps: ['token-bucket-policy'],
    scale: { deployments: ['standby'], statefulSets: ['nodes'], rollouts: ['rating-api'], cronJobs: ['scale-out'] },
    argocd: true,
  },
}
const SETS: Readonly<Record<string, Values>> = {
  default: {},
  'an existing claim': { store: { sqlite: { existingClaim: 'old-data', storageClass: 'fast' } } },
  PostgreSQL: POSTGRES,
  'PostgreSQL, a secret of its own': { store: { kind: 'postgres', postgres: { secretName: 'claw-app', key: 'uri' } } },
  OpenShift: { user: null },
  'all switched off': {
    ...POSTGRES,
    podDisruptionBudget: { enabled: false },
    networkPolicy: { enabled: false },
    serviceAccount: { create: false },
    secretName: 'other',
  },
  everything: EVERYTHING,
}

const deploymentOf = (rendered: Rendered) => Deployment.parse(only(rendered.manifests, 'Deployment')).spec

for (const [name, values] of Object.entries(SETS)) {
  const rendered = render(values)
  const { manifests } = rendered

  test(`${name}: the pod is locked down, probed, and given time to drain`, () => {
    const { template } = deploymentOf(rendered)
    assertSafe(template.spec, 'user' in values ? null : 10001)
    const { shutdown_timeout } = accept(clawYamlOf(only(manifests, 'ConfigMap')))
    // 5 seconds pass before it is told to stop
    assert.ok(template.spec.terminationGracePeriodSeconds >= shutdown_timeout / 1000 + 10)
  })

  test(`${name}: Claw itself takes the configuration`, () => {
    const config = accept(clawYamlOf(only(manifests, 'ConfigMap')))
    const [container] = deploymentOf(rendered).template.spec.containers
    assert.equal(config.listen, `0.0.0.0:${container.ports[0]?.containerPort}`)
    assert.ok(config.alertmanager.heartbeat, 'it notices its own blindness')
    const postgres = isMap(values.store) && values.store.kind === 'postgres'
    assert.match(config.store, postgres ? /^postgres:/ : /^sqlite:\/data\//)
    // what the configuration reads from files, the pod has
    const mounts = container.volumeMounts.map((mount) => mount.mountPath)
    for (const [, path = ''] of rendered.text.matchAll(/\$\{file:([^}]*)\/[^/}]+\}/g)) assert.ok(mounts.includes(path))
    assert.ok(mounts.includes(postgres ? '/run/secrets/claw-store' : '/data'))
    assert.ok(mounts.includes('/etc/claw'))
  })

  test(`${name}: one file has one writer, PostgreSQL has many`, () => {
    const { replicas, strategy, template } = deploymentOf(rendered)
    const budgets = manifests.filter((one) => one.kind === 'PodDisruptionBudget').length
    const claims = manifests.filter((one) => one.kind === 'PersistentVolumeClaim')
    const data = template.spec.volumes.find((volume) => volume.name === 'data')
    if (isMap(values.store) && values.store.kind === 'postgres') {
      assert.ok(replicas > 1)
      assert.deepEqual(strategy, { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } })
      assert.equal(budgets, name === 'all switched off' ? 0 : 1)
      assert.equal(data, undefined)
      assert.deepEqual(claims, [])
      return
    }
    assert.equal(replicas, 1)
    assert.deepEqual(strategy, { type: 'Recreate' })
    assert.equal(budgets, 0, 'a budget for a single pod keeps nodes from being drained')
    const existing = name === 'an existing claim'
    assert.deepEqual(data?.persistentVolumeClaim, { claimName: existing ? 'old-data' : 'claw' })
    assert.deepEqual(
      claims.map((claim) => claim.metadata.annotations),
      existing ? [] : [{ 'helm.sh/resource-policy': 'keep' }],
    )
  })

  test(`${name}: every selector finds the pods, and nothing but them`, () => {
    const { selector, template } = deploymentOf(rendered)
    const wanted = { 'app.kubernetes.io/name': 'claw', 'app.kubernetes.io/instance': 'claw' }
    assert.deepEqual(selector.matchLabels, wanted)
    for (const [key, value] of Object.entries(wanted)) assert.equal(template.metadata.labels[key], value)
    const selectors: Record<string, (spec: Values) => unknown> = {
      Service: (spec) => spec.selector,
      NetworkPolicy: (spec) => (spec.podSelector as Values).matchLabels,
      PodDisruptionBudget: (spec) => (spec.selector as Values).matchLabels,
      ServiceMonitor: (spec) => (spec.selector as Values).matchLabels,
    }
    for (const one of manifests) {
      const select = selectors[one.kind]
      if (select) assert.deepEqual(select(Values.parse(one.spec)), wanted, one.kind)
    }
    const service = only(manifests, 'Service')
    for (const [key, value] of Object.entries(wanted)) assert.equal(service.metadata.labels?.[key], value)
  })

  test(`${name}: names agree, no object twice, no secret in any of them`, () => {
    const ids = manifests.map((one) => `${one.kind} ${one.metadata.name}`)
    assert.equal(new Set(ids).size, ids.length)
    for (const { kind, metadata } of manifests) {
      assert.equal(metadata.name, metadata.namespace === 'argocd' ? 'claw-argocd' : 'claw', kind)
      assert.equal(metadata.labels?.['app.kubernetes.io/managed-by'], 'Helm', kind)
      if (kind.startsWith('Role')) assert.match(metadata.namespace ?? '', /^(?:edge|argocd)$/)
      else assert.equal(metadata.namespace, undefined, kind)
    }
    const { serviceAccountName } = deploymentOf(rendered).template.spec
    const account = manifests.find((one) => one.kind === 'ServiceAccount')
    assert.equal(serviceAccountName, account?.metadata.name ?? 'default')
    assert.ok(!manifests.some((one) => one.kind === 'Secret'))
    assert.doesNotMatch(rendered.text, /(?:token|secret|password|routing_key): (?!\$\{file:|true|false)[^\s{]/)
  })

  test(`${name}: the notes name what was made`, () => {
    assert.match(rendered.notes, /rollout status deployment\/claw\n/)
    assert.match(rendered.notes, /http:\/\/claw\.alerting:8080\/webhooks\/alertmanager\n/)
    assert.match(rendered.notes, new RegExp(`create secret generic ${values.secretName ?? 'claw'} `))
    assert.doesNotMatch(rendered.notes, /<no value>|\n\n\n/)
  })
}

test('with everything on: the ingress leads to the service, for what the platforms call', () => {
  const { manifests } = render(EVERYTHING)
  const ingress = only(manifests, 'Ingress').spec
  const service = only(manifests, 'Service')
  assert.deepEqual(ingress, {
    ingressClassName: 'nginx',
    tls: [{ hosts: ['claw.example.com'], secretName: 'claw-tls' }],
    rules: [
      {
        host: 'claw.example.com',
        http: {
          paths: ['/webhooks/pagerduty', '/webhooks/telegram', '/slack/events'].map((path) => ({
            path,
            pathType: 'Prefix',
            backend: { service: { name: service.metadata.name, port: { name: 'http' } } },
          })),
        },
      },
    ],
  })
})

test('with everything on: the network lets in what is named, and lets out names and the ports', () => {
  const { manifests } = render(EVERYTHING)
  const { ingress, egress, policyTypes } = z
    .object({ ingress: z.array(z.looseObject({})), egress: z.array(z.looseObject({})), policyTypes: z.unknown() })
    .parse(only(manifests, 'NetworkPolicy').spec)
  assert.deepEqual(policyTypes, ['Ingress', 'Egress'])
  assert.deepEqual(ingress, [
    {
      ports: [{ port: 'http', protocol: 'TCP' }],
      from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
    },
  ])
  const ports = egress.map((rule) =>
    z
      .array(z.object({ port: z.int() }))
      .parse(rule.ports)
      .map(({ port }) => port),
  )
  assert.deepEqual(ports, [
    [53, 53, 5353, 5353],
    [443, 5432, 9090, 9093, 6443],
  ])
  assert.deepEqual(egress[1]?.to, [
    { ipBlock: { cidr: '0.0.0.0/0', except: ['169.254.169.254/32'] } },
    { ipBlock: { cidr: '::/0' } },
  ])
})

test('with everything on: Prometheus scrapes the service under the job that the rules ask for', () => {
  const { manifests } = render(EVERYTHING)
  const { spec, metadata } = only(manifests, 'ServiceMonitor')
  assert.equal(metadata.labels?.release, 'prometheus')
  assert.deepEqual(Values.parse(spec).endpoints, [{ port: 'http', path: '/metrics', interval: '15s' }])
  const label = z.object({ jobLabel: z.string() }).parse(spec).jobLabel
  assert.equal(only(manifests, 'Service').metadata.labels?.[label], 'claw')
})

test('the PrometheusRule is the files of deploy/prometheus, and either can be left out', () => {
  const groups = (over: Values) =>
    z
      .object({ groups: z.array(z.unknown()) })
      .parse(only(render({ prometheusRule: { enabled: true, ...over } }).manifests, 'PrometheusRule').spec).groups
  const file = (name: string) =>
    z
      .object({ groups: z.array(z.unknown()) })
      .parse(parse(readFileSync(deployed(`prometheus/${name}.rules.yaml`), 'utf8'))).groups
  assert.deepEqual(groups({}), [...file('claw'), ...file('claw-self')])
  assert.deepEqual(groups({ edge: false }), file('claw-self'))
  assert.deepEqual(groups({ self: false }), file('claw'))
})

const Role = z.object({
  rules: z.array(
    z.strictObject({
      apiGroups: z.array(z.string()),
      resources: z.array(z.string()),
      resourceNames: z.array(z.string()).min(1).optional(),
      verbs: z.array(z.string()),
    }),
  ),
})

test('rights are the least: named objects, no wildcard, no secret, and none unless asked for', () => {
  assert.ok(!render().manifests.some((one) => one.kind.startsWith('Role') || one.kind.startsWith('ClusterRole')))
  assert.equal(deploymentOf(render()).template.spec.automountServiceAccountToken, false)

  const { manifests } = render(EVERYTHING)
  assert.equal(deploymentOf(render(EVERYTHING)).template.spec.automountServiceAccountToken, true)
  const [role, argocd, ...more] = manifests.filter((one) => one.kind === 'Role')
  assert.deepEqual(more, [])
  const { rules } = Role.parse(role)
  const shown = rules.map((rule) => [rule.resources.join(), rule.verbs.join(), rule.resourceNames?.join() ?? 'all'])
  assert.deepEqual(shown, [
    ['rollouts', 'get,patch', 'rating-api'],
    ['rollouts/status', 'patch', 'rating-api'],
    ['replicasets', 'list', 'all'],
    ['deployments', 'get,patch', 'rating-api'],
    ['configmaps', 'get,patch', 'token-bucket-policy'],
    ['deployments', 'get', 'standby'],
    ['deployments/scale', 'patch', 'standby'],
    ['statefulsets', 'get', 'nodes'],
    ['statefulsets/scale', 'patch', 'nodes'],
    ['rollouts', 'get', 'rating-api'],
    ['rollouts/scale', 'patch', 'rating-api'],
    ['cronjobs', 'get', 'scale-out'],
    ['jobs', 'get,create', 'all'],
  ])
  assert.equal(argocd?.metadata.namespace, 'argocd')
  assert.deepEqual(Role.parse(argocd).rules, [
    { apiGroups: ['argoproj.io'], resources: ['applications'], verbs: ['get'] },
  ])
  assert.doesNotMatch(JSON.stringify(rules), /\*|secrets|delete/)
  const bindings = manifests.filter((one) => one.kind === 'RoleBinding')
  const places = (all: readonly Manifest[]) => all.map(({ metadata }) => [metadata.name, metadata.namespace])
  assert.deepEqual(places(bindings), places(manifests.filter((one) => one.kind === 'Role')))
  for (const { metadata, subjects, roleRef } of bindings) {
    assert.deepEqual(subjects, [{ kind: 'ServiceAccount', name: 'claw', namespace: 'alerting' }])
    assert.deepEqual(roleRef, { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name })
  }

  const some = render({ kubernetes: { enabled: true, configMaps: ['token-bucket-policy'] } })
  const few = Role.parse(only(some.manifests, 'Role')).rules
  assert.deepEqual(
    few.map((rule) => rule.resources),
    [['configmaps']],
    'an empty list gives no rule, not one for all',
  )
})

test('a release of another name keeps its objects together', () => {
  const { manifests } = render(POSTGRES, 'prod')
  assert.deepEqual([...new Set(manifests.map((one) => one.metadata.name))], ['prod-claw'])
  const named = render({ fullnameOverride: 'pager' }, 'prod')
  assert.deepEqual([...new Set(named.manifests.map((one) => one.metadata.name))], ['pager'])
})

test('the image is that of the chart unless a tag or a digest is given', () => {
  const image = (over: Values) => deploymentOf(render(over)).template.spec.containers[0].image
  assert.equal(image({}), `claw:${chart.appVersion}`)
  assert.equal(image({ image: { tag: '1.2.3' } }), 'claw:1.2.3')
  assert.match(image(EVERYTHING), /^registry\.example\.com\/claw@sha256:0{64}$/)
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(deployed('../package.json'), 'utf8')))
  assert.equal(chart.appVersion, version)
})

test('values: an unknown key, a wrong type and what the chart sets itself are refused', () => {
  const refused: Values[] = [
    { replica: 2 },
    { store: { kind: 'mysql' } },
    { replicas: 0 },
    { config: { store: 'sqlite:x' } },
    { config: { listen: '0.0.0.0:9000' } },
    { user: { uid: 0, gid: 0 } },
    { ingress: { paths: [] } },
    { image: { digest: 'latest' } },
    { kubernetes: { rollouts: 'rating-api' } },
  ]
  for (const over of refused)
    assert.equal(schema.safeParse(merged(defaults, over)).success, false, JSON.stringify(over))
  assert.ok(schema.safeParse(defaults).success)
})

/** Dotted paths of a values map; lists and `config`, which is Claw's, are leaves. */
function pathsOf(values: Values, above = ''): string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const path = `${above}${key}`
    return isMap(value) && Object.keys(value).length > 0 && path !== 'config' ? pathsOf(value, `${path}.`) : [path]
  })
}

test('every value is used by a template, known to the schema, and explained; none is used that is not there', () => {
  const known = pathsOf(defaults)
  const used = new Set(
    Object.values(sources).flatMap((text) => [...text.matchAll(/\.Values\.([\w.]+)/g)].map(([, p]) => p)),
  )
  for (const path of known) {
    assert.ok(
      [...used].some((one) => one === path || path.startsWith(`${one}.`)),
      `${path} is used by no template`,
    )
  }
  for (const path of used) {
    assert.ok(
      known.some((one) => one === path || one.startsWith(`${path}.`)),
      `${path} is not in values.yaml`,
    )
  }
  const inSchema = z
    .object({ properties: z.record(z.string(), z.unknown()) })
    .parse(JSON.parse(read('values.schema.json')))
  assert.deepEqual(
    Object.keys(defaults).sort(),
    Object.keys(inSchema.properties)
      .filter((key) => key !== 'global')
      .sort(),
  )
})

test('Helm itself renders and lints the chart', (t) => {
  const lint = run('helm', ['lint', '--strict', deployed(CHART)])
  if (!lint) return t.skip(without('helm', 'only our own reader of templates has rendered the chart'))
  assert.equal(lint.code, 0, lint.output)
  const done = run('helm', ['template', 'claw', deployed(CHART), '--namespace', 'alerting'])
  assert.equal(done?.code, 0, done?.output)
  const byName = (all: readonly Manifest[]) => new Map(all.map((one) => [`${one.kind} ${one.metadata.name}`, one]))
  assert.deepEqual(byName(manifestsOf(done.output)), byName(render().manifests))
})
