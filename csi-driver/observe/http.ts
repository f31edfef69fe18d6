// The HTTP endpoint of --metrics: GET /metrics (Prometheus text format) and GET /healthz. Nothing else, nothing that
// changes anything. It is slow-reader safe: few connections, short limits, no keep-alive beyond them.
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { CacheError } from '../../base/errors.ts'
import { printAddress, type SocketAddress } from '../../base/setting-kinds.ts'

// Not by an import, which reads every export of the module: one of them is WebSocket, and with it come a client and HTTP/2.
// That is 10 MiB of resident memory in every process that has this file.
const { createServer } = process.getBuiltinModule('node:http')

const CONNECTIONS_MAX = 64
const REQUEST_TIMEOUT_MS = 10_000

export interface HttpSources {
  /** Prometheus text format 0.0.4. */
  metrics(): string
  /** `ok` decides between 200 and 503; the text says why. */
  health(): { readonly ok: boolean; readonly text: string }
}

export class ObserveServer {
  private readonly server: Server
  private readonly address: SocketAddress

  constructor(address: SocketAddress, sources: HttpSources) {
    this.address = address
    this.server = createServer((request, response) => respond(request, response, sources))
    this.server.maxConnections = CONNECTIONS_MAX
    this.server.requestTimeout = REQUEST_TIMEOUT_MS
    this.server.headersTimeout = REQUEST_TIMEOUT_MS
    this.server.keepAliveTimeout = REQUEST_TIMEOUT_MS
  }

  /** Resolves with the port in use. Throws CacheError `invalid` when the address cannot be had. */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.once('error', (cause) => reject(cannotListen(this.address, cause)))
      this.server.listen({ host: this.address.host, port: this.address.port }, () => {
        const bound = this.server.address()
        resolve(typeof bound === 'object' && bound !== null ? bound.port : this.address.port)
      })
    })
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve())
      this.server.closeAllConnections()
    })
  }
}

function cannotListen(address: SocketAddress, cause: Error): CacheError {
  const message = `cannot listen address=${printAddress(address)} cause=${cause.message}`
  return new CacheError('invalid', 'CACHE_METRICS_ADDRESS', message, {
    cause,
    remedy: 'Give --metrics an address of this host with a free port.',
  })
}

function respond(request: IncomingMessage, response: ServerResponse, sources: HttpSources): void {
  const path = (request.url ?? '/').split('?')[0]
  const reply = (status: number, type: string, text: string): void => {
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
    response.end(request.method === 'HEAD' ? undefined : text)
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    reply(405, 'text/plain; charset=utf-8', 'only GET\n')
  } else if (path === '/metrics') {
    reply(200, 'text/plain; version=0.0.4; charset=utf-8', sources.metrics())
  } else if (path === '/healthz') {
    const { ok, text } = sources.health()
    reply(ok ? 200 : 503, 'text/plain; charset=utf-8', `${text}\n`)
  } else {
    reply(404, 'text/plain; charset=utf-8', 'see /metrics and /healthz\n')
  }
}
