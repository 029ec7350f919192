// Draws the charts of /charts from its figures; the tables beside them say the same without this.
;(() => {
  const main = document.querySelector('[data-charts]')
  const heatBox = document.getElementById('chart-heat')
  const lagBox = document.getElementById('chart-lag')
  if (!main || !heatBox || !lagBox) return

  const EVERY = 10_000
  const DASHES = [[], [8, 4], [2, 4], [12, 4, 2, 4], [4, 2]]
  const colours = (names) => {
    const style = getComputedStyle(document.documentElement)
    return names.map((name) => style.getPropertyValue(name).trim())
  }
  const heatStep = (ratio) => [0.1, 0.2, 0.35, 0.5, 0.75].filter((limit) => ratio >= limit).length
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19)
  // Within a few minutes the seconds tell one tick from the next.
  const ticks = (times) => (times.at(-1) - times[0] < 900 ? utc : (seconds) => utc(seconds).slice(0, 5))

  let charts = []
  let last = null

  const axis = (ink, line, more) => ({
    stroke: ink,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1 },
    font: '12px system-ui, sans-serif',
    ...more,
  })

  function heatChart(frame) {
    const [ink, line, ground, ...steps] = colours([
      ...['--dim', '--line', '--card'],
      ...[0, 1, 2, 3, 4, 5].map((step) => `--heat-${step}`),
    ])
    const { times, regions } = frame
    const step = times.length > 1 ? times[1] - times[0] : 60
    const row = 36
    const options = {
      width: heatBox.clientWidth,
      height: regions.length * row + 48,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true, range: [times[0], times.at(-1) + step] }, y: { range: [0, regions.length] } },
      axes: [
        axis(ink, line, {
          values: (_u, values) => values.map(ticks(times)),
          grid: { show: false },
          space: 70,
          size: 40,
        }),
        axis(ink, line, {
          size: 84,
          splits: () => regions.map((_name, i) => i + 0.5),
          values: () => [...regions].reverse().map((name) => (name.length > 11 ? `${name.slice(0, 10)}…` : name)),
          grid: { show: false },
          ticks: { show: false },
        }),
      ],
      series: [{}, { show: true, points: { show: false }, stroke: 'transparent' }],
      hooks: {
        draw: [
          (u) => {
            const { ctx } = u
            ctx.save()
            for (const [i, values] of frame.bucket.entries()) {
              const top = u.valToPos(regions.length - i, 'y', true)
              const bottom = u.valToPos(regions.length - i - 1, 'y', true)
              for (const [n, ratio] of values.entries()) {
                const left = u.valToPos(times[n], 'x', true)
                const width = u.valToPos(times[n] + step, 'x', true) - left
                ctx.fillStyle = ratio === null ? ground : steps[heatStep(ratio)]
                ctx.fillRect(left, top + 1, Math.max(1, width + 0.5), bottom - top - 2)
                if (ratio !== null && ratio < 0.1 && width > 3) {
                  // Not by colour alone.
                  ctx.strokeStyle = ground
                  ctx.lineWidth = 1
                  ctx.beginPath()
                  ctx.moveTo(left, top + 1)
                  ctx.lineTo(left + width, bottom - 1)
                  ctx.moveTo(left + width, top + 1)
                  ctx.lineTo(left, bottom - 1)
                  ctx.stroke()
                }
              }
            }
            ctx.restore()
          },
        ],
      },
    }
    return new uPlot(options, [times, times.map(() => null)], heatBox)
  }

  function lagChart(frame) {
    const [ink, line, limit, ...lines] = colours(['--dim', '--line', '--p1', '--p3', '--ok', '--p2', '--link', '--ink'])
    const { times, regions, lag } = frame
    const options = {
      width: lagBox.clientWidth,
      height: 220,
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, Math.max(0.6, (max ?? 0) * 1.1)] } },
      axes: [
        axis(ink, line, { values: (_u, values) => values.map(ticks(times)), space: 70, size: 40 }),
        axis(ink, line, { size: 56, values: (_u, values) => values.map((value) => `${+value.toPrecision(3)} s`) }),
      ],
      series: [
        { label: 'UTC', value: (_u, value) => (value === null ? '–' : utc(value)) },
        ...regions.map((label, i) => ({
          label,
          stroke: lines[i % lines.length],
          width: 2,
          dash: DASHES[i % DASHES.length],
          spanGaps: true,
          points: { show: false },
          value: (_u, value) => (value === null ? '–' : `${+value.toPrecision(2)} s`),
        })),
      ],
      hooks: {
        draw: [
          (u) => {
            const y = u.valToPos(0.5, 'y', true)
            u.ctx.save()
            u.ctx.strokeStyle = limit
            u.ctx.globalAlpha = 0.6
            u.ctx.beginPath()
            u.ctx.moveTo(u.bbox.left, y)
            u.ctx.lineTo(u.bbox.left + u.bbox.width, y)
            u.ctx.stroke()
            u.ctx.restore()
          },
        ],
      },
    }
    return new uPlot(options, [times, ...lag], lagBox)
  }

  function draw() {
    if (!last || last.times.length < 2) return
    for (const chart of charts) chart.destroy()
    charts = [heatChart(last), lagChart(last)]
  }

  function matrix({ rows }) {
    const cells = document.querySelectorAll('#matrix tbody tr')
    for (const [i, row] of rows.entries()) {
      for (const [n, cell] of row.cells.entries()) {
        const td = cells[i]?.children[n + 1]
        if (!td) continue
        td.className = `corr${cell.step < 0 ? '-minus' : ''}-${Math.abs(cell.step)}`
        td.querySelector('b').textContent = cell.text
        td.querySelector('span').textContent = cell.word
      }
    }
  }

  async function load() {
    if (document.hidden) return
    const answer = await fetch(main.dataset.charts, { headers: { Accept: 'application/json' } })
    if (!answer.ok) return
    last = await answer.json()
    draw()
    matrix(last.matrix)
  }

  let resizing
  addEventListener('resize', () => {
    clearTimeout(resizing)
    resizing = setTimeout(draw, 150)
  })
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
  const again = () => load().catch(() => {})
  setInterval(again, EVERY)
  again()
})()
