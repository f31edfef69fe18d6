// The control socket of one volume: <state-dir>/run/VOLUME.sock, mode 0600, spoken as control-protocol.ts says.
// It is bound under another name and renamed into place, so that the socket of a killed predecessor is replaced in one
// step and nobody ever finds one that the wrong people may open. That only one engine does so is the holder's lock.
// Bounded: connections, open requests of each, bytes of a line, and the time that closing waits for slow readers.
import { chmod, rename, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { unreachable } from '../../base/assert.ts'
import type { EventLog } from '../../base/log.ts'
import {
  type ControlRequest,
  encodeLine,
  LineSplitter,
  parseRequest,
  problemOf,
  type ControlReply,
} from './control-protocol.ts'
import type { ResizeResult, VolumeControl } from './volume-control.ts'
import type { VolumeStatus } from './status.ts'

export const CONNECTIONS_MAX = 32
export const REQUESTS_OPEN_MAX = 8
/** How long `close` waits for callers to read their last reply. */
const CLOSE_WAIT_MS = 2_000
/** Progress is dropped while a caller has so much of it unread; results never are. */
const UNREAD_BYTES_MAX = 1024 * 1024

/** Suffix of the name under which the socket is bound before it is renamed into place. */
export const SOCKET_NEW_SUFFIX = '.new'
/** sun_path of a unix socket, without the closing zero. */
export const SOCKET_PATH_BYTES_MAX = 107

export interface ControlServerOptions {
  readonly path: string
  readonly control: VolumeControl
  readonly log: EventLog
}

export class ControlServer {
  private readonly options: ControlServerOptions
  private readonly server: Server
  private readonly connections = new Set<Connection>()
  private closing = false

  constructor(options: ControlServerOptions) {
    this.options = options
    this.server = createServer((socket) => this.accept(socket))
    this.server.maxConnections = CONNECTIONS_MAX
  }

  /** Throws when the socket cannot be made. */
  async listen(): Promise<void> {
    const { path, log } = this.options
    const fresh = path + SOCKET_NEW_SUFFIX
    await rm(fresh, { force: true })
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen({ path: fresh, backlog: CONNECTIONS_MAX }, resolve)
    })
    this.server.on('error', (error) => log.event('control.server_failed', { reason: String(error) }, 'error'))
    await chmod(fresh, 0o600)
    await rename(fresh, path)
  }

  /** Takes no new request, lets open ones be answered, then removes the socket. Idempotent; bounded in time. */
  async close(): Promise<void> {
    if (this.closing) return
    this.closing = true
    // First, so that nobody comes upon a socket without a listener.
    await rm(this.options.path, { force: true })
    this.server.close()
    await Promise.all([...this.connections].map((connection) => connection.finish(CLOSE_WAIT_MS)))
  }

  private accept(socket: Socket): void {
    if (this.closing) {
      socket.destroy()
      return
    }
    const connection = new Connection(socket, this.options.control, this.options.log)
    this.connections.add(connection)
    socket.once('close', () => this.connections.delete(connection))
  }
}

class Connection {
  private readonly socket: Socket
  private readonly control: VolumeControl
  private readonly log: EventLog
  private readonly lines = new LineSplitter()
  /** Open requests by id. */
  private readonly open = new Map<number, AbortController>()
  private finishing = false
  private wake: () => void = () => {}

  constructor(socket: Socket, control: VolumeControl, log: EventLog) {
    this.socket = socket
    this.control = control
    this.log = log
    socket.on('data', (chunk) => this.receive(chunk))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      for (const abort of this.open.values()) abort.abort()
    })
  }

  /** Resolves when every open request is answered and the caller has read it, or after `waitMs`. */
  finish(waitMs: number): Promise<void> {
    this.finishing = true
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.socket.destroy(), waitMs)
      this.socket.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      this.wake = () => {
        if (this.open.size === 0) this.socket.end(() => this.socket.destroy())
      }
      this.wake()
      if (this.socket.destroyed) resolve()
    })
  }

  private receive(chunk: Buffer): void {
    const lines = this.lines.push(chunk)
    if (lines === null) {
      this.log.event('control.line_too_long', {}, 'warning')
      this.socket.destroy()
      return
    }
    for (const line of lines) this.take(line)
  }

  private take(line: string): void {
    if (this.finishing) return
    const request = parseRequest(line)
    if ('error' in request) {
      this.send(request)
      return
    }
    if (this.open.size >= REQUESTS_OPEN_MAX || this.open.has(request.id)) {
      const message = this.open.has(request.id) ? 'id is in use by an open request' : 'too many open requests'
      this.send({ id: request.id, error: { kind: 'full', code: 'CACHE_CONTROL_BUSY', message, remedy: null } })
      return
    }
    const abort = new AbortController()
    this.open.set(request.id, abort)
    void this.answer(request, abort.signal)
  }

  private async answer(request: ControlRequest, signal: AbortSignal): Promise<void> {
    const { id } = request
    if (request.method !== 'status') this.log.event('control.request', { method: request.method })
    try {
      const result = await this.call(request, signal)
      this.send({ id, result: result ?? null })
    } catch (error) {
      const problem = problemOf(error)
      const fields = { method: request.method, code: problem.code, reason: problem.message }
      if (!signal.aborted) this.log.event('control.request_failed', fields, 'warning')
      this.send({ id, error: problem })
    }
    this.open.delete(id)
    this.wake()
  }

  private call(request: ControlRequest, signal: AbortSignal): VolumeStatus | Promise<ResizeResult | void> {
    const { control } = this
    const waiting = {
      signal,
      onProgress: (progress: unknown) => {
        if (this.socket.writableLength < UNREAD_BYTES_MAX) this.send({ id: request.id, progress })
      },
    }
    switch (request.method) {
      case 'status':
        return control.status()
      case 'policy':
        return control.setPolicy(request.policy, waiting)
      case 'drain':
        return control.drain(waiting)
      case 'stop':
        return control.stop(waiting)
      case 'resize':
        return control.resize()
      case 'upgrade':
        return control.upgrade({ build: request.build, quiesceMs: request.quiesceMs }, waiting)
      default:
        return unreachable(request)
    }
  }

  private send(reply: ControlReply): void {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(encodeLine(reply))
  }
}
