import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { z } from 'zod'
import { deployed } from './rules-file.ts'

const atRoot = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))

/** One instruction of a Dockerfile: continued lines joined, comments gone. */
type Instruction = { name: string; value: string }

function parseDockerfile(text: string): Instruction[] {
  const lines = text.split('\n').filter((line) => !/^\s*#/.test(line))
  return lines
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name = '', value = ''] = /^(\S+)\s+(.*)$/.exec(line.trim()) ?? []
      return { name, value: value.replace(/\s+/g, ' ') }
    })
}

const dockerfile = parseDockerfile(readFileSync(atRoot('Dockerfile'), 'utf8'))
const lastFrom = dockerfile.findLastIndex((one) => one.name === 'FROM')
const build = dockerfile.slice(0, lastFrom)
const final = dockerfile.slice(lastFrom)
const only = (name: string) => {
  const found = final.filter((one) => one.name === name)
  assert.equal(found.length, 1, `${name} stands once in the last stage`)
  return found[0]?.value ?? ''
}
const execForm = (value: string) => z.array(z.string()).min(1).parse(JSON.parse(value))

const Package = z.object({ devDependencies: z.object({ node: z.string() }) })
const COMMANDS = 'ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN STOPSIGNAL USER VOLUME WORKDIR'

test('every instruction is one that Docker knows, and none is ADD', () => {
  for (const { name, value } of dockerfile) {
    assert.ok(COMMANDS.split(' ').includes(name), name)
    assert.notEqual(name, 'ADD')
    assert.notEqual(value, '', name)
  }
})

test('both stages start from the slim image of the very Node that package.json pins', () => {
  const pinned = Package.parse(JSON.parse(readFileSync(atRoot('package.json'), 'utf8'))).devDependencies.node
  assert.deepEqual(dockerfile[0], { name: 'ARG', value: `NODE_IMAGE=node:${pinned}-slim` })
  const stages = dockerfile.filter((one) => one.name === 'FROM').map((one) => one.value.replace('$', ''))
  assert.deepEqual(stages, ['{NODE_IMAGE} AS packages', '{NODE_IMAGE}'])
})

test('packages come from the lock file, without development packages, and nothing is built', () => {
  const runs = dockerfile.filter((one) => one.name === 'RUN').map((one) => one.value)
  assert.ok(runs.some((command) => /^npm ci --omit=dev --ignore-scripts\b/.test(command)))
  for (const command of runs) assert.doesNotMatch(command, /npm (?:install|i|run)\b|tsc|curl|wget|apt|\|/)
  assert.deepEqual(
    final.filter((one) => one.name === 'RUN'),
    [],
  )
  assert.ok(build.some((one) => one.name === 'COPY' && one.value === 'package.json package-lock.json ./'))
})

