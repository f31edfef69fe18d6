// The frame: what every message of the wire protocol stands in. Header of 32 bytes, then the body.
// A header says nothing that is believed before its CRC-32 was checked; the body is hashed apart, so that a reader
// decides about length and type before it takes a byte of it. Offsets: docs/formats/wire.md, which shows this layout.
import { crc32 } from '../../../base/crc32.ts'
import { defineLayout, u16, u32, u64big, u8, zeros } from '../../../base/layout.ts'
import type { Bytes } from '../../../base/units.ts'

/** "FWIR" in the stream. */
export const FRAME_MAGIC = 0x52_49_57_46
/** Frame version of HELLO, WELCOME and REFUSED, whose form never changes: two builds can always say that they differ. */
export const HANDSHAKE_VERSION = 0

export const FRAME_HEADER = defineLayout('frame header', {
  magic: u32('"FWIR"; finds a stream that is not ours, or out of step'),
  version: u16('0 for HELLO, WELCOME and REFUSED; else the version that WELCOME chose'),
  type: u8('of the message; bit 7 is set where the store sends'),
  flags: zeros(1),
  sequence: u32('1 for the first frame of a direction, +1 each; 0 follows 2^32 - 1; finds lost and repeated frames'),
  bodyBytes: u32('length of the body; each type has its limits'),
  bodyHash: u64big('xxHash64 of the body'),
  reserved: zeros(4),
  headerCrc: u32('CRC-32 of the 28 bytes before; checked before any other field is used'),
})
export const FRAME_HEADER_BYTES: Bytes = FRAME_HEADER.size

const F = FRAME_HEADER.offsets

export interface FrameFields {
  readonly version: number
  readonly type: number
  readonly sequence: number
  readonly bodyBytes: Bytes
  readonly bodyHash: bigint
}

/** Writes a frame header at buffer[at, at+FRAME_HEADER_BYTES). */
export function writeFrameHeader(buffer: Buffer, at: number, fields: FrameFields): void {
  buffer.writeUInt32LE(FRAME_MAGIC, at + F.magic)
  buffer.writeUInt16LE(fields.version, at + F.version)
  buffer.writeUInt8(fields.type, at + F.type)
  buffer.writeUInt8(0, at + F.flags)
  buffer.writeUInt32LE(fields.sequence, at + F.sequence)
  buffer.writeUInt32LE(fields.bodyBytes, at + F.bodyBytes)
  buffer.writeBigUInt64LE(fields.bodyHash, at + F.bodyHash)
  buffer.writeUInt32LE(0, at + F.reserved)
  buffer.writeUInt32LE(crc32(buffer, at, at + F.headerCrc), at + F.headerCrc)
}

/** Is buffer[0, FRAME_HEADER_BYTES) a frame header? Only after null do the readers below mean anything. */
export function frameHeaderProblem(buffer: Buffer): 'magic' | 'checksum' | 'padding' | null {
  if (buffer.readUInt32LE(F.magic) !== FRAME_MAGIC) return 'magic'
  if (buffer.readUInt32LE(F.headerCrc) !== crc32(buffer, 0, F.headerCrc)) return 'checksum'
  return buffer.readUInt8(F.flags) === 0 && buffer.readUInt32LE(F.reserved) === 0 ? null : 'padding'
}

export const frameVersion = (header: Buffer): number => header.readUInt16LE(F.version)
export const frameType = (header: Buffer): number => header.readUInt8(F.type)
export const frameSequence = (header: Buffer): number => header.readUInt32LE(F.sequence)
export const frameBodyBytes = (header: Buffer): Bytes => header.readUInt32LE(F.bodyBytes)
export const frameBodyHash = (header: Buffer): bigint => header.readBigUInt64LE(F.bodyHash)

/** Sequence of a direction's first frame. */
export const FIRST_SEQUENCE = 1

/** The sequence behind `sequence`. */
export function nextSequence(sequence: number): number {
  return (sequence + 1) >>> 0
}
