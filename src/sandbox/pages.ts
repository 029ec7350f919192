import { RULES } from './rules.ts'

/** Escapes text for HTML content and double-quoted attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

/** The headers of every page here: no script runs, nothing is loaded. */
export const PAGE_HEADERS = {
  'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
} as const

const WIDTH = 800
const HEIGHT = 260
const SPAN = 600_000
const DASHES = ['', '8 4', '2 4', '12 4 2 4']

type Series = { region: string; points: readonly { at: number; ratio: number }[] }

/** What the links in alerts lead to: the buckets of the last ten minutes. `expr` is only shown. */
export function graphPage(options: { now: number; series: readonly Series[]; expr: string }): string {
  const { now, series, expr } = options
  const x = (at: number) => (((at - (now - SPAN)) / SPAN) * WIDTH).toFixed(1)
  const lines = series.map(({ region, points }, i) => {
    const path = points.map((point) => `${x(point.at)},${((1 - point.ratio) * HEIGHT).toFixed(1)}`).join(' ')
    const last = points.at(-1)
    const level = last ? `${Math.round(last.ratio * 100)} %` : 'no data'
    const dash = DASHES[i % DASHES.length]
    return {
      line: `<polyline fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="${dash}" points="${path}"/>`,
      legend: `<li>Region ${escapeHtml(region)} (${dash === '' ? 'solid' : 'dashed'}): ${level}</li>`,
    }
  })
  const limit = (0.9 * HEIGHT).toFixed(1)
  return page(
    'Token bucket, last 10 minutes',
    `${expr === '' ? '' : `<p>Asked for: <code>${escapeHtml(expr)}</code></p>`}
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Share of the bucket that is left, by region">
<line x1="0" x2="${WIDTH}" y1="${limit}" y2="${limit}" stroke="currentColor" stroke-opacity="0.4"/>
${lines.map(({ line }) => line).join('\n')}
</svg>
<p>The thin line is 10 %, where TokenBucketDepleted begins.</p>
<ul>${lines.map(({ legend }) => legend).join('')}</ul>`,
  )
}

/** The sandbox's runbook of one alert; null when no rule has that name. */
export function runbookPage(alert: string): string | null {
  const rules = RULES.filter((rule) => rule.alert === alert)
  if (rules.length === 0) return null
  const rows = rules.map(
    (rule) =>
      `<li><code>${escapeHtml(rule.expr)}</code> for ${Math.round(rule.for / 1000)} s (severity ${rule.severity})</li>`,
  )
  return page(
    `Runbook: ${alert}`,
    `<p>It fires when:</p><ul>${rows.join('')}</ul>
<ol><li>Acknowledge the page.</li><li>Read the triage in the incident’s thread: is the limiter right or wrong?</li>
<li>Wrong: roll a recent version back, reconcile, check that it holds. Right: raise capacity or shed load.</li>
<li>A region is gone: fail over, then verify that traffic has moved.</li></ol>`,
  )
}

/** What the links to Alertmanager lead to: what fires now, at most 200. */
export function alertsPage(alerts: readonly { labels: Readonly<Record<string, string>>; startsAt: number }[]): string {
  const rows = alerts.slice(0, 200).map(({ labels, startsAt }) => {
    const { alertname = '', ...rest } = labels
    const matchers = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    const since = new Date(startsAt).toISOString().slice(11, 19)
    return `<li><strong>${escapeHtml(alertname)}</strong> since ${since} UTC <code>${escapeHtml(matchers.join(', '))}</code></li>`
  })
  const none = '<p>Nothing fires.</p>'
  return page(
    `Alertmanager: ${alerts.length} firing`,
    `<p>The sandbox’s own alert source; nothing can be silenced here.</p>${rows.length === 0 ? none : `<ul>${rows.join('')}</ul>`}`,
  )
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}svg{width:100%;border:1px solid}</style>
</head><body><h1>${escapeHtml(title)}</h1>
${body}
</body></html>
`
}
