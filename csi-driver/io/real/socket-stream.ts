// A socket of node:net or node:tls as the ByteStream of io/network.ts. Bounded: unsent data beyond
// STREAM_PENDING_BYTES_MAX destroys the socket. The socket must be paused, connected and allow to be half open.
// `toError` tells what a failure of the socket means; errors of TLS have no errno of their own.
import type { Socket } from 'node:net'

import { assert } from '../../../base/assert.ts'
import { IoError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import { STREAM_HIGH_WATER_BYTES, STREAM_PENDING_BYTES_MAX } from '../network.ts'
import type { ByteStream, StreamHandlers } from '../network.ts'
import { toIoError } from './errno.ts'

export class SocketStream implements ByteStream {
  readonly remote: string
  private readonly socket: Socket
  private handlers: StreamHandlers | null = null
  private error: IoError | null = null
  private closed = false
  private full = false
  private gathering = false
  private readonly release = (): void => {
    this.gathering = false
    this.socket.uncork()
  }

  constructor(socket: Socket, remote: string, toError: (error: unknown, what: string) => IoError = toIoError) {
    this.socket = socket
    this.remote = remote
    socket.on('error', (error) => {
      this.error ??= toError(error, `stream failed remote=${remote}`)
    })
    socket.on('close', () => {
      this.closed = true
      this.handlers?.closed(this.error)
    })
  }

  get pendingBytes(): Bytes {
    return this.socket.writableLength
  }

  start(handlers: StreamHandlers): void {
    assert(this.handlers === null, `stream started twice remote=${this.remote}`)
    this.handlers = handlers
    const { socket } = this
    socket.on('data', (bytes: Buffer) => handlers.data(bytes))
    socket.on('end', () => handlers.end?.())
    socket.on('drain', () => {
      this.full = false
      handlers.drain?.()
    })
    if (this.closed) setImmediate(() => handlers.closed(this.error))
    else socket.resume()
  }

  write(bytes: Buffer): boolean {
    const { socket } = this
    if (socket.destroyed || socket.writableEnded) return false
    if (socket.writableLength + bytes.length > STREAM_PENDING_BYTES_MAX) {
      this.error ??= new IoError('ENOBUFS', `stream is not read remote=${this.remote} pending=${socket.writableLength}`)
      socket.destroy()
      return false
    }
    this.gather()
    const flowing = socket.write(bytes)
    this.full ||= !flowing && socket.writableLength > STREAM_HIGH_WATER_BYTES
    return !this.full
  }

  push(): void {
    if (this.gathering) this.socket.uncork()
  }

  /** What is written until the present callback ends goes out together: a frame comes in several parts. */
  private gather(): void {
    if (this.gathering) return
    this.gathering = true
    this.socket.cork()
    process.nextTick(this.release)
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }
}
