import { z } from 'zod'
import { httpUrl, secret } from './parts.ts'

export const grafana = z
  .strictObject({
    url: httpUrl().describe('Grafana, for annotations of incidents and acts on the edge'),
    token: secret().describe('Token of a service account that may read, create and write annotations (role Editor)'),
  })
  .optional()
  .describe('Grafana whose graphs show incidents and acts')
