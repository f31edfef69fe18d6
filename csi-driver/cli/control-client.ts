// The caller's end of a volume's control socket. One connection per command; a broken connection ends every open call.
import { createConnection, type Socket } from 'node:net'
import { CacheError } from '../../base/errors.ts'
import {
  type ControlCall,
  type ControlReply,
  encodeLine,
  errorOf,
  LineSplitter,
  parseReply,
} from '../observe/control-protocol.ts'
import type { Progress } from '../observe/volume-control.ts'
import type { PeerCall } from '../peer-process/control-protocol.ts'

export interface CallOptions {
  readonly onProgress?: (progress: Progress) => void
  /** Aborting closes the connection; the call rejects with CACHE_INTERRUPTED. */
  readonly signal?: AbortSignal
}

interface OpenCall {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: CacheError) => void
  readonly onProgress: (progress: Progress) => void
}

export class ControlClient {
  private readonly socket: Socket
  private readonly lines = new LineSplitter()
  private readonly open = new Map<number, OpenCall>()
  private lastId = 0

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => this.receive(chunk))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.fail(lostConnection()))
  }

  /** Null when nobody listens at `path`. Throws CacheError where the caller may not connect. */
  static connect(path: string): Promise<ControlClient | null> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ path })
      socket.once('connect', () => resolve(new ControlClient(socket)))
      socket.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(null)
        else reject(cannotConnect(path, error))
      })
    })
  }

  /** Throws CacheError: the one of the volume, or CACHE_CONNECTION_LOST. */
  call(call: ControlCall | PeerCall, options: CallOptions = {}): Promise<unknown> {
    this.lastId++
    const id = this.lastId
    return new Promise((resolve, reject) => {
      this.open.set(id, { resolve, reject, onProgress: options.onProgress ?? (() => {}) })
      options.signal?.addEventListener('abort', () => {
        this.fail(new CacheError('unknown-outcome', 'CACHE_INTERRUPTED', 'interrupted'))
        this.socket.destroy()
      })
      if (this.socket.destroyed) this.fail(lostConnection())
      else this.socket.write(encodeLine({ id, ...call }))
    })
  }

  close(): void {
    this.socket.destroy()
  }

  private receive(chunk: Buffer): void {
    const lines = this.lines.push(chunk)
    if (lines === null) this.socket.destroy()
    for (const line of lines ?? []) {
      const reply = parseReply(line)
      if (reply !== null) this.take(reply)
    }
  }

  private take(reply: ControlReply): void {
    if (reply.id === null) {
      if ('error' in reply) this.fail(errorOf(reply.error))
      return
    }
    const call = this.open.get(reply.id)
    if (call === undefined) return
    if ('progress' in reply) {
      call.onProgress(reply.progress as Progress)
      return
    }
    this.open.delete(reply.id)
    if ('error' in reply) call.reject(errorOf(reply.error))
    else call.resolve(reply.result)
  }

  private fail(error: CacheError): void {
    const calls = [...this.open.values()]
    this.open.clear()
    for (const call of calls) call.reject(error)
  }
}

function lostConnection(): CacheError {
  return new CacheError('unknown-outcome', 'CACHE_CONNECTION_LOST', 'the engine closed the control connection', {
    remedy: 'Ask `forebay status`; an engine that died is started again by its holder.',
  })
}

function cannotConnect(path: string, cause: NodeJS.ErrnoException): CacheError {
  const remedy = cause.code === 'EACCES' || cause.code === 'EPERM' ? 'Run it as root.' : 'Look at the state directory.'
  const message = `cannot reach the volume socket=${path} cause=${cause.code ?? cause.message}`
  return new CacheError('invalid', 'CACHE_CONTROL_SOCKET', message, { remedy, cause })
}
