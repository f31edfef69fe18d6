// What the batch tests share: a sealed frame from a short description, and a way to forge one field of it so that the
// header hash still fits (what a bug in a writer, not a disk, would leave).
import { xxhash64 } from '../../../../base/xxhash64.ts'
import { BatchBuilder, type SealFields } from '../../../../csi-driver/batch/batch-builder.ts'
import { BATCH_HEADER } from '../../../../csi-driver/batch/batch-format.ts'
import type { AlignedMemory } from '../../../../csi-driver/io/storage.ts'

export const heapMemory: AlignedMemory = { allocate: (length) => Buffer.alloc(length, 0xcc) }

export const SEAL: SealFields = {
  volumeUuid: Buffer.alloc(16, 0x11),
  logUuid: Buffer.alloc(16, 0x22),
  epoch: 3,
  run: 4,
  batchSeq: 17,
  firstSeq: 1000,
  ackedSeq: 990,
  trimSeq: 500,
  previousHash: 0xfedc_ba98_7654_3210n,
  wallMs: 1_700_000_000_123,
  session: 0x0123_4567_89ab_cdefn,
}

export interface Entry {
  readonly sector: number
  /** Bytes of a write, or sectors of a zero. */
  readonly data: Buffer | number
  readonly mayUnmap?: boolean
}

export function build(
  entries: readonly Entry[],
  seal: Partial<SealFields> = {},
  builder = new BatchBuilder(heapMemory),
) {
  builder.reset()
  entries.forEach(({ sector, data, mayUnmap = false }, index) => {
    const unique = { uniqueLow: index, uniqueHigh: index * 7 }
    if (typeof data === 'number') builder.addZero({ sector, sectors: data, mayUnmap, ...unique })
    else builder.addWrite({ sector, buffer: data, start: 0, length: data.length, ...unique })
  })
  builder.seal({ ...SEAL, ...seal })
  return builder
}

export function frameOf(builder: BatchBuilder): Buffer {
  return Buffer.from(builder.buffer.subarray(builder.frameStart, builder.frameStart + builder.frameBytes))
}

/** Recomputes the header hash after `change`. */
export function forge(frame: Buffer, change: (frame: Buffer) => void): Buffer {
  const forged = Buffer.from(frame)
  change(forged)
  const blocks = Math.min(2, Math.max(1, forged.readUInt16LE(BATCH_HEADER.offsets.headerBlocks)))
  forged.writeBigUInt64LE(0n, BATCH_HEADER.offsets.headerHash)
  const end = Math.min(forged.length, blocks * 4096)
  forged.writeBigUInt64LE(xxhash64(forged, 0, end), BATCH_HEADER.offsets.headerHash)
  return forged
}
