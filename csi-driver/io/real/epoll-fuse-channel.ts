// FUSE channel that lets libuv watch the descriptor and drains it with synchronous reads: twice the throughput of pool
// threads at a quarter of the CPU (datapath finding 3). The descriptor goes through the pipe handle, which is the one
// handle of libuv that does not ask what kind of file it is; `process.binding` is deprecated in the documentation only,
// and ReadersFuseChannel is there for the day it goes.
//
// One buffer serves all: the stream of libuv reads the first request of a wake-up into it, the drain the others. A look
// that finds nothing costs as much as a request (Node makes an exception of EAGAIN), so with one request at a time the
// channel does not look for a second one: if there is one, epoll says so at once. After the queue is empty the channel may
// poll for a while (busy-poll.ts), only while nothing is outstanding, since polling keeps the whole event loop waiting.
import { closeSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import type { SocketConstructorOpts } from 'node:net'
import { assert } from '../../../base/assert.ts'
import type {
  FuseChannel,
  FuseChannelCounters,
  FuseChannelEvents,
  FuseChannelOptions,
  ReplyOutcome,
} from '../fuse-channel.ts'
import { AttemptScore } from './attempt-score.ts'
import { BusyPoll } from './busy-poll.ts'
import { errnoName } from './errno.ts'
import { channelEndOf, READ_BUFFER_EXTRA_BYTES, writeReply } from './fuse-reply.ts'
import { systemSpareCpus } from './spare-cpus.ts'

/** Requests per turn of the event loop; then timers and other descriptors get their turn. */
const REQUESTS_PER_TURN_MAX = 256
/** A reader of one block at a time that is always polled for would keep timers and peers waiting for all of these. */
const POLLED_PER_TURN_MAX = 16
/** Looks for a second request: so many fruitless ones in a row end them, one that finds some brings back so many. */
const LOOKS = { max: 16, perHit: 8, probeInterval: 8 }

interface PipeBinding {
  readonly Pipe: new (type: number) => object & { open(fd: number): number }
  readonly constants: { readonly SOCKET: number }
}

export class EpollFuseChannel implements FuseChannel {
  readonly kind = 'epoll'
  readonly counters: FuseChannelCounters = { wakeups: 0, requests: 0, polls: 0, pollHits: 0 }
  private readonly fd: number
  private readonly buffer: Buffer
  private readonly busyPoll: BusyPoll
  private readonly looks = new AttemptScore(LOOKS)
  private events: FuseChannelEvents | null = null
  private socket: Socket | null = null
  private reading = false
  private ended = false
  private pollsSoon = false
  private closed = false

  /** `buffer` holds maxWriteBytes + 4096 bytes and belongs to the channel from now on. */
  constructor(fd: number, buffer: Buffer, options: FuseChannelOptions) {
    assert(buffer.length >= options.maxWriteBytes + READ_BUFFER_EXTRA_BYTES, `read buffer length=${buffer.length}`)
    this.fd = fd
    this.buffer = buffer
    const { busyPollMicros } = options
    this.busyPoll = busyPollMicros === 'auto' ? BusyPoll.auto(systemSpareCpus()) : BusyPoll.fixed(busyPollMicros / 1000)
  }

  start(events: FuseChannelEvents): void {
    assert(this.events === null, 'a channel is started once')
    this.events = events
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an internal module without types
    const binding = (process as unknown as { binding(name: string): PipeBinding }).binding('pipe_wrap')
    const handle = new binding.Pipe(binding.constants.SOCKET)
    const status = handle.open(this.fd)
    assert(status === 0, `the pipe handle takes the descriptor status=${status}`)
    this.reading = true
    const onread = { buffer: this.buffer, callback: (length: number): boolean => this.drain(length) }
    // `handle` is what the options of a Socket do not declare.
    const options: SocketConstructorOpts = { readable: true, writable: false, onread }
    this.socket = new Socket(Object.assign(options, { handle }))
    this.socket.on('error', (error) => this.end(error))
    this.socket.on('end', () => this.end(null))
    this.socket.read(0)
    // What waits already is taken now, and an empty queue is seen even if no request ever comes.
    process.nextTick(() => this.drain(0))
  }

  reply(buffer: Buffer, start: number, length: number): ReplyOutcome {
    return writeReply(this.fd, buffer, start, length)
  }

  pause(): void {
    this.reading = false
    this.socket?.pause()
  }

  resume(): void {
    if (this.ended || this.reading) return
    this.reading = true
    this.looks.reset()
    this.socket?.resume()
    // Whoever paused may have missed that the queue is empty, and no request may ever come that brings another look.
    process.nextTick(() => {
      if (this.reading) this.drain(0)
    })
  }

  get blockedReads(): number {
    return 0
  }

  stop(done: () => void): void {
    this.pause()
    this.ended = true
    process.nextTick(done)
  }

  close(): void {
    this.pause()
    this.ended = true
    // Once there is a socket it owns the descriptor, and has closed it already if the stream met an error.
    if (this.socket !== null) this.socket.destroy()
    else if (!this.closed) closeSync(this.fd)
    this.closed = true
  }

  /**
   * The stream has read one request of `length` bytes (0: none); take the rest without going back to epoll. False
   * stops the stream.
   */
  private drain(length: number): boolean {
    const events = this.events
    if (events === null || this.ended) return false
    this.counters.wakeups++
    if (length > 0) this.deliver(events, length)
    if (length === 0 || this.looks.worthTrying()) {
      const found = this.takeWaiting(events, REQUESTS_PER_TURN_MAX)
      if (found < 0) return false
      this.looks.ended(found > 0)
    }
    this.pollOn(events)
    return this.reading
  }

  /** Polls as long as it bears fruit; in between everything else that the event loop serves gets its turn. */
  private pollOn(events: FuseChannelEvents): void {
    let left = POLLED_PER_TURN_MAX
    while (events.onDrained() && this.reading && this.poll(events)) {
      left--
      if (left > 0) continue
      events.onDrained()
      this.pollSoon(events)
      return
    }
  }

  private pollSoon(events: FuseChannelEvents): void {
    if (this.pollsSoon) return
    this.pollsSoon = true
    setImmediate(() => {
      this.pollsSoon = false
      if (!this.ended) this.pollOn(events)
    })
  }

  /** Takes what waits in the kernel, `limit` at most; returns how many they were, -1 when the connection has ended. */
  private takeWaiting(events: FuseChannelEvents, limit: number): number {
    let count = 0
    while (this.reading && count < limit) {
      const got = this.readOne()
      if (got < 0) return -1
      if (got === 0) {
        events.onQueueEmpty()
        break
      }
      this.deliver(events, got)
      count++
    }
    return count
  }

  /** Waits for the next request by asking again and again; false when none came in time, or it is not the time for it. */
  private poll(events: FuseChannelEvents): boolean {
    const untilMs = this.busyPoll.isOff ? 0 : this.busyPoll.untilMs(performance.now())
    if (untilMs === 0) return false
    this.counters.polls++
    let got = this.readOne()
    while (got === 0 && performance.now() < untilMs) got = this.readOne()
    this.busyPoll.ended(got > 0)
    if (got <= 0) return false
    this.counters.pollHits++
    this.deliver(events, got)
    return true
  }

  private deliver(events: FuseChannelEvents, length: number): void {
    this.counters.requests++
    events.onRequest(this.buffer, length)
  }

  /** Bytes of the next request; 0 when there is none; -1 when the connection has ended. */
  private readOne(): number {
    const limit = Error.stackTraceLimit
    // An EAGAIN that carries a stack costs twice as much as one without.
    Error.stackTraceLimit = 0
    try {
      return readSync(this.fd, this.buffer, 0, this.buffer.length, null)
    } catch (error) {
      const code = errnoName(error)
      // ENOENT: the request was aborted while it was being read; there may be others.
      if (code === 'EAGAIN' || code === 'EINTR' || code === 'ENOENT') return 0
      this.end(error)
      return -1
    } finally {
      Error.stackTraceLimit = limit
    }
  }

  private end(error: unknown): void {
    if (this.ended) return
    this.ended = true
    this.reading = false
    this.events?.onClosed(channelEndOf(error))
  }
}
