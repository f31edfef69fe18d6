// What the reference volume writes: one block of JSON with a checksum in front of each batch and in each checkpoint slot.
import { crc32 } from '../../base/crc32.ts'
import { BLOCK_BYTES } from '../../base/units.ts'

export interface LogRecord {
  readonly sector: number
  readonly sectors: number
  readonly zero: boolean
  readonly unique: number
}

export interface Frame {
  readonly log: number
  readonly batch: number
  readonly session: string
  readonly records: readonly LogRecord[]
  readonly payloadBytes: number
  readonly payloadCrc: number
}

export interface Checkpoint {
  readonly generation: number
  readonly log: number
  readonly batch: number
  readonly position: number
  readonly run: number
}

/** Batch up to which a checkpoint says that everything is destaged. */
export function referenceCheckpoint(data: Buffer): number | null {
  return (readHeader(data) as Checkpoint | null)?.batch ?? null
}

export function writeHeader(buffer: Buffer, header: object): void {
  const text = JSON.stringify(header)
  buffer.fill(0, 0, BLOCK_BYTES)
  buffer.write(text, 8)
  buffer.writeUInt32LE(text.length, 4)
  buffer.writeUInt32LE(crc32(buffer, 4, BLOCK_BYTES), 0)
}

export function readHeader(buffer: Buffer): unknown {
  const length = buffer.readUInt32LE(4)
  if (length === 0 || length > BLOCK_BYTES - 8 || buffer.readUInt32LE(0) !== crc32(buffer, 4, BLOCK_BYTES)) return null
  return JSON.parse(buffer.toString('utf8', 8, 8 + length))
}
