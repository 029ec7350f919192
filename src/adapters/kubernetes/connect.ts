import { existsSync } from 'node:fs'
import type http from 'node:http'
import type https from 'node:https'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node'
import { ClawError } from '../../core/errors.ts'

/** How the API server is reached; the first that is given counts: kubeconfig, url, the pod's service account, ~/.kube/config. */
export type Access = {
  kubeconfig?: string | undefined
  context?: string | undefined
  url?: string | undefined
  token?: string | undefined
  ca_file?: string | undefined
}

export type Connection = {
  /** address of the API server; may hold a path */
  server: string
  /** Certificates, agent and headers for one request, as the kubeconfig says; tokens are read anew when they expire. */
  credentials(): Promise<Credentials>
}

export type Credentials = https.RequestOptions & { headers?: http.OutgoingHttpHeaders }

/** Where Kubernetes mounts the token of a pod's service account (Kubernetes: "Accessing the Kubernetes API from a Pod"). */
const POD_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token'

/**
 * Finds the API server and how to speak to it. `podRoot` stands before the path of the service account's files.
 * @throws ClawError('invalid') when there is no usable configuration; texts hold nothing of the file's content
 */
export async function connect(access: Access, podRoot = ''): Promise<Connection> {
  // 90 MB and half a second: only for those who configure a cluster
  const client = await import('@kubernetes/client-node')
  const config = new client.KubeConfig()
  load(config, access, podRoot)
  if (access.context !== undefined) {
    if (config.getContextObject(access.context) === null) {
      throw new ClawError(
        'invalid',
        `Kubernetes: the kubeconfig has no context ${access.context}; check kubernetes.context`,
      )
    }
    config.setCurrentContext(access.context)
  }
  // without TLS there is nothing to verify, and the client refuses plain HTTP (kubectl proxy) unless told so
  config.clusters = config.clusters.map((cluster) =>
    cluster.server.startsWith('http:') ? { ...cluster, skipTLSVerify: true } : cluster,
  )
  const server = config.getCurrentCluster()?.server
  if (server === undefined || config.getCurrentUser() === null) {
    throw new ClawError('invalid', 'Kubernetes: the kubeconfig names no cluster and user; set kubernetes.context')
  }
  return {
    server,
    async credentials() {
      const options: Credentials = {}
      await config.applyToHTTPSOptions(options)
      return options
    },
  }
}

function load(config: KubeConfig, access: Access, podRoot: string): void {
  const { kubeconfig, url } = access
  try {
    if (kubeconfig !== undefined) config.loadFromFile(kubeconfig)
    else if (url !== undefined) loadFromUrl(config, url, access)
    else if (process.env.KUBERNETES_SERVICE_HOST && existsSync(`${podRoot}${POD_TOKEN}`))
      config.loadFromCluster(podRoot)
    else if (process.env.KUBECONFIG || existsSync(join(homedir(), '.kube', 'config'))) config.loadFromDefault()
    else {
      throw new ClawError(
        'invalid',
        'Kubernetes: neither a service account of a pod nor ~/.kube/config is there; set kubernetes.kubeconfig, or url and token',
      )
    }
  } catch (error) {
    if (error instanceof ClawError) throw error
    // parsers quote the file, which holds keys and tokens
    const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : ''
    const what = kubeconfig === undefined ? 'the kubeconfig' : `kubernetes.kubeconfig ${kubeconfig}`
    throw new ClawError('invalid', `Kubernetes: ${what} cannot be read${code}`)
  }
}

function loadFromUrl(config: KubeConfig, server: string, { token, ca_file: caFile }: Access): void {
  const cluster = { name: 'claw', server, skipTLSVerify: false, ...(caFile === undefined ? {} : { caFile }) }
  config.loadFromClusterAndUser(cluster, { name: 'claw', ...(token === undefined ? {} : { token }) })
}
