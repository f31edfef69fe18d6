// Control sockets, mode 0600: of a volume (<state-dir>/run/VOLUME.sock, control-protocol.ts) and of a replica store
// (<state-dir>/peers/NODE.sock, peer-process/control-protocol.ts). LineServer is what they share: lines, limits, replies.
// A socket is bound under another name and renamed into place, so that the socket of a killed predecessor is replaced in one
// step and nobody ever finds one that the wrong people may open. That only one process does so is its caller's lock.
// Bounded: connections, open requests of each, bytes of a line, and the time that closing waits for slow readers.
import { chmod, rename, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { unreachable } from '../../base/assert.ts'
import type { EventLog } from '../../base/log.ts'
import {
  type ControlProblem,
  type ControlRequest,
  encodeLine,
  LineSplitter,
  parseRequest,
  problemOf,
  type ControlReply,
} from './control-protocol.ts'
import type { VolumeControl } from './volume-control.ts'

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

export interface LineRequest {
  readonly id: number
  readonly method: string
}

/** What an answer may report on its way, and whether anybody still waits for it. */
export interface LineWaiting {
  readonly onProgress: (progress: unknown) => void
  readonly signal: AbortSignal
}

export interface LineServerOptions<R extends LineRequest> {
  readonly path: string
  readonly log: EventLog
  /** Reads one line of a caller; never throws. */
  readonly parse: (line: string) => R | { readonly id: number | null; readonly error: ControlProblem }
  /** Throws CacheError; its code, message and remedy reach the caller. */
  readonly answer: (request: R, waiting: LineWaiting) => unknown
}

export class LineServer<R extends LineRequest> {
  private readonly options: LineServerOptions<R>
  private readonly server: Server
  private readonly connections = new Set<Connection<R>>()
  private closing = false

  constructor(options: LineServerOptions<R>) {
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
    const connection = new Connection(socket, this.options)
    this.connections.add(connection)
    socket.once('close', () => this.connections.delete(connection))
  }
}

export interface ControlServerOptions {
  readonly path: string
  readonly control: VolumeControl
  readonly log: EventLog
}

/** The control socket of one volume. */
export class ControlServer extends LineServer<ControlRequest> {
  constructor({ path, control, log }: ControlServerOptions) {
    super({ path, log, parse: parseRequest, answer: (request, waiting) => callVolume(control, request, waiting) })
  }
}

class Connection<R extends LineRequest> {
  private readonly socket: Socket
  private readonly options: LineServerOptions<R>
  private readonly lines = new LineSplitter()
  /** Open requests by id. */
  private readonly open = new Map<number, AbortController>()
  private finishing = false
  private wake: () => void = () => {}

  constructor(socket: Socket, options: LineServerOptions<R>) {
    this.socket = socket
    this.options = options
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
      this.options.log.event('control.line_too_long', {}, 'warning')
      this.socket.destroy()
      return
    }
    for (const line of lines) this.take(line)
  }

  private take(line: string): void {
    if (this.finishing) return
    const request = this.options.parse(line)
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

  private async answer(request: R, signal: AbortSignal): Promise<void> {
    const { id } = request
    if (request.method !== 'status') this.options.log.event('control.request', { method: request.method })
    try {
      const result: unknown = await this.options.answer(request, {
        signal,
        onProgress: (progress) => {
          if (this.socket.writableLength < UNREAD_BYTES_MAX) this.send({ id, progress })
        },
      })
      this.send({ id, result: result ?? null })
    } catch (error) {
      const problem = problemOf(error)
      const fields = { method: request.method, code: problem.code, reason: problem.message }
      if (!signal.aborted) this.options.log.event('control.request_failed', fields, 'warning')
      this.send({ id, error: problem })
    }
    this.open.delete(id)
    this.wake()
  }

  private send(reply: ControlReply): void {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(encodeLine(reply))
  }
}

function callVolume(control: VolumeControl, request: ControlRequest, waiting: LineWaiting): unknown {
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
    case 'move':
      return control.move(request.to, waiting)
    case 'end-older':
      return control.endOlder(request)
    default:
      return unreachable(request)
  }
}
