// Sockets in memory: a test feeds bytes, sees what was written, and decides how much the client reads.
import type { IoError } from '../../../../../base/errors.ts'
import type {
  LocalListener,
  LocalSocket,
  LocalSocketEvents,
  LocalSockets,
} from '../../../../../csi-driver/io/local-sockets.ts'

export class FakeSocket implements LocalSocket {
  /** Bytes that the client has room for. */
  room = Infinity
  paused = false
  /** Calls of `write` since the last look. */
  writes = 0
  destroyed = false
  /** The client's side is closed, which nobody has noticed yet. */
  gone = false
  private events: LocalSocketEvents | null = null
  private rest: Buffer | null = null
  private sent: Buffer[] = []

  /** Something was written that the client has no room for. */
  get isFull(): boolean {
    return this.rest !== null
  }

  start(events: LocalSocketEvents): void {
    this.events = events
  }

  /** Bytes from the client, in one buffer that is spoiled afterwards, as the real one is. */
  feed(bytes: Buffer): void {
    if (this.destroyed) return
    const buffer = Buffer.concat([bytes, Buffer.alloc(64, 0xee)])
    this.events?.onBytes(buffer, bytes.length)
    buffer.fill(0xee)
  }

  end(): void {
    this.events?.onEnd()
  }

  write(buffer: Buffer, start: number, length: number): boolean {
    if (this.destroyed) return true
    this.writes++
    if (this.rest !== null) throw new Error('written before the rest was')
    const count = Math.min(length, this.room)
    this.take(buffer.subarray(start, start + count))
    if (count === length) return true
    // Not copied: its owner must leave it alone.
    this.rest = buffer.subarray(start + count, start + length)
    return false
  }

  /** The client reads everything that waits, and has `room` for more. */
  read(room = Infinity): void {
    this.room = room
    const { rest } = this
    if (rest === null || this.destroyed) return
    const count = Math.min(rest.length, room)
    this.take(rest.subarray(0, count))
    this.rest = count === rest.length ? null : rest.subarray(count)
    if (this.rest === null) this.events?.onWritten()
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  isGone(): boolean {
    return this.gone || this.destroyed
  }

  destroy(): void {
    this.destroyed = true
  }

  /** What the client has read since the last look. */
  taken(): Buffer {
    const { sent } = this
    this.writes = 0
    this.sent = []
    return Buffer.concat(sent)
  }

  close(): void {
    this.destroyed = true
    this.events?.onClosed(null)
  }

  private take(bytes: Buffer): void {
    this.room -= bytes.length
    this.sent.push(Buffer.from(bytes))
  }
}

export class FakeSockets implements LocalSockets {
  listening = false
  private onSocket: ((socket: LocalSocket) => void) | null = null
  private later: (() => void)[] = []

  listen(
    _path: string,
    onSocket: (socket: LocalSocket) => void,
    done: (error: IoError | null, listener: LocalListener | null) => void,
  ): void {
    this.onSocket = onSocket
    this.listening = true
    done(null, {
      close: () => {
        this.listening = false
      },
    })
  }

  afterInput(callback: () => void): void {
    this.later.push(callback)
  }

  connect(): FakeSocket {
    const socket = new FakeSocket()
    this.onSocket?.(socket)
    return socket
  }

  /** Runs what was put off, until nothing is. */
  settle(): void {
    for (let rounds = 0; this.later.length > 0; rounds++) {
      if (rounds > 10_000) throw new Error('it never settles')
      for (const callback of this.later.splice(0)) callback()
    }
  }
}
