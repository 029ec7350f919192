import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createCluster, type KubernetesOptions } from '../../../../src/adapters/kubernetes/kubernetes.ts'
import { fakeApi } from './fake-api.ts'
import { addPolicy, POLICY, signal, world } from './world.ts'

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'claw-kube-'))
  t.after(() => rmSync(path, { recursive: true }))
  return path
}

/** Environment for one test; the client reads the process's own. */
function environment(t: TestContext, values: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name]
    t.after(() => {
      if (before === undefined) delete process.env[name]
      else process.env[name] = before
    })
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}

const bare: KubernetesOptions = { namespace: 'edge', config_map: POLICY, scale: {}, argocd: false }
const NOWHERE = { KUBECONFIG: undefined, KUBERNETES_SERVICE_HOST: undefined, KUBERNETES_SERVICE_PORT: undefined }

function kubeconfig(server: string, user: object): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'here', cluster: { server } },
      { name: 'there', cluster: { server: 'http://127.0.0.1:1' } },
    ],
    users: [{ name: 'me', user }],
    contexts: [
      { name: 'wrong', context: { cluster: 'there', user: 'me' } },
      { name: 'right', context: { cluster: 'here', user: 'me' } },
    ],
    'current-context': 'wrong',
  })
}

async function weightOf(options: KubernetesOptions, podRoot?: string): Promise<number | null | undefined> {
  const cluster = await createCluster(options, { timeoutMs: 5_000, ...(podRoot === undefined ? {} : { podRoot }) })
  return (await cluster.canary(signal()))[0]?.weight
}

test('a kubeconfig and one of its contexts', async (t) => {
  const { api } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  const file = join(folder(t), 'config')
  writeFileSync(file, kubeconfig(api.url, { token: api.token }))
  assert.equal(await weightOf({ ...bare, kubeconfig: file, context: 'right' }), 25)
  await assert.rejects(weightOf({ ...bare, kubeconfig: file }), { code: 'unavailable' })
  await assert.rejects(weightOf({ ...bare, kubeconfig: file, context: 'none' }), {
    code: 'invalid',
    message: 'Kubernetes: the kubeconfig has no context none; check kubernetes.context',
  })
})

test('~/.kube/config when nothing is set and Claw runs outside a cluster', async (t) => {
  const { api } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  const home = folder(t)
  environment(t, { ...NOWHERE, HOME: home })
  await assert.rejects(weightOf(bare), { code: 'invalid', message: /set kubernetes\.kubeconfig, or url and token/ })
  mkdirSync(join(home, '.kube'))
  writeFileSync(join(home, '.kube', 'config'), kubeconfig(api.url, { token: api.token }))
  assert.equal(await weightOf({ ...bare, context: 'right' }), 25)
})

test('the service account of the pod', async (t) => {
  const { api } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  const root = folder(t)
  const account = join(root, 'var/run/secrets/kubernetes.io/serviceaccount')
  mkdirSync(account, { recursive: true })
  writeFileSync(join(account, 'token'), api.token)
  writeFileSync(join(account, 'namespace'), 'claw')
  const { hostname, port } = new URL(api.url)
  environment(t, { ...NOWHERE, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port })
  // the account's certificate is not there: the pod would speak TLS, which is where it stops
  await assert.rejects(weightOf(bare, root), {
    code: 'unauthorized',
    message: /credentials of the kubeconfig cannot be had/,
  })
  writeFileSync(join(account, 'ca.crt'), '')
  await assert.rejects(weightOf(bare, root), { code: 'unavailable', message: /TLS/ })
})

test('a program that hands out the token is asked, and bounded', async (t) => {
  const { api } = await world(t)
  addPolicy(api, { canary_weight: '25' })
  const dir = folder(t)
  const program = (name: string, text: string) => {
    const path = join(dir, name)
    writeFileSync(path, `#!/bin/sh\n${text}\n`)
    chmodSync(path, 0o755)
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: path }
    const file = join(dir, `${name}.config`)
    writeFileSync(file, kubeconfig(api.url, { exec }))
    return { ...bare, kubeconfig: file, context: 'right' }
  }
  const credential = JSON.stringify({ kind: 'ExecCredential', status: { token: api.token } })
  assert.equal(await weightOf(program('good', `echo '${credential}'`)), 25)
  await assert.rejects(weightOf(program('bad', 'echo hunter2 >&2; exit 1')), (error: Error) => {
    assert.equal('code' in error && error.code, 'unauthorized')
    assert.ok(!`${error.stack}${String(error.cause)}`.includes('hunter2'))
    return true
  })
  // hangs until the folder is removed at the end of the test
  const slow = await createCluster(program('slow', `while [ -e ${dir} ]; do sleep 0.1; done`), { timeoutMs: 50 })
  await assert.rejects(slow.canary(signal()), { code: 'timeout', message: /did not come in time/ })
})

test('an unusable kubeconfig is told without its content', async (t) => {
  const dir = folder(t)
  await assert.rejects(weightOf({ ...bare, kubeconfig: join(dir, 'none') }), {
    code: 'invalid',
    message: /kubernetes\.kubeconfig .*none cannot be read \(ENOENT\)$/,
  })
  const file = join(dir, 'broken')
  writeFileSync(file, 'users: [hunter2: {')
  await assert.rejects(weightOf({ ...bare, kubeconfig: file }), (error: Error) => {
    assert.match(error.message, /broken cannot be read$/)
    assert.equal(error.cause, undefined)
    return true
  })
  writeFileSync(file, 'clusters: []\ncontexts: []\nusers: []\n')
  await assert.rejects(weightOf({ ...bare, kubeconfig: file }), {
    code: 'invalid',
    message: /names no cluster and user/,
  })
})

test('ca_file: only its certificate is trusted', async (t) => {
  const dir = folder(t)
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'],
  ])
  if (made.status !== 0) return t.skip('openssl is not installed')
  const api = await fakeApi({ tls: { key: readFileSync(key), cert: readFileSync(cert) } })
  t.after(() => api.close())
  addPolicy(api, { canary_weight: '25' })
  const access = { ...bare, url: api.url, token: api.token }
  assert.equal(await weightOf({ ...access, ca_file: cert }), 25)
  await assert.rejects(weightOf(access), { code: 'unavailable', message: /TLS certificate not accepted/ })
})
