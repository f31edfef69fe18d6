// The header of one request: read into plain fields, and checked against what the export offers. One object per
// connection, used again for each request.
import type { Bytes } from '../../../base/units.ts'
import type { RequestSink } from '../../engine/request.ts'
import {
  CMD_BLOCK_STATUS,
  CMD_CACHE,
  CMD_FLAG_DF,
  CMD_FLAG_FAST_ZERO,
  CMD_FLAG_FUA,
  CMD_FLAG_NO_HOLE,
  CMD_FLAG_REQ_ONE,
  CMD_FLUSH,
  CMD_READ,
  CMD_TRIM,
  CMD_WRITE,
  CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_ENOTSUP,
  NBD_EOVERFLOW,
  PAYLOAD_BYTES_MAX,
  REQUEST_COOKIE_HIGH,
  REQUEST_COOKIE_LOW,
  REQUEST_FLAGS,
  REQUEST_LENGTH,
  REQUEST_MAGIC,
  REQUEST_OFFSET_HIGH,
  REQUEST_OFFSET_LOW,
  REQUEST_TYPE,
} from './abi.ts'
import type { NbdSession } from './negotiation.ts'
import { PIECE_BYTES_MAX } from './request-pool.ts'

const TWO_32 = 2 ** 32
/** A volume never reaches this; keeps 64-bit offsets exact as numbers. */
const HIGH_HALF_MAX = 2 ** 20
/** In place of flags: there is no such command. */
const UNKNOWN = -1

/** What requests are checked against. */
export type ExportLimits = Pick<RequestSink, 'sizeBytes' | 'canZero'>

export class RequestHeader {
  session: NbdSession = { structured: false, allocation: false }
  command = 0
  flags = 0
  cookieHigh = 0
  cookieLow = 0
  offset = 0
  length = 0

  /** False: these are not the bytes of a request. */
  read(buffer: Buffer, at: number): boolean {
    if (buffer.readUInt32BE(at) !== REQUEST_MAGIC) return false
    this.flags = buffer.readUInt16BE(at + REQUEST_FLAGS)
    this.command = buffer.readUInt16BE(at + REQUEST_TYPE)
    this.cookieHigh = buffer.readUInt32BE(at + REQUEST_COOKIE_HIGH)
    this.cookieLow = buffer.readUInt32BE(at + REQUEST_COOKIE_LOW)
    const high = buffer.readUInt32BE(at + REQUEST_OFFSET_HIGH)
    this.offset = high > HIGH_HALF_MAX ? Infinity : buffer.readUInt32BE(at + REQUEST_OFFSET_LOW) + high * TWO_32
    this.length = buffer.readUInt32BE(at + REQUEST_LENGTH)
    return true
  }

  /** Error for the client; 0: the engine may see it. Errors as proto.md asks for them. */
  check(limits: ExportLimits, sectorBytes: Bytes): number {
    const { command, flags, offset, length } = this
    const allowed = this.flagsAllowed()
    if (allowed === UNKNOWN || (flags & ~allowed) !== 0) return NBD_EINVAL
    if (command === CMD_FLUSH) return offset === 0 && length === 0 ? 0 : NBD_EINVAL
    if (this.isRefused()) return NBD_EINVAL
    if (offset + length > limits.sizeBytes) {
      return command === CMD_WRITE || command === CMD_WRITE_ZEROES ? NBD_ENOSPC : NBD_EINVAL
    }
    if (offset % sectorBytes !== 0 || length % sectorBytes !== 0) return NBD_EINVAL
    return flags === 0 ? 0 : this.checkFlags(limits)
  }

  private isRefused(): boolean {
    const { command, length } = this
    if (command === CMD_READ || command === CMD_WRITE) return length > PAYLOAD_BYTES_MAX
    // Not without a context, and its answer has no way to say nothing.
    return command === CMD_BLOCK_STATUS && (length === 0 || !this.session.allocation)
  }

  /** Flags that are allowed and cannot be granted to this request. */
  private checkFlags({ canZero }: ExportLimits): number {
    if ((this.flags & CMD_FLAG_DF) !== 0 && this.length > PIECE_BYTES_MAX) return NBD_EOVERFLOW
    return (this.flags & CMD_FLAG_FAST_ZERO) !== 0 && !canZero ? NBD_ENOTSUP : 0
  }

  /** Flags that the command may have: FUA is valid with every one. */
  private flagsAllowed(): number {
    switch (this.command) {
      case CMD_READ:
        return this.session.structured ? CMD_FLAG_FUA | CMD_FLAG_DF : CMD_FLAG_FUA
      case CMD_WRITE:
      case CMD_FLUSH:
      case CMD_TRIM:
      case CMD_CACHE:
        return CMD_FLAG_FUA
      case CMD_WRITE_ZEROES:
        return CMD_FLAG_FUA | CMD_FLAG_NO_HOLE | CMD_FLAG_FAST_ZERO
      case CMD_BLOCK_STATUS:
        return CMD_FLAG_FUA | CMD_FLAG_REQ_ONE
      default:
        return UNKNOWN
    }
  }
}
