// How a durable record changes what is cached where. The commit of a batch and the recovery of a log use the same two
// functions, in the order of the sequence numbers, so both end in the same index.
import { assert } from '../../base/assert.ts'
import type { Seq } from '../../base/units.ts'
import { SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../base/units.ts'
import { xxhash64Low32 } from '../../base/xxhash64.ts'
import type { EngineCore } from './engine-core.ts'

/** The parts of the engine that a record changes. */
export type RecordTarget = Pick<EngineCore, 'index' | 'zeros'>

/**
 * A WRITE: its sectors now live in the log at `cacheSector`. The data is `length` bytes of `buffer` from `start` (still
 * in memory; only hashed). Each 4 KiB block of the volume becomes one fragment with a hash of its own, so that a later
 * read can verify exactly what it uses; a record that lies in one block has it already, the low half of its data hash.
 */
// oxlint-disable-next-line eslint/max-params -- one record, without an object for it
export function applyWrite(
  target: RecordTarget,
  sector: number,
  cacheSector: number,
  buffer: Buffer,
  start: number,
  length: number,
  dataHashLow: number,
): void {
  const end = sector + length / SECTOR_BYTES
  let at = sector
  let cache = cacheSector
  let from = start
  while (at < end) {
    const block = Math.floor(at / SECTORS_PER_BLOCK)
    const first = at - block * SECTORS_PER_BLOCK
    const count = Math.min(SECTORS_PER_BLOCK - first, end - at)
    const mask = ((1 << count) - 1) << first
    const bytes = count * SECTOR_BYTES
    const hash = bytes === length ? dataHashLow : xxhash64Low32(buffer, from, from + bytes)
    target.index.putDirty(block, mask, cache - first, hash)
    at += count
    cache += count
    from += bytes
  }
}

/** A ZERO: older data of the range is forgotten; reads give zeros until the generation with `seq` is destaged. */
export function applyZero(target: RecordTarget, sector: number, sectors: number, seq: Seq): void {
  target.index.removeRange(sector, sector + sectors)
  assert(target.zeros.add(sector, sector + sectors, seq), 'zero ranges of an un-trimmed log fit the table')
}
