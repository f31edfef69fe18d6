// What the workload writes: every 512-byte sector says which operation wrote it and where it belongs, so that a sector
// found anywhere names its origin, and a byte in the wrong place is seen.
//
//   word 0      MAGIC
//   word 1      operation id (0: what the backing held before the first open)
//   word 2      sector of the volume
//   word 3..127 a sequence that depends on the two; of every second operation one number all over, which compresses well
import { SECTOR_BYTES } from '../../base/units.ts'

const MAGIC = 0x46b1_5ec7
const WORDS = SECTOR_BYTES / 4
const STEP = 0x9e3779b9

/** The content before the first write. */
export const INITIAL_ID = 0
export const CONTENT_ZERO = -1
export const CONTENT_FOREIGN = -2

/** Id of the operation that wrote this content, CONTENT_ZERO, or CONTENT_FOREIGN for anything else. */
export type ContentId = number

function stepOf(id: number): number {
  return id % 2 === 0 ? STEP : 0
}

function start(id: number, sector: number): number {
  return Math.imul(id + 1, 0x85ebca6b) ^ Math.imul(sector + 1, 0xc2b2ae35)
}

/** Fills one sector at byte `at` of `buffer`, which must be 4-byte aligned in memory. */
export function fillSector(buffer: Buffer, at: number, id: number, sector: number): void {
  const words = new Uint32Array(buffer.buffer, buffer.byteOffset + at, WORDS)
  words[0] = MAGIC
  words[1] = id
  words[2] = sector
  const step = stepOf(id)
  let value = start(id, sector)
  for (let i = 3; i < WORDS; i++) {
    value = (value + step) | 0
    words[i] = value
  }
}

/** Fills `sectors` sectors of operation `id` that begin at sector `first` of the volume. */
export function fillSectors(buffer: Buffer, at: number, id: number, first: number, sectors: number): void {
  for (let i = 0; i < sectors; i++) fillSector(buffer, at + i * SECTOR_BYTES, id, first + i)
}

/** Whose content stands in that sector. `sector` is where it should belong; other content of ours is foreign too. */
export function readSector(buffer: Buffer, at: number, sector: number): ContentId {
  const words = new Uint32Array(buffer.buffer, buffer.byteOffset + at, WORDS)
  if (words[0] !== MAGIC) return isZero(words) ? CONTENT_ZERO : CONTENT_FOREIGN
  if (words[2] !== sector) return CONTENT_FOREIGN
  const id = words[1] as number
  const step = stepOf(id)
  let value = start(id, sector)
  for (let i = 3; i < WORDS; i++) {
    value = (value + step) | 0
    if (words[i] !== value >>> 0) return CONTENT_FOREIGN
  }
  return id
}

/** Like readSector for a sector found anywhere: {id, sector} packed as id × 2^20 + sector, or -1 for no content of ours. */
export function identifySector(buffer: Buffer, at: number): number {
  const words = new Uint32Array(buffer.buffer, buffer.byteOffset + at, WORDS)
  if (words[0] !== MAGIC) return -1
  const id = words[1] as number
  const sector = words[2] as number
  return readSector(buffer, at, sector) === id ? id * 0x10_0000 + sector : -1
}

function isZero(words: Uint32Array): boolean {
  for (let i = 0; i < WORDS; i++) if (words[i] !== 0) return false
  return true
}

/** For messages. */
export function describeContent(id: ContentId): string {
  if (id === CONTENT_ZERO) return 'zeros'
  if (id === CONTENT_FOREIGN) return 'content that nobody wrote there'
  return id === INITIAL_ID ? 'the initial content' : `write ${id}`
}
