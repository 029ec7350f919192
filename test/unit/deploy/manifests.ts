import assert from 'node:assert/strict'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'

const strings = z.record(z.string(), z.string())
const Named = z.looseObject({ name: z.string() })
const HttpProbe = z.looseObject({
  httpGet: z.strictObject({ path: z.string(), port: z.literal('http') }),
  periodSeconds: z.int(),
  timeoutSeconds: z.int(),
  failureThreshold: z.int(),
})

export const Container = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()),
  env: z.array(Named).optional(),
  ports: z.array(z.looseObject({ name: z.string(), containerPort: z.int() })),
  startupProbe: HttpProbe,
  livenessProbe: HttpProbe,
  readinessProbe: HttpProbe,
  lifecycle: z.unknown().optional(),
  securityContext: z.unknown(),
  resources: z.looseObject({ requests: strings.optional(), limits: strings.optional() }),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().optional() })),
})
export type Container = z.infer<typeof Container>

export const PodSpec = z.looseObject({
  serviceAccountName: z.string(),
  automountServiceAccountToken: z.boolean(),
  terminationGracePeriodSeconds: z.int(),
  securityContext: z.looseObject({ runAsUser: z.int().optional(), fsGroup: z.int().optional() }),
  containers: z.tuple([Container]),
  volumes: z.array(Named),
})
export type PodSpec = z.infer<typeof PodSpec>

export const Deployment = z.looseObject({
  spec: z.looseObject({
    replicas: z.int(),
    strategy: z.looseObject({ type: z.string() }),
    selector: z.strictObject({ matchLabels: strings }),
    template: z.looseObject({ metadata: z.looseObject({ labels: strings }), spec: PodSpec }),
  }),
})

const Manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional(), labels: strings.optional() }),
})
export type Manifest = z.infer<typeof Manifest>

/** All objects of a manifest; empty documents left out. @throws when one is no object of Kubernetes */
export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    if ('errors' in document) assert.deepEqual(document.errors, [])
    const value: unknown = document.toJS()
    return value === null || value === undefined ? [] : [Manifest.parse(value)]
  })
}

/** The only object of a kind. */
export function only(manifests: readonly Manifest[], kind: string): Manifest {
  const found = manifests.filter((one) => one.kind === kind)
  assert.equal(found.length, 1, `one ${kind}, not ${found.length}`)
  return found[0] ?? assert.fail()
}

/** The `claw.yaml` of a ConfigMap. */
export function clawYamlOf(manifest: Manifest): string {
  return z.object({ data: z.strictObject({ 'claw.yaml': z.string() }) }).parse(manifest).data['claw.yaml']
}

/** What each pod of ours must be: no rights, nothing to write but its volumes, drained before it is killed. */
export function assertSafe({ containers, ...pod }: PodSpec, user: number | null = 10001): void {
  const [claw] = containers
  assert.deepEqual(claw.securityContext, {
    allowPrivilegeEscalation: false,
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
  })
  assert.deepEqual(pod.securityContext, {
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
    ...(user === null
      ? {}
      : { runAsUser: user, runAsGroup: user, fsGroup: user, fsGroupChangePolicy: 'OnRootMismatch' }),
  })
  for (const key of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers']) assert.equal(pod[key], undefined, key)
  for (const volume of pod.volumes) {
    assert.equal(volume.hostPath, undefined, volume.name)
    const secret = volume.secret as { defaultMode?: number } | undefined
    if (secret) assert.equal(secret.defaultMode, 0o440, 'only user and group may read a secret')
  }
  assert.deepEqual(
    claw.volumeMounts.map((mount) => mount.name).sort(),
    pod.volumes.map((volume) => volume.name).sort(),
    'every volume is mounted, and every mount has its volume',
  )
  for (const { name, readOnly } of claw.volumeMounts) {
    if (name !== 'tmp' && name !== 'data') assert.equal(readOnly, true, name)
  }
  assert.equal(claw.startupProbe.httpGet.path, '/healthz')
  assert.equal(claw.livenessProbe.httpGet.path, '/healthz', 'a database that is away must not restart it')
  assert.equal(claw.readinessProbe.httpGet.path, '/readyz')
  assert.ok(claw.startupProbe.periodSeconds * claw.startupProbe.failureThreshold >= 60)
  assert.ok(claw.livenessProbe.periodSeconds * claw.livenessProbe.failureThreshold >= 30)
  assert.deepEqual(claw.args, ['serve', '--config', '/etc/claw/claw.yaml'])
  assert.ok(claw.resources.requests?.memory && claw.resources.limits?.memory)
}

/** Says loudly that a program of Kubernetes is not here, and what was not checked; the text is the reason of the skip. */
export function without(program: string, unchecked: string): string {
  const text = `SKIPPED: ${program} is not on the PATH; ${unchecked}`
  console.error(`\n${'!'.repeat(text.length)}\n${text}\n${'!'.repeat(text.length)}\n`)
  return text
}