test('what is copied exists, passes .dockerignore, and does not land under node_modules', () => {
  const allowed = readFileSync(atRoot('.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  assert.equal(allowed[0], '*')
  const kept = allowed.slice(1).map((line) => {
    assert.match(line, /^![\w.-]+$/)
    return line.slice(1)
  })
  const copies = dockerfile.filter((one) => one.name === 'COPY').map((one) => one.value)
  const sources = copies
    .filter((value) => !value.startsWith('--from='))
    .flatMap((value) => value.split(' ').slice(0, -1))
  assert.deepEqual([...new Set(sources)].sort(), [...kept].sort())
  for (const source of sources) assert.ok(existsSync(atRoot(source)), source)
  assert.ok(copies.includes('--from=packages /app/node_modules /app/node_modules'))
  const targets = copies.map((value) => value.split(' ').at(-1) ?? '')
  assert.deepEqual(
    targets.filter((target) => target.includes('node_modules')),
    ['/app/node_modules'],
  )
  for (const folder of ['src', 'handlers', 'templates']) assert.ok(copies.includes(`${folder} /app/${folder}`))
})

test('it runs as a user with a number, who owns /data and nothing of the program', () => {
  const user = only('USER')
  assert.match(user, /^[1-9]\d{3,}:[1-9]\d{3,}$/)
  assert.equal(only('VOLUME'), '/data')
  const copies = final.filter((one) => one.name === 'COPY').map((one) => one.value)
  assert.ok(copies.includes(`--from=packages --chown=${user} /data /data`))
  for (const copy of copies) if (!copy.endsWith(' /data')) assert.doesNotMatch(copy, /--chown|--chmod/)
  const [owner, group] = user.split(':')
  assert.ok(build.some((one) => one.name === 'RUN' && one.value.endsWith(`-o ${owner} -g ${group} /data`)))
  // a volume declared before its content is set would lose that content
  assert.ok(final.findIndex((one) => one.name === 'VOLUME') > final.findLastIndex((one) => one.name === 'COPY'))
  // the default store is `data/claw.db`, and only /data can be written
  assert.equal(only('WORKDIR'), '/')
})

test('Node itself is process 1 and is told to serve; no shell stands between', () => {
  assert.deepEqual(execForm(only('ENTRYPOINT')), ['node', '/app/src/main.ts'])
  assert.deepEqual(execForm(only('CMD')), ['serve', '--config', '/etc/claw/claw.yaml'])
  assert.equal(only('STOPSIGNAL'), 'SIGTERM')
})

test('nothing secret is in it, and its labels say what it is', () => {
  for (const { name, value } of dockerfile) {
    if (name === 'ENV' || name === 'ARG') assert.doesNotMatch(value, /token|secret|password|key=/i)
  }
  for (const label of ['title', 'description', 'licenses', 'version']) {
    assert.match(only('LABEL'), new RegExp(`org\\.opencontainers\\.image\\.${label}="[^"]+"`))
  }
})

/** Runs a healthcheck's command as the container would; `url` is where Claw is said to listen. */
function health([program, ...args]: readonly string[], url: string): number | null {
  assert.equal(program, 'node')
  const here = args.map((arg) => arg.replace('http://127.0.0.1:8080', new URL(url).origin))
  return spawnSync(process.execPath, here, { env: { CLAW_HEALTH_URL: url }, timeout: 10_000 }).status
}

/** A server in a process of its own, since the healthcheck is waited for without turning this one's event loop. */
const SERVER = `
  const server = require('node:http').createServer((req, res) => {
    res.writeHead(/^\\/(?:healthz|readyz)$/.test(req.url) ? Number(process.argv[1]) : 404).end()
  })
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))
`

test('both healthchecks need nothing but Node, and tell a healthy server from a sick and from a dead one', async (t) => {
  const start = async (status: number): Promise<string> => {
    const child = spawn(process.execPath, ['-e', SERVER, String(status)], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => child.kill('SIGKILL'))
    const [port] = await once(child.stdout, 'data')
    return `http://127.0.0.1:${String(port).trim()}/healthz`
  }
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const dead = `http://127.0.0.1:${(free.address() as AddressInfo).port}/healthz`
  free.close()
  await once(free, 'close')

  const [, command = ''] = /^(?:--\S+ )*CMD (.*)$/.exec(only('HEALTHCHECK')) ?? []
  const inCompose = compose.services.claw?.healthcheck.test.slice(1) ?? []
  const [well, sick] = await Promise.all([start(200), start(503)])
  for (const check of [execForm(command), inCompose]) {
    assert.equal(health(check, well), 0)
    assert.equal(health(check, sick), 1)
    assert.equal(health(check, dead), 1)
  }
})

const Service = z.strictObject({
  build: z.object({ context: z.string() }).optional(),
  image: z.string(),
  command: z.array(z.string()).optional(),
  read_only: z.literal(true),
  tmpfs: z.array(z.string()),
  cap_drop: z.tuple([z.literal('ALL')]),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  pids_limit: z.number(),
  mem_limit: z.string(),
  restart: z.literal('unless-stopped'),
  stop_grace_period: z.string().optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.literal('service_healthy') })).optional(),
  ports: z.array(z.string()),
  volumes: z.array(z.string()),
  configs: z.array(z.object({ source: z.string(), target: z.string() })).optional(),
  secrets: z.array(z.string()).optional(),
  healthcheck: z.strictObject({
    test: z.array(z.string()).min(2),
    interval: z.string(),
    timeout: z.string(),
    start_period: z.string(),
    retries: z.number(),
  }),
})
const Compose = z.strictObject({
  name: z.string(),
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.null()),
  secrets: z.record(z.string(), z.strictObject({ file: z.string() })),
  configs: z.object({ claw: z.object({ content: z.string() }) }),
})
const compose = Compose.parse(parse(readFileSync(deployed('compose.yaml'), 'utf8')))

