// Unix sockets for a data path (io/local-sockets.ts). Node's own sockets cost two allocations per read and a queue per
// write; here libuv reads into one fixed buffer, and write(2) is called directly on the descriptor. Only a rest that the
// kernel does not take goes through Node's queue, which waits for room.
import { writeSync } from 'node:fs'
import { createServer, Socket } from 'node:net'
import type { Server, SocketConstructorOpts } from 'node:net'
import process from 'node:process'
import { assert } from '../../../base/assert.ts'
import type { IoError } from '../../../base/errors.ts'
import { KIB, type Bytes } from '../../../base/units.ts'
import type { LocalListener, LocalSocket, LocalSocketEvents, LocalSockets } from '../local-sockets.ts'
import { errnoName, toIoError } from './errno.ts'
import { listenOn } from './stream-network.ts'

/** More than the kernel keeps for one unix socket (net.core.wmem_default), so that one read takes all there is. */
const READ_BUFFER_BYTES: Bytes = 256 * KIB
/** Nobody but the owner: what is taken from 0777. */
const OWNER_ONLY_UMASK = 0o177
const NO_BYTES = Buffer.alloc(1)

/** The native stream of a socket, and where Node keeps it. */
type Handle = object & { readonly fd: number }
const HANDLE = '_handle'

export class UnixSockets implements LocalSockets {
  private readonly buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)

  listen(
    path: string,
    onSocket: (socket: LocalSocket) => void,
    done: (error: IoError | null, listener: LocalListener | null) => void,
  ): void {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (accepted) =>
      onSocket(new UnixSocket(takeHandle(accepted), this.buffer)),
    )
    listenOn(
      server,
      () => listenPrivately(server, path),
      path,
      (error) => {
        if (error === null) done(null, new UnixListener(server))
        else done(toIoError(error, `cannot listen path=${path}`), null)
      },
    )
  }

  afterInput(callback: () => void): void {
    setImmediate(callback)
  }
}

/** The file is made inside the call, so that it never exists with wider permissions. */
function listenPrivately(server: Server, path: string): void {
  const umask = process.umask(OWNER_ONLY_UMASK)
  try {
    server.listen(path)
  } finally {
    process.umask(umask)
  }
}

/** Takes the native stream out of a socket that Node has accepted: a socket that reads into a given buffer is made new. */
function takeHandle(accepted: Socket): Handle {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is not declared
  const shell = accepted as unknown as Record<typeof HANDLE, Handle | null>
  const handle = shell[HANDLE]
  assert(handle !== null && typeof handle.fd === 'number', 'an accepted socket has a descriptor')
  shell[HANDLE] = null
  accepted.destroy()
  return handle
}

class UnixListener implements LocalListener {
  private readonly server: Server

  constructor(server: Server) {
    this.server = server
  }

  close(): void {
    if (this.server.listening) this.server.close()
  }
}

class UnixSocket implements LocalSocket {
  private readonly handle: Handle
  private readonly buffer: Buffer
  private socket: Socket | null = null
  private events: LocalSocketEvents | null = null
  private error: IoError | null = null

  constructor(handle: Handle, buffer: Buffer) {
    this.handle = handle
    this.buffer = buffer
  }

  start(events: LocalSocketEvents): void {
    assert(this.events === null, 'a socket is started once')
    this.events = events
    const { buffer, handle } = this
    const callback = (length: number): boolean => {
      events.onBytes(buffer, length)
      return true
    }
    // `handle` is what the options of a Socket do not declare.
    const options: SocketConstructorOpts = {
      allowHalfOpen: true,
      readable: true,
      writable: true,
      onread: { buffer, callback },
    }
    this.socket = new Socket(Object.assign(options, { handle }))
    this.socket.on('error', (error) => this.note(error))
    this.socket.on('end', () => events.onEnd())
    this.socket.on('close', () => events.onClosed(this.error))
  }

  write(buffer: Buffer, start: number, length: Bytes): boolean {
    const { socket } = this
    assert(socket !== null, 'a socket is started before it is written')
    if (socket.destroyed) return true
    const sent = this.writeNow(buffer, start, length)
    if (sent === length) return true
    socket.write(buffer.subarray(start + sent, start + length), (error) => {
      if (error === null || error === undefined) this.events?.onWritten()
    })
    return false
  }

  pause(): void {
    this.socket?.pause()
  }

  resume(): void {
    this.socket?.resume()
  }

  isGone(): boolean {
    if (this.socket === null || this.socket.destroyed) return true
    // A write of nothing is refused with EPIPE once the other side is closed, and does nothing before.
    return this.writeNow(NO_BYTES, 0, 0) !== 0 || this.socket.destroyed
  }

  destroy(): void {
    this.socket?.destroy()
  }

  /** Bytes that the kernel took. After a failure: all of them, since the socket is at its end. */
  private writeNow(buffer: Buffer, start: number, length: Bytes): Bytes {
    const limit = Error.stackTraceLimit
    // A full socket is no failure, and an error without a stack costs half as much.
    Error.stackTraceLimit = 0
    try {
      return writeSync(this.handle.fd, buffer, start, length)
    } catch (error) {
      const code = errnoName(error)
      if (code === 'EAGAIN' || code === 'EINTR') return 0
      this.note(error)
      this.socket?.destroy()
      return length
    } finally {
      Error.stackTraceLimit = limit
    }
  }

  private note(error: unknown): void {
    this.error ??= toIoError(error, 'socket failed')
  }
}
