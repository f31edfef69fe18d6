// What the server says during the handshake, as bytes. Pure.
import type { Bytes } from '../../../base/units.ts'
import {
  GREETING_BYTES,
  GREETING_MAGIC_HIGH,
  GREETING_MAGIC_LOW,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  OPTION_MAGIC_HIGH,
  OPTION_MAGIC_LOW,
  OPTION_REPLY_HEADER_BYTES,
  OPTION_REPLY_MAGIC_HIGH,
  OPTION_REPLY_MAGIC_LOW,
} from './abi.ts'

/** Fixed newstyle; the zeros behind the answer to EXPORT_NAME can be left out. */
export function greeting(): Buffer {
  const bytes = Buffer.alloc(GREETING_BYTES)
  bytes.writeUInt32BE(GREETING_MAGIC_HIGH, 0)
  bytes.writeUInt32BE(GREETING_MAGIC_LOW, 4)
  bytes.writeUInt32BE(OPTION_MAGIC_HIGH, 8)
  bytes.writeUInt32BE(OPTION_MAGIC_LOW, 12)
  bytes.writeUInt16BE(HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES, 16)
  return bytes
}

export function optionReply(option: number, type: number, data: Buffer): Buffer {
  const header = Buffer.alloc(OPTION_REPLY_HEADER_BYTES)
  header.writeUInt32BE(OPTION_REPLY_MAGIC_HIGH, 0)
  header.writeUInt32BE(OPTION_REPLY_MAGIC_LOW, 4)
  header.writeUInt32BE(option, 8)
  header.writeUInt32BE(type, 12)
  header.writeUInt32BE(data.length, 16)
  return Buffer.concat([header, data])
}

/** Size and transmission flags, as EXPORT_NAME and INFO_EXPORT have them. */
export function exportInfo(sizeBytes: Bytes, flags: number): Buffer {
  const bytes = Buffer.alloc(10)
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 0)
  bytes.writeUInt16BE(flags, 8)
  return bytes
}

/** Data of REP_SERVER. */
export function serverReply(name: string): Buffer {
  const text = Buffer.from(name)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(text.length)
  return Buffer.concat([bytes, text])
}

/** Data of REP_META_CONTEXT. */
export function contextReply(id: number, name: string): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(id)
  return Buffer.concat([bytes, Buffer.from(name)])
}
