/** Which region serves whose clients. Shares are 0..1 of the clients at home in `origin`. */
export type Routing = {
  share(origin: string, target: string): number
  /** Whether `target` serves any clients. */
  receiving(target: string): boolean
  /** Whether `target` serves clients that are at home elsewhere. */
  hosting(target: string): boolean
  /**
   * Plans to move the traffic of one region to another. When `from` serves clients that belong to `to`, only those go home;
   * otherwise all that `from` serves moves. The plan is carried out as far as `progress` (0..1) says.
   */
  plan(from: string, to: string): { origins: readonly string[]; move(progress: number): void }
  goHome(): void
}

/** Makes a routing in which every region serves its own clients. */
export function createRouting(regions: readonly string[]): Routing {
  /** shares.get(origin).get(target) */
  const shares = new Map<string, Map<string, number>>()
  const share = (origin: string, target: string) => shares.get(origin)?.get(target) ?? 0
  function goHome(): void {
    shares.clear()
    for (const name of regions) shares.set(name, new Map([[name, 1]]))
  }
  goHome()
  return {
    share,
    receiving: (target) => regions.some((origin) => share(origin, target) > 0.001),
    hosting: (target) => regions.some((origin) => origin !== target && share(origin, target) > 0.001),
    plan(from, to) {
      const homecoming = share(to, from) > 0
      const origins = homecoming ? [to] : regions.filter((origin) => share(origin, from) > 0)
      const before = origins.map((origin) => ({ origin, left: share(origin, from), had: share(origin, to) }))
      return {
        origins,
        move(progress) {
          for (const { origin, left, had } of before) {
            shares.get(origin)?.set(from, left * (1 - progress))
            shares.get(origin)?.set(to, had + left * progress)
          }
        },
      }
    },
    goHome,
  }
}
