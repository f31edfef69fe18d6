// One volume as one file in a FUSE file system: requests of the kernel become requests of the engine and back. Knows
// the protocol, decides nothing about data. The file never grows by writing; loop stands on top of it.
//
// Invariants:
// - A WRITE is answered with its full size or with an error, an FSYNC never with ENOSYS: the kernel turns either
//   mistake into silent loss (abi.ts, negotiate.ts).
// - Every request is inside the volume and a multiple of 512 bytes before the engine sees it.
// - Memory is bounded: when the pool cannot take any request, nothing more is read until one is free.
// - `unique` goes back exactly as it came. Its bit 63 marks a request that the kernel sends again; without the bit it
//   names the request inside the session.
import { assert } from '../../../base/assert.ts'
import type { Timers } from '../../../base/clock.ts'
import { CacheError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import { SECTOR_BYTES } from '../../../base/units.ts'
import type { Request, RequestResult, RequestSink } from '../../engine/request.ts'
import { REQUEST_FLUSH, REQUEST_OK, REQUEST_READ, REQUEST_WRITE, REQUEST_ZERO } from '../../engine/request.ts'
import type { FuseChannel, FuseChannelEnd, FuseChannelEvents } from '../../io/fuse-channel.ts'
import type { AlignedMemory } from '../../io/storage.ts'
import {
  EINVAL,
  EIO,
  ENOSYS,
  EOPNOTSUPP,
  EPROTO,
  FALLOCATE_LENGTH_HIGH,
  FALLOCATE_LENGTH_LOW,
  FALLOCATE_MODE,
  FALLOCATE_OFFSET_HIGH,
  FALLOCATE_OFFSET_LOW,
  FALLOCATE_PUNCH_HOLE,
  FALLOCATE_REQUEST_BYTES_MIN,
  FALLOCATE_ZERO_RANGE,
  FILE_NODE,
  IN_HEADER_BYTES,
  IN_OPCODE,
  IN_UNIQUE_HIGH,
  IN_UNIQUE_LOW,
  INIT_EXTENDED,
  INIT_IN_BYTES_MIN,
  INIT_IN_FLAGS,
  INIT_IN_FLAGS2,
  INIT_IN_MAJOR,
  INIT_IN_MINOR,
  invalidateInodeOut,
  NOTIFY_INVAL_INODE,
  NOTIFY_RESEND,
  NOTIFY_RETRIEVE,
  OPEN_FLAG_DSYNC,
  OP_BATCH_FORGET,
  OP_FALLOCATE,
  OP_FORGET,
  OP_FSYNC,
  OP_INIT,
  OP_INTERRUPT,
  OP_NOTIFY_REPLY,
  OP_READ,
  OP_WRITE,
  OUT_HEADER_BYTES,
  READ_OFFSET_HIGH,
  READ_OFFSET_LOW,
  READ_REQUEST_BYTES_MIN,
  READ_SIZE,
  retrieveOut,
  UNIQUE_RESENT,
  WRITE_OFFSET_HIGH,
  WRITE_OFFSET_LOW,
  WRITE_OPEN_FLAGS,
  WRITE_OUT_BYTES,
  WRITE_PAYLOAD,
  WRITE_SIZE,
} from './abi.ts'
import { type FrontendCounters, newFrontendCounters } from '../frontend-counters.ts'
import { answerMetadata } from './metadata.ts'
import type { FuseSession } from './negotiate.ts'
import { negotiate, TRANSFER_BYTES_MAX } from './negotiate.ts'
import { encodeInit, METADATA_REPLY_BYTES_MAX, writeOutHeader, writeOutUnique } from './replies.ts'
import type { FuseRequest } from './request-pool.ts'
import { RequestPool } from './request-pool.ts'

const TWO_32 = 2 ** 32
/** A file never reaches this; keeps 64-bit offsets exact as numbers. */
const HIGH_HALF_MAX = 2 ** 20
/** Blocking readers cannot see an empty queue: so long without a re-sent request counts as the end of them. */
const RESEND_SILENCE_MS = 1000

/** Not in the one queue of the kernel, or ours: they say nothing about what comes before them. */
const UNORDERED: ReadonlySet<number> = new Set([OP_FORGET, OP_BATCH_FORGET, OP_INTERRUPT, OP_NOTIFY_REPLY])

export interface FuseFrontendEvents {
  /** INIT is through: save the session, every later engine of this connection needs it. Not called when resuming. */
  onSession(session: FuseSession): void
  /** Every request that the predecessor left unanswered has been submitted. Only when resuming. */
  onResendDrained(): void
  /** The kernel cannot carry a volume; the connection is of no use. */
  onRefused(error: CacheError): void
  /** No request will come any more and no reply is of use. */
  onClosed(end: FuseChannelEnd): void
}

export interface FuseFrontendOptions {
  readonly channel: FuseChannel
  readonly sink: RequestSink
  readonly memory: AlignedMemory
  readonly timers: Timers
  readonly events: FuseFrontendEvents
  /** Name of the one file in the root directory. */
  readonly fileName: string
  /** For a new connection: 64 random bits, 16 hexadecimal digits. */
  readonly sessionHex: string
  /** What was saved from `onSession`: take the connection over instead of beginning one. */
  readonly resume?: FuseSession
  /** Behaves as on a kernel without FUSE_NOTIFY_RESEND. */
  readonly maskResend?: boolean
}

export interface FuseCounters extends FrontendCounters {
  resent: number
}

export class FuseFrontend implements FuseChannelEvents {
  readonly counters: FuseCounters = { ...newFrontendCounters(), resent: 0 }
  private readonly options: FuseFrontendOptions
  private readonly channel: FuseChannel
  private readonly sink: RequestSink
  private readonly pool: RequestPool
  private readonly reply: Buffer
  private session: FuseSession | null
  private paused = false
  private closed = false
  private drainingResent = false
  private resentSinceTick = false
  private stopped: (() => void) | null = null
  private channelStopped = false

  constructor(options: FuseFrontendOptions) {
    this.options = options
    this.channel = options.channel
    this.sink = options.sink
    this.pool = new RequestPool(this, options.memory)
    this.reply = Buffer.alloc(METADATA_REPLY_BYTES_MAX)
    this.session = options.resume ?? null
  }

  /** What was negotiated; null before INIT. */
  get negotiated(): FuseSession | null {
    return this.session
  }

  /** Bytes of memory that the read buffers reserve at the moment. */
  get readMemoryBytes(): Bytes {
    return this.pool.readMemoryBytes
  }

  /** Begins to read requests; asks for the unanswered ones of a predecessor first. */
  start(): void {
    if (this.options.resume !== undefined) {
      this.drainingResent = true
      if (this.options.resume.resend) this.notify(NOTIFY_RESEND, 0)
      if (this.channel.kind === 'readers') this.awaitResendSilence()
    }
    this.channel.start(this)
  }

  /**
   * Reads no further request; `done` runs when none can come any more and the last one in flight has been answered.
   * For an upgrade: what the kernel sends meanwhile waits there for the successor.
   */
  stop(done: () => void): void {
    assert(this.stopped === null, 'a front end is stopped once')
    this.stopped = done
    this.channel.stop(() => {
      this.channelStopped = true
      this.endIfStopped()
    })
    // A reader that blocks is woken by asking the kernel for nothing: it answers with a request that needs no reply.
    for (let reads = this.channel.blockedReads; reads > 0; reads--) {
      retrieveOut.encode(this.reply, OUT_HEADER_BYTES, { unique: 0, node: FILE_NODE, offset: 0, size: 0 })
      this.notify(NOTIFY_RETRIEVE, retrieveOut.size)
    }
  }

  /** Tells the kernel that the size has changed; then `losetup --set-capacity` takes it over. */
  sizeChanged(): void {
    invalidateInodeOut.encode(this.reply, OUT_HEADER_BYTES, { node: FILE_NODE, offset: 2n ** 64n - 1n, length: 0n })
    this.notify(NOTIFY_INVAL_INODE, invalidateInodeOut.size)
  }

  onRequest(buffer: Buffer, length: Bytes): void {
    assert(length >= IN_HEADER_BYTES, `the kernel sends whole requests length=${length}`)
    const opcode = buffer.readUInt32LE(IN_OPCODE)
    if (this.drainingResent) this.noteOrder(opcode, buffer.readUInt32LE(IN_UNIQUE_HIGH))
    switch (opcode) {
      case OP_READ:
        this.onRead(buffer, length)
        break
      case OP_WRITE:
        this.onWrite(buffer, length)
        break
      case OP_FSYNC:
        this.submit(this.pool.takePlain(), buffer, REQUEST_FLUSH)
        break
      case OP_FALLOCATE:
        this.onFallocate(buffer, length)
        break
      default:
        this.onOther(opcode, buffer, length)
    }
    if (!this.pool.ready && !this.paused) {
      this.paused = true
      this.counters.pauses++
      this.channel.pause()
    }
  }

  onDrained(): boolean {
    this.sink.kick()
    return this.counters.inFlight === 0
  }

  onQueueEmpty(): void {
    if (this.drainingResent && !this.paused) this.resendDrained()
  }

  onClosed(end: FuseChannelEnd): void {
    this.closed = true
    this.options.events.onClosed(end)
  }

  /** Called by the request itself, once. */
  finish(request: FuseRequest, result: RequestResult): void {
    this.counters.inFlight--
    if (result !== REQUEST_OK) this.counters.failed++
    if (!this.closed) {
      if (request.kind === REQUEST_READ) this.replyRead(request, result)
      else this.replyPlain(request, result)
    }
    this.pool.giveBack(request)
    if (this.paused && this.pool.ready) {
      this.paused = false
      this.channel.resume()
    }
    if (this.channelStopped) this.endIfStopped()
  }

  private endIfStopped(): void {
    if (this.stopped === null || this.counters.inFlight > 0) return
    this.options.timers.soon(this.stopped)
    this.stopped = null
  }

  private onRead(buffer: Buffer, length: Bytes): void {
    if (length < READ_REQUEST_BYTES_MIN) return this.refuse(buffer, EINVAL)
    const high = buffer.readUInt32LE(READ_OFFSET_HIGH)
    const offset = buffer.readUInt32LE(READ_OFFSET_LOW) + high * TWO_32
    let size = buffer.readUInt32LE(READ_SIZE)
    const sizeBytes = this.sink.sizeBytes
    if (high > HIGH_HALF_MAX || offset % SECTOR_BYTES !== 0 || size % SECTOR_BYTES !== 0 || size > TRANSFER_BYTES_MAX) {
      return this.refuse(buffer, EINVAL)
    }
    // Past the end a read is short or empty, as on every file.
    if (offset + size > sizeBytes) size = Math.max(0, sizeBytes - offset)
    if (size === 0) return this.replyHeader(buffer, 0, 0)
    const request = this.pool.takeRead(size)
    request.offset = offset
    request.length = size
    this.counters.reads++
    this.counters.readBytes += size
    this.submit(request, buffer, REQUEST_READ)
  }

  private onWrite(buffer: Buffer, length: Bytes): void {
    if (length < WRITE_PAYLOAD) return this.refuse(buffer, EINVAL)
    const high = buffer.readUInt32LE(WRITE_OFFSET_HIGH)
    const offset = buffer.readUInt32LE(WRITE_OFFSET_LOW) + high * TWO_32
    const size = buffer.readUInt32LE(WRITE_SIZE)
    if (high > HIGH_HALF_MAX || size !== length - WRITE_PAYLOAD || !this.fits(offset, size)) {
      return this.refuse(buffer, EINVAL)
    }
    const request = this.pool.takePlain()
    request.offset = offset
    request.length = size
    request.data = buffer
    request.dataStart = WRITE_PAYLOAD
    request.forceUnitAccess = (buffer.readUInt32LE(WRITE_OPEN_FLAGS) & OPEN_FLAG_DSYNC) !== 0
    this.counters.writes++
    this.counters.writtenBytes += size
    this.submit(request, buffer, REQUEST_WRITE)
  }

  private onFallocate(buffer: Buffer, length: Bytes): void {
    if (length < FALLOCATE_REQUEST_BYTES_MIN) return this.refuse(buffer, EINVAL)
    const mode = buffer.readUInt32LE(FALLOCATE_MODE)
    if (!this.sink.canZero || (mode !== FALLOCATE_PUNCH_HOLE && mode !== FALLOCATE_ZERO_RANGE)) {
      return this.refuse(buffer, EOPNOTSUPP)
    }
    const offsetHigh = buffer.readUInt32LE(FALLOCATE_OFFSET_HIGH)
    const lengthHigh = buffer.readUInt32LE(FALLOCATE_LENGTH_HIGH)
    const offset = buffer.readUInt32LE(FALLOCATE_OFFSET_LOW) + offsetHigh * TWO_32
    const size = buffer.readUInt32LE(FALLOCATE_LENGTH_LOW) + lengthHigh * TWO_32
    if (offsetHigh > HIGH_HALF_MAX || lengthHigh > HIGH_HALF_MAX || !this.fits(offset, size)) {
      return this.refuse(buffer, EINVAL)
    }
    const request = this.pool.takePlain()
    request.offset = offset
    request.length = size
    request.mayUnmap = mode === FALLOCATE_PUNCH_HOLE
    this.counters.zeroes++
    this.submit(request, buffer, REQUEST_ZERO)
  }

  private fits(offset: Bytes, size: Bytes): boolean {
    return size > 0 && offset % SECTOR_BYTES === 0 && size % SECTOR_BYTES === 0 && offset + size <= this.sink.sizeBytes
  }

  private submit(request: FuseRequest, buffer: Buffer, kind: Request['kind']): void {
    const uniqueHigh = buffer.readUInt32LE(IN_UNIQUE_HIGH)
    request.kind = kind
    request.uniqueLow = buffer.readUInt32LE(IN_UNIQUE_LOW)
    request.replyUniqueHigh = uniqueHigh
    request.uniqueHigh = uniqueHigh & 0x7fff_ffff
    request.resent = uniqueHigh >= UNIQUE_RESENT
    if (request.resent) this.counters.resent++
    if (kind !== REQUEST_WRITE) request.forceUnitAccess = false
    if (kind === REQUEST_FLUSH) {
      request.offset = 0
      request.length = 0
      this.counters.flushes++
    }
    request.outstanding = true
    this.counters.inFlight++
    this.sink.submit(request)
  }

  /** The header stands directly before the data, so that one write carries both. */
  private replyRead(request: FuseRequest, result: RequestResult): void {
    const start = request.dataStart - OUT_HEADER_BYTES
    const length = result === REQUEST_OK ? OUT_HEADER_BYTES + request.length : OUT_HEADER_BYTES
    writeOutHeader(request.data, start, length, result)
    writeOutUnique(request.data, start, request.uniqueLow, request.replyUniqueHigh)
    this.channel.reply(request.data, start, length)
  }

  private replyPlain(request: FuseRequest, result: RequestResult): void {
    let length = OUT_HEADER_BYTES
    if (request.kind === REQUEST_WRITE && result === REQUEST_OK) {
      this.reply.writeUInt32LE(request.length, length)
      this.reply.writeUInt32LE(0, length + 4)
      length += WRITE_OUT_BYTES
    }
    writeOutHeader(this.reply, 0, length, result)
    writeOutUnique(this.reply, 0, request.uniqueLow, request.replyUniqueHigh)
    this.channel.reply(this.reply, 0, length)
  }

  private refuse(buffer: Buffer, errno: number): void {
    this.counters.failed++
    this.replyHeader(buffer, errno, 0)
  }

  /** Answers the request in `buffer` with an errno or with the `bodyBytes` that stand in the reply buffer. */
  private replyHeader(buffer: Buffer, errno: number, bodyBytes: Bytes): void {
    const length = OUT_HEADER_BYTES + bodyBytes
    writeOutHeader(this.reply, 0, length, errno)
    writeOutUnique(this.reply, 0, buffer.readUInt32LE(IN_UNIQUE_LOW), buffer.readUInt32LE(IN_UNIQUE_HIGH))
    this.channel.reply(this.reply, 0, length)
  }

  private onOther(opcode: number, buffer: Buffer, length: Bytes): void {
    if (opcode === OP_FORGET || opcode === OP_BATCH_FORGET || opcode === OP_NOTIFY_REPLY) return
    if (opcode === OP_INIT) return this.onInit(buffer, length)
    // Nothing of ours waits for a signal: with ENOSYS the kernel stops sending interrupts.
    if (opcode === OP_INTERRUPT) return this.replyHeader(buffer, ENOSYS, 0)
    const file = { name: this.options.fileName, sizeBytes: this.sink.sizeBytes }
    const reply = { buffer: this.reply, start: OUT_HEADER_BYTES }
    const body = answerMetadata(opcode, { buffer, length }, reply, file)
    if (body < 0) this.replyHeader(buffer, -body, 0)
    else this.replyHeader(buffer, 0, body)
  }

  private onInit(buffer: Buffer, length: Bytes): void {
    if (length < IN_HEADER_BYTES + INIT_IN_BYTES_MIN) return this.refuse(buffer, EIO)
    const flags = buffer.readUInt32LE(INIT_IN_FLAGS)
    const extended = (flags & INIT_EXTENDED) !== 0 && length >= INIT_IN_FLAGS2 + 4
    const offer = {
      major: buffer.readUInt32LE(INIT_IN_MAJOR),
      minor: buffer.readUInt32LE(INIT_IN_MINOR),
      flags,
      flags2: extended ? buffer.readUInt32LE(INIT_IN_FLAGS2) : 0,
    }
    const { sessionHex, maskResend = false } = this.options
    const session = negotiate(offer, { sessionHex, maskResend })
    if (session instanceof CacheError) {
      this.replyHeader(buffer, EPROTO, 0)
      this.options.events.onRefused(session)
      return
    }
    this.session = session
    // Saved before the kernel hears it: a connection that is in use has a session that a successor can find.
    this.options.events.onSession(session)
    this.replyHeader(buffer, 0, encodeInit(this.reply, OUT_HEADER_BYTES, session))
  }

  private notify(code: number, bodyBytes: Bytes): void {
    writeOutHeader(this.reply, 0, OUT_HEADER_BYTES + bodyBytes, -code)
    writeOutUnique(this.reply, 0, 0, 0)
    // A connection that has ended says so when it is read.
    this.channel.reply(this.reply, 0, OUT_HEADER_BYTES + bodyBytes)
  }

  /** Re-sent requests stand before all others in the kernel's queue, except forgets and interrupts. */
  private noteOrder(opcode: number, uniqueHigh: number): void {
    if (uniqueHigh >= UNIQUE_RESENT) this.resentSinceTick = true
    else if (this.channel.kind === 'epoll') {
      if (!UNORDERED.has(opcode)) this.resendDrained()
    }
  }

  /** Four readers deliver in no order, so only time tells. Does not count while reading is paused. */
  private awaitResendSilence(): void {
    this.options.timers.after(RESEND_SILENCE_MS, () => {
      if (!this.drainingResent || this.closed) return
      if (!this.resentSinceTick && !this.paused) return this.resendDrained()
      this.resentSinceTick = false
      this.awaitResendSilence()
    })
  }

  private resendDrained(): void {
    this.drainingResent = false
    this.options.events.onResendDrained()
  }
}
