import { h, percent } from './text.js'

const count = (value) => Math.round(value).toLocaleString('en')
const ms = (seconds) => (seconds >= 1 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds * 1000)} ms`)

/** What each row shows, and when it is past the limit at which an alert begins (system.md, section 2). */
const ROWS = [
  ['Requests', (r) => `${count(r.request_rate)}/s`, (r) => r.request_rate > 1260],
  ['Refused', (r) => percent(r.refused_ratio), (r) => r.refused_ratio > 0.05],
  ['Failed', (r) => percent(r.error_ratio), (r) => r.error_ratio > 0.005],
  ['Latency p95', (r) => ms(r.p95_latency_seconds), (r) => r.p95_latency_seconds > 0.2],
  ['Sync lag', (r) => ms(r.sync_lag_seconds), (r) => r.sync_lag_seconds >= 0.5],
  ['Jitter', (r) => ms(r.jitter_seconds), (r) => r.jitter_seconds > 0.15],
  ['Conflicts', (r) => `${count(r.conflicts_per_minute)}/min`, (r) => r.conflicts_per_minute > 10],
  ['Version', (r) => r.version, (r) => r.version !== '1.8.2'],
  [
    'Canary',
    (r) => (r.canary_weight > 0 ? `${r.canary_weight} %, rated ${r.rating_score.toFixed(2)}` : 'none'),
    (r) => r.canary_weight > 0 && r.rating_score < 0.7,
  ],
  ['Replicas', (r) => String(r.replicas), () => false],
]

const NODE_LIMIT = 0.05

/** A table of the regions, their buckets over time, and what is being done to them. */
export function edgeOf({ regions, history, operations }, now) {
  return [
    chartOf(regions, history, now),
    h(
      'table',
      { key: 'table' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          h('td'),
          regions.map((region) => h('th', { scope: 'col' }, `Region ${region.region}`)),
        ),
      ),
      h(
        'tbody',
        null,
        row(
          'State',
          regions,
          (r) => stateOf(r),
          (r) => !r.healthy,
        ),
        row(
          'Bucket',
          regions,
          (r) => (r.up ? bucketOf(r) : 'no answer'),
          (r) => !r.up || r.bucket.ratio < 0.1,
        ),
        row(
          'Nodes apart by',
          regions,
          (r) => (r.up ? nodesOf(r) : '–'),
          () => false,
        ),
        ROWS.map(([name, show, bad]) =>
          row(
            name,
            regions,
            (r) => (r.up ? show(r) : '–'),
            (r) => r.up && bad(r),
          ),
        ),
      ),
    ),
    h('h3', { key: 'h-ops' }, 'Done to the edge'),
    operations.length === 0
      ? h('p', { class: 'empty', key: 'none' }, 'Nothing yet.')
      : h('ul', { class: 'operations', key: 'ops' }, operations.map(operationOf)),
  ]
}

function row(name, regions, show, bad) {
  return h(
    'tr',
    { key: name },
    h('th', { scope: 'row' }, name),
    regions.map((region) => {
      const wrong = bad(region)
      return h(
        'td',
        { class: wrong ? 'bad' : '' },
        wrong && h('span', { class: 'sr' }, 'past its limit: '),
        wrong && h('span', { 'aria-hidden': 'true' }, '! '),
        show(region),
      )
    }),
  )
}

function stateOf({ up, healthy, receiving }) {
  if (!up) return 'down'
  return `${healthy ? 'healthy' : 'unhealthy'}${receiving ? '' : ', no clients'}`
}

function bucketOf({ bucket }) {
  return h(
    'span',
    { class: 'bucket', title: `${count(bucket.available)} of ${count(bucket.capacity)} tokens` },
    h('span', { class: 'tank', 'aria-hidden': 'true' }, h('span', { css: { '--level': bucket.ratio.toFixed(3) } })),
    h('span', null, `${percent(bucket.ratio)} left`),
  )
}

function nodesOf({ nodes }) {
  return h(
    'span',
    { class: 'nodes' },
    nodes.map(({ node, delta, diverged_keys: keys }) =>
      h(
        'span',
        { class: delta > NODE_LIMIT ? 'bad' : '', key: node, title: `${keys} keys differ` },
        `${delta > NODE_LIMIT ? '! ' : ''}${node} ${percent(delta)}`,
      ),
    ),
  )
}

const WIDTH = 360
const HEIGHT = 64
const SPAN = 180_000
const DASHES = [null, '5 3', '2 3', '8 3 2 3']

function chartOf(regions, history, now) {
  const x = (at) => (WIDTH * (1 - (now - at) / SPAN)).toFixed(1)
  const y = (level) => (4 + (HEIGHT - 8) * (1 - level)).toFixed(1)
  const paths = regions.map(({ region }, i) => {
    let pen = false
    const steps = []
    for (const { at, levels } of history) {
      const level = levels[i]
      if (level === null || level === undefined) pen = false
      else {
        steps.push(`${pen ? 'L' : 'M'}${x(at)} ${y(level)}`)
        pen = true
      }
    }
    return h('path', {
      class: `line-${i % 4}`,
      d: steps.join('') || undefined,
      'stroke-dasharray': DASHES[i % 4],
      key: region,
    })
  })
  return h(
    'figure',
    { key: 'chart' },
    h(
      'svg',
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: 'img',
        'aria-label': 'Bucket levels of the last three minutes; figures are in the table',
      },
      h('path', { class: 'limit', d: `M0 ${y(0.1)}L${WIDTH} ${y(0.1)}` }),
      paths,
    ),
    h(
      'figcaption',
      null,
      'Buckets, last 3 min: ',
      regions.map(({ region }, i) =>
        h('span', { class: `key line-${i % 4}` }, `${i === 0 ? '——' : '- - -'} ${region} `),
      ),
      h('span', { class: 'quiet' }, '(thin line: 10 %)'),
    ),
  )
}

function operationOf({ id, kind, state, progress, detail }) {
  const running = state === 'running'
  return h(
    'li',
    { key: id },
    h('b', null, `${kind} `),
    h(
      'span',
      { class: state === 'failed' ? 'bad' : 'quiet' },
      running ? `${Math.round(progress * 100)} % done. ` : `${state}. `,
    ),
    h('span', null, detail),
  )
}
