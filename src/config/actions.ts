import { z } from 'zod'
import { RECONCILE_POLICIES } from '../core/edge.ts'
import { ACTIONS, MODES } from '../core/remediation.ts'
import { CLASSES } from '../core/severity.ts'
import { duration, httpUrl, positiveDuration, secret, text } from './parts.ts'

// What Claw may do on the edge: failover, remediation policies, the cluster, the service level.

const MINUTE = 60_000

const remediationPolicy = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._ -]{0,60}$/, 'must be 1 to 61 letters, digits, blanks, . _ or -')
    .describe('Shown as policy:NAME wherever it acts'),
  when: z
    .strictObject({
      class: z.enum(CLASSES).optional().describe('An alert of this class fires in the incident'),
      below: z.number().optional().describe("The measure of that class is below this (bucket level, canary's rating)"),
      above: z
        .number()
        .optional()
        .describe('The measure is above this (conflicts a minute, lag, latency, error ratio)'),
      for: duration().prefault('0s').describe('... for so long without a break'),
      after: z
        .enum(ACTIONS)
        .optional()
        .describe('Only when this was done in the incident before and its trouble came back'),
    })
    .describe('When it acts'),
  action: z.enum(ACTIONS).describe('What it does'),
  with: z
    .strictObject({
      policy: z.enum(RECONCILE_POLICIES).optional().describe('reconcile: whose tokens count'),
      region: text().optional().describe('The region to act on; default: the one that the alert names'),
      to: text().optional().describe('failover: where the clients go'),
      replicas: z.int().min(1).max(1000).optional().describe('scale: how many'),
      factor: z.number().positive().max(10).optional().describe('capacity: how many times'),
      lasts: positiveDuration().optional().describe('scale and capacity: until it goes back by itself'),
    })
    .prefault({})
    .describe('Parameters of the action'),
  mode: z
    .enum(MODES)
    .default('suggest')
    .describe('off; shadow: records what it would have done; suggest: proposes with a button; automatic: acts'),
  cool_down: duration().prefault('10m').describe('Rest after it acted, per region'),
  budget: z
    .strictObject({ max: z.int().min(1), per: positiveDuration() })
    .prefault({ max: 3, per: '1h' })
    .describe('How often it may act at most'),
  verify: z
    .strictObject({ after: positiveDuration() })
    .prefault({ after: '2m' })
    .describe('When to look whether it helped: the measure must be past half of the way back to its threshold'),
  hold_page: duration()
    .prefault('0s')
    .refine((ms) => ms <= 3 * MINUTE, 'must be at most 3m')
    .describe('An incident that it may heal by itself pages only after this, as long as no user is touched'),
})

export const remediation = z.array(remediationPolicy).default([]).describe('What Claw does by itself; none by default')

export const automation = z
  .strictObject({
    leads: text().optional().describe('Receiver that is told when automation gives up: the engineering leads'),
    max_unhelpful: z
      .int()
      .min(1)
      .default(3)
      .describe('More automatic acts in a row without improvement end automation for the incident'),
  })
  .prefault({})
  .describe('When automation stops itself; `/claw automation off` stops all of it at once')

export const slo = z
  .strictObject({
    objective: z.number().gt(0).lt(1).describe('Share of requests that must be served, such as 0.999'),
    window: positiveDuration().prefault('30d').describe('Over this time'),
    burn_limit: z
      .number()
      .positive()
      .default(14.4)
      .describe('Error budget burning this many times faster than it may is a breach: automation stops'),
    query: text().optional().describe('PromQL of the error ratio; default: what the edge says of its regions'),
  })
  .optional()
  .describe('Service level; a breach ends automation for an incident')

const switchRegion = z.strictObject({
  address: text().optional().describe('What the record holds for this region: an IP address or a host name'),
  pool: text().optional().describe('Cloudflare: id of the load balancer pool of this region'),
  set_identifier: text().optional().describe('Route 53: identifier of the weighted record of this region'),
})