test('compose: every service is locked down, bound to loopback and pinned', () => {
  assert.deepEqual(Object.keys(compose.services), ['claw', 'prometheus', 'alertmanager'])
  for (const [name, service] of Object.entries(compose.services)) {
    assert.match(service.image, /:(?:v\d+\.\d+\.\d+|local)$/, name)
    for (const port of service.ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, name)
    for (const tmpfs of service.tmpfs) assert.match(tmpfs, /^\/tmp:.*\bnoexec\b/, name)
    assert.equal(service.healthcheck.test[0], 'CMD', `${name}: exec form`)
    for (const volume of service.volumes) {
      const [source = '', , mode] = volume.split(':')
      if (!source.startsWith('.')) assert.ok(source in compose.volumes, volume)
      else {
        assert.equal(mode, 'ro', volume)
        assert.ok(existsSync(deployed(source)), volume)
      }
    }
    for (const needed of Object.keys(service.depends_on ?? {})) assert.ok(needed in compose.services, needed)
  }
})

test('compose: secrets are files, each used, and none stands in the file or in an environment', () => {
  const used = Object.values(compose.services).flatMap((service) => service.secrets ?? [])
  assert.deepEqual([...new Set(used)].sort(), Object.keys(compose.secrets).sort())
  for (const [name, { file }] of Object.entries(compose.secrets)) assert.equal(file, `./secrets/${name}`)
  // what Claw reads must be given to it
  const read = [...compose.configs.claw.content.matchAll(/\$\$\{file:\/run\/secrets\/(\w+)\}/g)].map(
    (match) => match[1],
  )
  assert.deepEqual([...read].sort(), [...(compose.services.claw?.secrets ?? [])].sort())
  assert.doesNotMatch(compose.configs.claw.content, /(?<!\$)\$\{|(?:token|secret|routing_key): (?!\$\$\{file:)\S/)
  const [, credentials] = /credentials_file: \/run\/secrets\/(\w+)/.exec(
    readFileSync(deployed('alertmanager/alertmanager.yaml'), 'utf8'),
  ) ?? ['', '']
  assert.ok(compose.services.alertmanager?.secrets?.includes(credentials ?? ''))
})

test('compose: the services find each other and their files', () => {
  const config = compose.configs.claw.content
  assert.match(config, /store: sqlite:\/data\/claw\.db/)
  assert.match(config, /url: http:\/\/alertmanager:9093/)
  assert.ok(compose.services.claw?.volumes.includes('claw-data:/data'))
  assert.deepEqual(compose.services.claw?.configs, [{ source: 'claw', target: execForm(only('CMD')).at(-1) }])
  const prometheus = readFileSync(deployed('prometheus/prometheus.yaml'), 'utf8')
  assert.match(prometheus, /'alertmanager:9093'/)
  assert.match(prometheus, /'claw:8080'/)
  assert.match(
    readFileSync(deployed('alertmanager/alertmanager.yaml'), 'utf8'),
    /url: http:\/\/claw:8080\/webhooks\/alertmanager /,
  )
  for (const program of ['prometheus', 'alertmanager']) {
    const flag = compose.services[program]?.command?.find((one) => one.startsWith('--config.file='))
    assert.equal(flag, `--config.file=/etc/${program}/${program}.yaml`)
    assert.ok(existsSync(deployed(`${program}/${program}.yaml`)))
  }
})
