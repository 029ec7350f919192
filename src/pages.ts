import { Router } from 'express'
import type { Parts } from './app.ts'

export function createPages(_parts: Parts, _options: { sandbox: { name: string; text: string }[] | null }): Router {
  return Router()
}