export const failover = z
  .strictObject({
    traffic: z.enum(['edge', 'cloudflare', 'route53']).default('edge').describe('What switches traffic'),
    propagation_wait: duration()
      .prefault('60s')
      .describe('Longest wait until the traffic is seen to have moved, at least the TTL of what was switched'),
    soak: duration().prefault('30s').describe('How long the target must stay well before it counts as done'),
    min_bucket: z.number().min(0).max(1).default(0.8).describe('Bucket level that the target must be above'),
    headroom: z
      .number()
      .min(0)
      .default(0.1)
      .describe("Share by which the target's refill rate must exceed what it will be offered"),
    synthetic_load: z
      .strictObject({ url: httpUrl().describe('Called with ?region=R; 2xx means that the load test passed') })
      .optional(),
    regions: z.record(z.string(), switchRegion).default({}).describe('What the switch calls each region'),
    cloudflare: z
      .strictObject({
        api_url: httpUrl().default('https://api.cloudflare.com/client/v4'),
        token: secret().describe('API token: Zone.DNS edit, or Load Balancers edit'),
        zone: text().describe('Zone id'),
        record: text().optional().describe('DNS name whose record is switched'),
        load_balancer: text().optional().describe('Id of the load balancer whose default pools are switched'),
      })
      .optional(),
    route53: z
      .strictObject({
        endpoint: httpUrl().optional().describe('Default: that of AWS'),
        region: text().default('us-east-1'),
        access_key_id: secret().optional().describe('Default: as the AWS SDK finds its credentials'),
        secret_access_key: secret().optional(),
        zone: text().describe('Hosted zone id'),
        record: text().describe('DNS name whose record is switched'),
      })
      .optional(),
  })
  .prefault({})
  .describe('How a region fails over')

export const actions = z
  .strictObject({
    reconcile: z
      .strictObject({
        policy: z.enum(RECONCILE_POLICIES).default('highest-capacity').describe('Whose tokens count'),
        settle: duration().prefault('10s').describe('How long no key may diverge again before it counts as done'),
      })
      .prefault({}),
    revert: z
      .strictObject({
        capacity_factor: z.number().min(1).max(10).default(1.5).describe('Capacity after a revert; 1 for no change'),
        capacity_for: positiveDuration().prefault('30m'),
        watch: duration().prefault('30s').describe('How long nothing may diverge again before it counts as done'),
      })
      .prefault({}),
    scale: z
      .strictObject({
        standby: text().optional().describe('Region that is scaled out; default: the one in trouble'),
        replicas: z.int().min(1).max(1000).default(6),
        lasts: positiveDuration().prefault('30m').describe('Until it scales in again'),
      })
      .prefault({}),
  })
  .prefault({})
  .describe('Defaults of what Claw does on the edge')

export const kubernetes = z
  .strictObject({
    kubeconfig: text().optional().describe('File; default: the service account of the pod, or ~/.kube/config'),
    context: text().optional(),
    url: httpUrl().optional().describe('API server, together with token: instead of a kubeconfig'),
    token: secret().optional(),
    ca_file: text().optional().describe('Certificate authority of url'),
    namespace: text().default('default'),
    rollout: text().optional().describe('Argo Rollout of the edge'),
    config_map: z
      .strictObject({
        name: text().default('token-bucket-policy'),
        key: text()
          .default('canary_weight')
          .describe('Key that holds the weight in percent, or key.path inside YAML/JSON'),
      })
      .optional()
      .describe('ConfigMap that the edge reads its canary weight from'),
    scale: z
      .record(
        z.string(),
        z.strictObject({
          kind: z.enum(['Deployment', 'StatefulSet', 'Rollout', 'Job']).default('Deployment'),
          name: text().describe('Object to scale; for a Job the CronJob that it is made from'),
        }),
      )
      .default({})
      .describe('Region to what scales it'),
    argocd: z.boolean().default(true).describe('Look whether Argo CD owns what is changed'),
  })
  .optional()
  .describe('Cluster of the edge: canary, revert and scale through the Kubernetes API')
