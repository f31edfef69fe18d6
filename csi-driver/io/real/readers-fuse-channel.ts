// FUSE channel that blocks pool threads in read(2): four reads are always under way, each into a buffer of its own.
// The fallback for a Node without `process.binding`; half the throughput of EpollFuseChannel (datapath §1.5).
//
// A read cannot be called back. After `pause` up to four requests are taken and wait here; after `stop` each reader
// delivers at most one more. An ordinary exit of the process waits for the pool's threads, for ever if one blocks
// here: who has to leave without a `stop` leaves by leaveProcess.
import { closeSync, read } from 'node:fs'
import { assert } from '../../../base/assert.ts'
import { CacheError } from '../../../base/errors.ts'
import type { FuseChannel, FuseChannelCounters, FuseChannelEvents, ReplyOutcome } from '../fuse-channel.ts'
import { errnoName } from './errno.ts'
import { channelEndOf, writeReply } from './fuse-reply.ts'
import { POOL_THREADS } from './thread-pool.ts'

export const READERS = 4
/** The readers hold four threads for good; the rest is for the disks. */
const POOL_THREADS_MIN = 8

class Reader {
  readonly buffer: Buffer
  /** Length of a request that was read while the channel was paused; 0 = none. */
  waiting = 0
  blocked = false
  private readonly fd: number
  private readonly done: (error: NodeJS.ErrnoException | null, length: number) => void

  constructor(fd: number, buffer: Buffer, onRead: (reader: Reader, error: unknown, length: number) => void) {
    this.fd = fd
    this.buffer = buffer
    this.done = (error, length) => {
      this.blocked = false
      onRead(this, error, length)
    }
  }

  next(): void {
    this.blocked = true
    read(this.fd, this.buffer, 0, this.buffer.length, null, this.done)
  }
}

export class ReadersFuseChannel implements FuseChannel {
  readonly kind = 'readers'
  readonly counters: FuseChannelCounters = { wakeups: 0, requests: 0, polls: 0, pollHits: 0 }
  private readonly fd: number
  private readonly readers: Reader[]
  private events: FuseChannelEvents | null = null
  private paused = false
  private stopped: (() => void) | null = null
  private ended = false
  private closed = false

  /** `buffers`: READERS of them, each maxWriteBytes + 4096 bytes; they belong to the channel from now on. */
  constructor(fd: number, buffers: readonly Buffer[]) {
    assert(buffers.length === READERS, `one buffer per reader buffers=${buffers.length}`)
    this.fd = fd
    const onRead = (reader: Reader, error: unknown, length: number): void => this.onRead(reader, error, length)
    this.readers = buffers.map((buffer) => new Reader(fd, buffer, onRead))
  }

  start(events: FuseChannelEvents): void {
    assert(this.events === null, 'a channel is started once')
    if (!(POOL_THREADS >= POOL_THREADS_MIN)) {
      throw new CacheError(
        'invalid',
        'CACHE_FUSE_POOL_TOO_SMALL',
        `too few pool threads UV_THREADPOOL_SIZE=${POOL_THREADS}`,
        {
          remedy: `Set UV_THREADPOOL_SIZE to ${POOL_THREADS_MIN} or more before the process starts.`,
        },
      )
    }
    this.events = events
    for (const reader of this.readers) reader.next()
  }

  reply(buffer: Buffer, start: number, length: number): ReplyOutcome {
    return writeReply(this.fd, buffer, start, length)
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    if (this.ended || !this.paused) return
    this.paused = false
    process.nextTick(() => this.deliverWaiting())
  }

  get blockedReads(): number {
    return this.readers.reduce((count, reader) => count + (reader.blocked ? 1 : 0), 0)
  }

  stop(done: () => void): void {
    assert(this.stopped === null, 'a channel is stopped once')
    this.stopped = done
    this.endIfStopped()
  }

  /** A reader that still blocks keeps the connection alive until it ends for another reason (unmount, abort). */
  close(): void {
    this.ended = true
    if (!this.closed) closeSync(this.fd)
    this.closed = true
  }

  private deliverWaiting(): void {
    for (const reader of this.readers) {
      if (this.paused || this.ended) return
      if (reader.waiting === 0) continue
      const length = reader.waiting
      reader.waiting = 0
      this.deliver(reader, length)
    }
  }

  private onRead(reader: Reader, error: unknown, length: number): void {
    if (this.ended) return
    if (error !== null) {
      this.onError(reader, error)
    } else if (this.paused) {
      reader.waiting = length
    } else this.deliver(reader, length)
  }

  private onError(reader: Reader, error: unknown): void {
    const code = errnoName(error)
    if (code === 'EINTR' || code === 'ENOENT') return this.goOn(reader)
    if (this.stopped !== null) {
      this.endIfStopped()
      return
    }
    this.ended = true
    if (code === 'EAGAIN') {
      const message = 'the descriptor of the mount does not block: its first engine used epoll'
      const wrongKind = new CacheError('invalid', 'CACHE_FUSE_CHANNEL_KIND', message, {
        remedy: 'Start the engine with the kind of channel that the mount began with.',
      })
      this.events?.onClosed({ reason: 'failed', error: wrongKind })
      return
    }
    this.events?.onClosed(channelEndOf(error))
  }

  private deliver(reader: Reader, length: number): void {
    const events = this.events
    assert(events !== null, 'a started channel has events')
    this.counters.wakeups++
    this.counters.requests++
    events.onRequest(reader.buffer, length)
    events.onDrained()
    if (!this.ended) this.goOn(reader)
  }

  private goOn(reader: Reader): void {
    if (this.stopped === null) reader.next()
    else this.endIfStopped()
  }

  private endIfStopped(): void {
    const done = this.stopped
    const busy = this.readers.some((reader) => reader.blocked || reader.waiting > 0)
    if (done === null || busy || this.ended) return
    this.ended = true
    process.nextTick(done)
  }
}
