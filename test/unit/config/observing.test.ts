import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redact, secretsOf } from '../../../src/config/config.ts'
import { loadedOf, policyOf } from '../../support/policy.ts'

test('off unless given', () => {
  const { config, policy } = loadedOf('')
  assert.deepEqual([config.tracing, config.grafana, policy.annotateGrafana], [undefined, undefined, false])
  assert.equal(policy.heartbeat.forgetAfter, 7 * 24 * 3_600_000)
})

test('headers of the collector and the token of Grafana are secrets', () => {
  const { config, policy } = loadedOf(`
tracing: { endpoint: 'http://collector:4318', headers: { x-scope: secret-one, Authorization: Bearer secret-two } }
grafana: { url: 'https://grafana.example.com', token: glsa_secret-three }
`)
  assert.equal(policy.annotateGrafana, true)
  assert.equal(config.tracing?.sample, 1)
  assert.doesNotMatch(JSON.stringify(redact(config)), /secret-/)
  const secrets = secretsOf(config)
  for (const secret of ['secret-one', 'Bearer secret-two', 'glsa_secret-three']) assert.ok(secrets.includes(secret))
})

test('mistakes are found', () => {
  for (const bad of [
    'tracing: { }',
    'tracing: { endpoint: collector }',
    'tracing: { endpoint: "http://c", sample: 1.1 }',
    'tracing: { endpoint: "http://c", headers: { x: "" } }',
    'grafana: { url: "https://g" }',
    'grafana: { url: "https://g", token: "" }',
    'alertmanager: { heartbeat: { forget_after: 0s } }',
  ])
    assert.throws(() => loadedOf(bad), bad)
  assert.equal(policyOf('alertmanager: { heartbeat: { forget_after: 2d } }').heartbeat.forgetAfter, 172_800_000)
})
