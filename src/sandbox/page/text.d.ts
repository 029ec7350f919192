/** A node of the page as data. */
export type Node = { tag: string; key: string | number | null; props: Record<string, unknown>; children: Child[] }
export type Child = Node | string
export function h(tag: string, props: Record<string, unknown> | null, ...children: unknown[]): Node
export function safeUrl(url: unknown): string | null
export function link(url: unknown, ...children: unknown[]): Node
export function unescapeSlack(text: string): string
export function mrkdwn(source: unknown): Child[]
export function telegramText(
  text: string,
  entities: readonly { type: string; offset: number; length: number; url?: string }[],
): Child[]
export function clockOf(seconds: number): string
export function timeOf(ms: number, seconds?: boolean): string
export function percent(ratio: number): string
