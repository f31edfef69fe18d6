// The way out of one connection: replies of one turn are gathered in one buffer and written at once; long data goes out
// of its request's own buffer, without a copy. When the client does not read, replies wait as the requests that they
// are, whose number is limited, and the connection takes in no further request (`isBlocked`).
//
// A simple reply to a long READ is one header and several pieces of data with nothing between them: other replies wait
// until the last piece. Structured replies have a header for each piece.
import type { Bytes } from '../../../base/units.ts'
import { KIB } from '../../../base/units.ts'
import type { LocalSocket } from '../../io/local-sockets.ts'
import { CMD_BLOCK_STATUS, CMD_READ, DATA_CHUNK_HEADER_BYTES, SIMPLE_REPLY_BYTES } from './abi.ts'
import {
  REPLY_BYTES_MAX,
  writeAllocatedChunk,
  writeDataChunkHeader,
  writeDoneChunk,
  writeErrorChunk,
  writeSimpleReply,
} from './replies.ts'
import type { NbdRequest } from './request-pool.ts'

const OUT_BYTES: Bytes = 256 * KIB
/** Data up to here is copied: cheaper than a system call of its own. */
const COPIED_BYTES_MAX: Bytes = 16 * KIB

export interface OutboxEvents {
  /** The reply, or one piece of a long one, is with the kernel or copied. */
  onReplied(request: NbdRequest): void
  /**
   * A long simple reply failed in the middle of its data: only the end of the connection tells the client so. Nothing is
   * written any more.
   */
  onBroken(request: NbdRequest): void
}

export class Outbox {
  /** Structured replies were negotiated. */
  structured = false
  private readonly socket: LocalSocket
  private readonly events: OutboxEvents
  private out: Buffer | null = null
  private filled = 0
  /** A write waits for the client to read. */
  private blocked = false
  /** The request whose own buffer is being written. */
  private sending: NbdRequest | null = null
  /** The long simple reply that has begun. */
  private exclusive: NbdRequest | null = null
  private held: NbdRequest[] = []

  constructor(socket: LocalSocket, events: OutboxEvents) {
    this.socket = socket
    this.events = events
  }

  get isBlocked(): boolean {
    return this.blocked
  }

  /** Nothing waits to be written. */
  get isEmpty(): boolean {
    return this.filled === 0 && !this.blocked && this.held.length === 0
  }

  /** Bytes of the handshake. False: the client does not read them, and there is no room. */
  addBytes(bytes: Buffer): boolean {
    const out = this.buffer()
    if (this.blocked || this.filled + bytes.length > out.length) return false
    this.filled += bytes.copy(out, this.filled)
    return true
  }

  /** The answer to a request, which the outbox owns until `onReplied`. */
  add(request: NbdRequest): void {
    if (this.mustWait(request)) this.held.push(request)
    else this.put(request)
  }

  /** Writes what was gathered. */
  flush(): void {
    if (this.filled === 0 || this.blocked || this.out === null) return
    if (this.socket.write(this.out, 0, this.filled)) this.filled = 0
    else this.blocked = true
  }

  /** What the socket had not taken is written. */
  onWritten(): void {
    this.blocked = false
    const { sending } = this
    this.sending = null
    if (sending === null) this.filled = 0
    else this.sent(sending)
    this.release()
  }

  /** Writes replies that wait, as far as possible. */
  release(): void {
    for (let progress = this.held.length > 0; progress && !this.blocked; ) {
      progress = false
      const { held } = this
      this.held = []
      for (const request of held) {
        if (this.mustWait(request)) this.held.push(request)
        else {
          this.put(request)
          progress = true
        }
      }
    }
  }

  /** The connection has ended: hands back every request that it still has. */
  abandon(): NbdRequest[] {
    const rest = this.sending === null ? this.held : [...this.held, this.sending]
    this.held = []
    this.sending = null
    this.exclusive = null
    return rest
  }

  private mustWait(request: NbdRequest): boolean {
    return this.blocked || (this.exclusive !== null && this.exclusive !== request)
  }

  private put(request: NbdRequest): void {
    if (request.command === CMD_READ && request.error === 0 && request.length > 0) this.putData(request)
    else this.putShort(request)
  }

  private putShort(request: NbdRequest): void {
    if (!this.makeRoom(REPLY_BYTES_MAX)) {
      this.held.push(request)
      return
    }
    const out = this.buffer()
    const { error, command } = request
    const isRead = command === CMD_READ
    if (isRead && request.continued && !this.structured) {
      // Whatever came now would stand where the client expects the rest of the data.
      this.blocked = true
      this.events.onBroken(request)
      return
    }
    if (error !== 0 && this.structured) this.filled += writeErrorChunk(out, this.filled, request, error)
    else if (command === CMD_BLOCK_STATUS && error === 0) {
      this.filled += writeAllocatedChunk(out, this.filled, request, request.length)
    } else if (isRead && this.structured) this.filled += writeDoneChunk(out, this.filled, request)
    else this.filled += writeSimpleReply(out, this.filled, request, error)
    this.events.onReplied(request)
  }

  private putData(request: NbdRequest): void {
    const { length } = request
    const headerBytes = this.structured ? DATA_CHUNK_HEADER_BYTES : request.continued ? 0 : SIMPLE_REPLY_BYTES
    const isCopied = length <= COPIED_BYTES_MAX
    if (isCopied ? !this.makeRoom(headerBytes + length) : !this.makeEmpty()) {
      this.held.push(request)
      return
    }
    if (isCopied) {
      const out = this.buffer()
      this.writeHeader(out, this.filled, request)
      request.data.copy(out, this.filled + headerBytes, request.dataStart, request.dataStart + length)
      this.filled += headerBytes + length
      this.sent(request)
      return
    }
    const start = request.dataStart - headerBytes
    this.writeHeader(request.data, start, request)
    if (this.socket.write(request.data, start, headerBytes + length)) this.sent(request)
    else {
      this.blocked = true
      this.sending = request
    }
  }

  private writeHeader(buffer: Buffer, start: number, request: NbdRequest): void {
    if (this.structured) writeDataChunkHeader(buffer, start, request, request, request.restBytes === 0)
    else if (!request.continued) writeSimpleReply(buffer, start, request, 0)
  }

  private sent(request: NbdRequest): void {
    if (!this.structured) this.exclusive = request.restBytes > 0 ? request : null
    this.events.onReplied(request)
  }

  private makeRoom(bytes: Bytes): boolean {
    if (this.filled + bytes > OUT_BYTES) this.flush()
    return !this.blocked
  }

  private makeEmpty(): boolean {
    this.flush()
    return !this.blocked
  }

  private buffer(): Buffer {
    this.out ??= Buffer.allocUnsafeSlow(OUT_BYTES)
    return this.out
  }
}
