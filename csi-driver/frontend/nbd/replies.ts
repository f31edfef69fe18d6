// Replies of the transmission phase: pure functions that write one reply, or its header, at buffer[start…] and return
// its length. Cookies are opaque and go back as they came.
import type { Bytes } from '../../../base/units.ts'
import {
  ALLOCATION_CONTEXT_ID,
  CHUNK_BLOCK_STATUS,
  CHUNK_ERROR,
  CHUNK_FLAG_DONE,
  CHUNK_HEADER_BYTES,
  CHUNK_MAGIC,
  CHUNK_NONE,
  CHUNK_OFFSET_DATA,
  DATA_CHUNK_HEADER_BYTES,
  NBD_EINVAL,
  NBD_EIO,
  NBD_ENOSPC,
  NBD_ENOTSUP,
  NBD_EOVERFLOW,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
} from './abi.ts'

const TWO_32 = 2 ** 32

/** As the request had it. */
export interface Cookie {
  readonly cookieHigh: number
  readonly cookieLow: number
}

const MESSAGES: ReadonlyMap<number, Buffer> = new Map([
  [NBD_EIO, Buffer.from('the volume could not do it')],
  [NBD_EINVAL, Buffer.from('not a request that this export takes: look at its size, block sizes and flags')],
  [NBD_ENOSPC, Buffer.from('beyond the end of the export, or no space left')],
  [NBD_EOVERFLOW, Buffer.from('longer than can be answered in one piece')],
  [NBD_ENOTSUP, Buffer.from('zeroing is not fast here')],
])

/** Longest of the replies below, data not counted. */
export const REPLY_BYTES_MAX: Bytes =
  CHUNK_HEADER_BYTES + 6 + Math.max(...[...MESSAGES.values()].map((message) => message.length))

export function writeSimpleReply(buffer: Buffer, start: number, cookie: Cookie, error: number): Bytes {
  buffer.writeUInt32BE(SIMPLE_REPLY_MAGIC, start)
  buffer.writeUInt32BE(error, start + 4)
  buffer.writeUInt32BE(cookie.cookieHigh, start + 8)
  buffer.writeUInt32BE(cookie.cookieLow, start + 12)
  return SIMPLE_REPLY_BYTES
}

/** Header of `length` bytes of data from `offset` of the export, which follow. `done`: nothing more comes. */
export function writeDataChunkHeader(
  buffer: Buffer,
  start: number,
  cookie: Cookie,
  data: { readonly offset: Bytes; readonly length: Bytes },
  done: boolean,
): Bytes {
  writeChunkHeader(buffer, start, cookie, CHUNK_OFFSET_DATA, done, data.length + 8)
  buffer.writeUInt32BE(Math.floor(data.offset / TWO_32), start + CHUNK_HEADER_BYTES)
  buffer.writeUInt32BE(data.offset % TWO_32, start + CHUNK_HEADER_BYTES + 4)
  return DATA_CHUNK_HEADER_BYTES
}

/** The end of a structured reply without content. */
export function writeDoneChunk(buffer: Buffer, start: number, cookie: Cookie): Bytes {
  return writeChunkHeader(buffer, start, cookie, CHUNK_NONE, true, 0)
}

/** The end of a structured reply that failed, with words for people. */
export function writeErrorChunk(buffer: Buffer, start: number, cookie: Cookie, error: number): Bytes {
  const message = MESSAGES.get(error)
  const messageBytes = message?.length ?? 0
  writeChunkHeader(buffer, start, cookie, CHUNK_ERROR, true, 6 + messageBytes)
  buffer.writeUInt32BE(error, start + CHUNK_HEADER_BYTES)
  buffer.writeUInt16BE(messageBytes, start + CHUNK_HEADER_BYTES + 4)
  message?.copy(buffer, start + CHUNK_HEADER_BYTES + 6)
  return CHUNK_HEADER_BYTES + 6 + messageBytes
}

/** All of `length` bytes may be allocated and need not be zero: what is not known. */
export function writeAllocatedChunk(buffer: Buffer, start: number, cookie: Cookie, length: Bytes): Bytes {
  writeChunkHeader(buffer, start, cookie, CHUNK_BLOCK_STATUS, true, 12)
  buffer.writeUInt32BE(ALLOCATION_CONTEXT_ID, start + CHUNK_HEADER_BYTES)
  buffer.writeUInt32BE(length, start + CHUNK_HEADER_BYTES + 4)
  buffer.writeUInt32BE(0, start + CHUNK_HEADER_BYTES + 8)
  return CHUNK_HEADER_BYTES + 12
}

function writeChunkHeader(
  buffer: Buffer,
  start: number,
  cookie: Cookie,
  type: number,
  done: boolean,
  length: Bytes,
): Bytes {
  buffer.writeUInt32BE(CHUNK_MAGIC, start)
  buffer.writeUInt16BE(done ? CHUNK_FLAG_DONE : 0, start + 4)
  buffer.writeUInt16BE(type, start + 6)
  buffer.writeUInt32BE(cookie.cookieHigh, start + 8)
  buffer.writeUInt32BE(cookie.cookieLow, start + 12)
  buffer.writeUInt32BE(length, start + 16)
  return CHUNK_HEADER_BYTES
}
