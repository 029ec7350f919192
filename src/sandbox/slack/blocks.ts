import { asRecord } from '../front.ts'

/**
 * What Slack refuses in blocks. From docs.slack.dev, "Block Kit reference" (blocks, block elements, composition objects);
 * `all` from slackapi/bolt-js issue 2509: undocumented, about 13 200 characters. How Slack counts is unknown: the length of
 * the blocks as JSON is the strictest reading.
 */
export const SLACK_LIMITS = {
  text: 40_000,
  blocks: 50,
  all: 13_200,
  sectionText: 3_000,
  fields: 10,
  fieldText: 2_000,
  headerText: 150,
  actionElements: 25,
  contextElements: 10,
  buttonText: 75,
  buttonValue: 2_000,
  url: 3_000,
  id: 255,
  altText: 2_000,
  confirmTitle: 100,
  confirmText: 300,
  confirmButton: 30,
  metadata: 8_192,
} as const

const L = SLACK_LIMITS
type Obj = Record<string, unknown>

/** Collects complaints in Slack's own form, `must be … [json-pointer:/blocks/0/text]`. */
class Report {
  readonly messages: string[] = []

  add(text: string, pointer: string): void {
    this.messages.push(`[ERROR] ${text} [json-pointer:${pointer}]`)
  }

  object(value: unknown, pointer: string, required: readonly string[], optional: readonly string[]): Obj | null {
    const object = asRecord(value)
    if (object === null) {
      this.add('must provide an object', pointer)
      return null
    }
    for (const key of required) if (object[key] === undefined) this.add(`missing required field: ${key}`, pointer)
    for (const key of Object.keys(object)) {
      if (!required.includes(key) && !optional.includes(key)) this.add(`invalid additional property: ${key}`, pointer)
    }
    return object
  }

  string(value: unknown, pointer: string, max: number, min = 1): void {
    if (value === undefined) return
    if (typeof value !== 'string') {
      this.add('must provide a string', pointer)
      return
    }
    if (value.length < min) this.add(`must be more than ${min - 1} characters`, pointer)
    if (value.length > max) this.add(`must be less than ${max + 1} characters`, pointer)
  }

  text(value: unknown, pointer: string, max: number, plain: boolean): void {
    if (value === undefined) return
    const object = this.object(value, pointer, ['type', 'text'], ['emoji', 'verbatim'])
    if (object === null) return
    const { type } = object
    if (type !== 'plain_text' && (plain || type !== 'mrkdwn')) this.add('unsupported type of text', `${pointer}/type`)
    if (type === 'mrkdwn' && object.emoji !== undefined) this.add('invalid additional property: emoji', pointer)
    if (type === 'plain_text' && object.verbatim !== undefined)
      this.add('invalid additional property: verbatim', pointer)
    this.string(object.text, `${pointer}/text`, max)
  }

  url(value: unknown, pointer: string): void {
    if (value === undefined) return
    this.string(value, pointer, L.url)
    if (typeof value === 'string' && (!/^https?:\/\/\S+$/i.test(value) || !URL.canParse(value))) {
      this.add('must be a valid URL', pointer)
    }
  }

  list(value: unknown, pointer: string, max: number): unknown[] {
    if (value === undefined) return []
    if (!Array.isArray(value)) {
      this.add('must provide an array', pointer)
      return []
    }
    if (value.length === 0) this.add('no fewer than 1 items allowed', pointer)
    if (value.length > max) this.add(`no more than ${max} items allowed`, pointer)
    return value
  }
}

function checkConfirm(value: unknown, pointer: string, report: Report): void {
  if (value === undefined) return
  const object = report.object(value, pointer, ['title', 'text', 'confirm', 'deny'], ['style'])
  if (object === null) return
  report.text(object.title, `${pointer}/title`, L.confirmTitle, true)
  report.text(object.text, `${pointer}/text`, L.confirmText, false)
  report.text(object.confirm, `${pointer}/confirm`, L.confirmButton, true)
  report.text(object.deny, `${pointer}/deny`, L.confirmButton, true)
}

function checkStyle(value: unknown, pointer: string, report: Report): void {
  if (value !== undefined && value !== 'primary' && value !== 'danger') report.add('invalid style', pointer)
}

function checkImage(value: unknown, pointer: string, report: Report, block: boolean): void {
  const optional = ['image_url', 'slack_file', ...(block ? ['title', 'block_id'] : [])]
  const object = report.object(value, pointer, ['type', 'alt_text'], optional)
  if (object === null) return
  if (object.image_url === undefined && object.slack_file === undefined) {
    report.add('missing required field: image_url', pointer)
  }
  report.url(object.image_url, `${pointer}/image_url`)
  report.string(object.alt_text, `${pointer}/alt_text`, L.altText)
  if (block) report.text(object.title, `${pointer}/title`, L.fieldText, true)
}

/** Elements that Claw has no use for are only known by name: a new one needs its limits here first. */
const OTHER_ELEMENTS = new Set([
  'static_select',
  'external_select',
  'users_select',
  'conversations_select',
  'channels_select',
  'multi_static_select',
  'overflow',
  'datepicker',
  'timepicker',
  'datetimepicker',
  'checkboxes',
  'radio_buttons',
  'plain_text_input',
])

