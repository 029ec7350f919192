// What pages do besides htmx: keep open what the reader opened, say aloud what matters, and say when they are not live.
;(() => {
  const announcer = document.getElementById('announce')
  let said = document.getElementById('live')?.dataset.announce ?? ''
  let open = new Set()
  let closed = new Set()

  const details = () => document.querySelectorAll('#live details[id]')

  document.body.addEventListener('htmx:beforeSwap', () => {
    open = new Set([...details()].filter((one) => one.open).map((one) => one.id))
    closed = new Set([...details()].filter((one) => !one.open).map((one) => one.id))
  })

  document.body.addEventListener('htmx:afterSwap', () => {
    for (const one of details()) {
      if (open.has(one.id)) one.open = true
      if (closed.has(one.id)) one.open = false
    }
    const now = document.getElementById('live')?.dataset.announce ?? ''
    // Only what changed, or a reader would hear the same every second.
    if (announcer && now !== said) announcer.textContent = now
    said = now
    live(true)
  })

  // A form that is being filled in, or a selection, is not pulled away under the reader's hands.
  document.body.addEventListener('htmx:beforeRequest', (event) => {
    if (event.detail.target?.id !== 'live') return
    const busy = document.activeElement?.closest('#live input:not([type=hidden]), #live textarea, #live select')
    const selected = document.getSelection()
    const marks = selected && !selected.isCollapsed && document.getElementById('live')?.contains(selected.anchorNode)
    if (busy || marks) event.preventDefault()
  })

  const liveness = document.getElementById('liveness')
  function live(yes) {
    if (!liveness) return
    const state = yes ? 'live' : 'lost'
    const clock = new Date().toISOString().slice(11, 19)
    liveness.dataset.state = state
    liveness.querySelector('.dot').className = `dot ${yes ? 'ok' : 'bad'}`
    const word = liveness.querySelector('.word')
    if (yes) word.textContent = `Live, as of ${clock} UTC`
    else if (!word.textContent.startsWith('Not live')) word.textContent = `Not live since ${clock} UTC: trying again`
  }
  document.body.addEventListener('htmx:sseOpen', () => live(true))
  document.body.addEventListener('htmx:sseError', () => live(false))
})()