function checkElement(value: unknown, pointer: string, report: Report, actionIds: Set<string>): void {
  const type = asRecord(value)?.type
  if (type === 'image') {
    checkImage(value, pointer, report, false)
    return
  }
  const object = asRecord(value)
  if (type === 'button') {
    report.object(
      value,
      pointer,
      ['type', 'text'],
      ['action_id', 'url', 'value', 'style', 'confirm', 'accessibility_label'],
    )
    report.text(object?.text, `${pointer}/text`, L.buttonText, true)
    report.string(object?.value, `${pointer}/value`, L.buttonValue)
    report.url(object?.url, `${pointer}/url`)
    checkStyle(object?.style, `${pointer}/style`, report)
    checkConfirm(object?.confirm, `${pointer}/confirm`, report)
    report.string(object?.accessibility_label, `${pointer}/accessibility_label`, L.buttonText)
  } else if (typeof type !== 'string' || !OTHER_ELEMENTS.has(type)) {
    report.add(`unsupported type: ${String(type)}`, `${pointer}/type`)
    return
  }
  const id = object?.action_id
  report.string(id, `${pointer}/action_id`, L.id)
  if (typeof id !== 'string') return
  if (actionIds.has(id)) report.add(`action_id "${id}" already exists in this block`, `${pointer}/action_id`)
  actionIds.add(id)
}

function checkBlock(value: unknown, pointer: string, report: Report, view: boolean): void {
  const block = asRecord(value)
  const type = block?.type
  const ids = new Set<string>()
  switch (type) {
    case 'section':
      report.object(value, pointer, ['type'], ['text', 'fields', 'accessory', 'block_id', 'expand'])
      if (block?.text === undefined && block?.fields === undefined) {
        report.add('missing required field: text', pointer)
      }
      report.text(block?.text, `${pointer}/text`, L.sectionText, false)
      for (const [i, field] of report.list(block?.fields, `${pointer}/fields`, L.fields).entries()) {
        report.text(field, `${pointer}/fields/${i}`, L.fieldText, false)
      }
      if (block?.accessory !== undefined) checkElement(block.accessory, `${pointer}/accessory`, report, ids)
      break
    case 'header':
      report.object(value, pointer, ['type', 'text'], ['block_id'])
      report.text(block?.text, `${pointer}/text`, L.headerText, true)
      break
    case 'divider':
      report.object(value, pointer, ['type'], ['block_id'])
      break
    case 'context':
      report.object(value, pointer, ['type', 'elements'], ['block_id'])
      for (const [i, element] of report.list(block?.elements, `${pointer}/elements`, L.contextElements).entries()) {
        const at = `${pointer}/elements/${i}`
        if (asRecord(element)?.type === 'image') checkImage(element, at, report, false)
        else report.text(element, at, L.sectionText, false)
      }
      break
    case 'actions':
      report.object(value, pointer, ['type', 'elements'], ['block_id'])
      for (const [i, element] of report.list(block?.elements, `${pointer}/elements`, L.actionElements).entries()) {
        checkElement(element, `${pointer}/elements/${i}`, report, ids)
      }
      break
    case 'image':
      checkImage(value, pointer, report, true)
      break
    case 'rich_text':
      report.object(value, pointer, ['type', 'elements'], ['block_id'])
      break
    case 'input':
      if (!view) report.add(`unsupported type: ${type}`, `${pointer}/type`)
      report.object(value, pointer, ['type', 'label', 'element'], ['block_id', 'hint', 'optional', 'dispatch_action'])
      report.text(block?.label, `${pointer}/label`, L.fieldText, true)
      report.text(block?.hint, `${pointer}/hint`, L.fieldText, true)
      if (block?.element !== undefined) checkElement(block.element, `${pointer}/element`, report, ids)
      break
    default:
      report.add(`unsupported type: ${String(type)}`, `${pointer}/type`)
  }
  report.string(block?.block_id, `${pointer}/block_id`, L.id)
}

/**
 * Complaints about a list of blocks, in Slack's words; empty when Slack would take them.
 * `max` is 50 in messages and 100 in views.
 */
export function checkBlocks(blocks: unknown, options: { max?: number; view?: boolean } = {}): string[] {
  const report = new Report()
  const max = options.max ?? L.blocks
  if (!Array.isArray(blocks)) {
    report.add('must provide an array', '/blocks')
    return report.messages
  }
  if (blocks.length > max) report.add(`no more than ${max} items allowed`, '/blocks')
  const ids = new Set<string>()
  for (const [i, block] of blocks.entries()) {
    checkBlock(block, `/blocks/${i}`, report, options.view ?? false)
    const id = asRecord(block)?.block_id
    if (typeof id !== 'string') continue
    if (ids.has(id)) report.add(`block_id "${id}" already exists`, `/blocks/${i}/block_id`)
    ids.add(id)
  }
  return report.messages
}
