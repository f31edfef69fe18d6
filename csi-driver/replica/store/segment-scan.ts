// The first look at the segments after a start: reads the beginning of each and says which log it belongs to. A segment
// whose header is damaged is known by its first batch; where that is damaged too, whatever batch of a known log stands
// in it is reported, since it proves that the batches before it were complete.
import { isZero } from '../../../base/bytes.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, MIB } from '../../../base/units.ts'
import type { AlignedMemory, Storage } from '../../io/storage.ts'
import { decodeSegmentHeader, readStoredHeader } from './segment-format.ts'
import { SEGMENT_HEADER_BYTES, segmentCount, segmentPosition } from './store-geometry.ts'
import type { StoreSuperblock } from './store-superblock.ts'
import type { VolumeSlot } from './volume-slot.ts'

/** Reads of segment beginnings in flight. */
const HEAD_READS_MAX = 16
const HEAD_BYTES: Bytes = SEGMENT_HEADER_BYTES + BLOCK_BYTES
const STRAY_CHUNK_BYTES: Bytes = MIB

/** Something that carries a batch number and the generation under which it was written. */
export interface Mark {
  readonly batchSeq: BatchSeq
  readonly slotGeneration: number
}

export interface FoundSegment extends Mark {
  readonly segment: number
  /** Null: its header is damaged. */
  readonly ordinal: number | null
}

/** A batch in a segment of which nothing else can be said. */
export interface Stray extends Mark {
  readonly segment: number
}

/** What was found of one log. */
export interface FoundLog {
  /** `batchSeq` is the first batch of the segment. */
  readonly segments: FoundSegment[]
  readonly strays: Stray[]
}

export function readRange(storage: Storage, buffer: Buffer, range: { start: number; length: Bytes; position: Bytes }) {
  return new Promise<void>((resolve, reject) => {
    storage.read(buffer, range.start, range.length, range.position, (error) => (error ? reject(error) : resolve()))
  })
}

export class SegmentScan {
  /** By logId, for each log that a slot names. */
  readonly logs = new Map<bigint, FoundLog>()
  /** Of which not one block could be read: they may hold anything, the end of any log too. */
  readonly unreadable: number[] = []
  private readonly storage: Storage
  private readonly superblock: StoreSuperblock
  private readonly slotOf = new Map<bigint, VolumeSlot>()
  private readonly heads: Buffer
  private readonly memory: AlignedMemory
  private chunk: Buffer | null = null

  constructor(options: {
    storage: Storage
    memory: AlignedMemory
    superblock: StoreSuperblock
    slots: readonly VolumeSlot[]
  }) {
    this.storage = options.storage
    this.superblock = options.superblock
    this.memory = options.memory
    this.heads = options.memory.allocate(HEAD_READS_MAX * HEAD_BYTES)
    for (const slot of options.slots) {
      if (slot.log === null) continue
      this.slotOf.set(slot.log.logId, slot)
      this.logs.set(slot.log.logId, { segments: [], strays: [] })
    }
  }

  async run(): Promise<void> {
    if (this.slotOf.size === 0) return
    const doubtful: number[] = []
    let next = 0
    const worker = async (lane: number): Promise<void> => {
      const start = lane * HEAD_BYTES
      for (let segment = next++; segment < segmentCount(this.superblock); segment = next++) {
        if (!(await this.look(segment, start))) doubtful.push(segment)
      }
    }
    await Promise.all(Array.from({ length: HEAD_READS_MAX }, (_, lane) => worker(lane)))
    for (const segment of doubtful) await this.findStrays(segment)
  }

  /** False where only a search through the whole segment can tell anything. */
  private async look(segment: number, start: number): Promise<boolean> {
    const position = segmentPosition(this.superblock, segment)
    try {
      await readRange(this.storage, this.heads, { start, length: HEAD_BYTES, position })
    } catch {
      return false
    }
    const header = decodeSegmentHeader(this.heads, start)
    if (header !== null && header.segment === segment) {
      const { logId, ordinal, slotGeneration, firstBatchSeq } = header
      const isThisStore = header.storeUuid === this.superblock.storeUuid
      const isOurs = isThisStore && this.slotOf.get(logId)?.index === header.slot
      if (isOurs) this.logs.get(logId)?.segments.push({ segment, ordinal, slotGeneration, batchSeq: firstBatchSeq })
      return true
    }
    const first = readStoredHeader(this.heads, start + SEGMENT_HEADER_BYTES)
    const log = first === null ? undefined : this.logs.get(first.logId)
    if (first !== null && log !== undefined) {
      const { slotGeneration, batchSeq } = first
      log.segments.push({ segment, ordinal: null, slotGeneration, batchSeq })
      return true
    }
    return isZero(this.heads, start, start + SEGMENT_HEADER_BYTES)
  }

  private async findStrays(segment: number): Promise<void> {
    const { segmentBytes } = this.superblock
    this.chunk ??= this.memory.allocate(Math.min(STRAY_CHUNK_BYTES, segmentBytes))
    const position = segmentPosition(this.superblock, segment)
    let readable = 0
    for (let offset = 0; offset < segmentBytes; offset += this.chunk.length) {
      const length = Math.min(this.chunk.length, segmentBytes - offset)
      readable += await this.searchChunk(this.chunk, { segment, position: position + offset, length })
    }
    if (readable === 0) this.unreadable.push(segment)
  }

  /** Returns how many bytes could be read: one bad place must not hide the others. */
  private async searchChunk(
    chunk: Buffer,
    { segment, position, length }: { segment: number; position: Bytes; length: Bytes },
  ): Promise<Bytes> {
    const isWhole = await this.canRead(chunk, position, length)
    let readable = 0
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      if (!isWhole && !(await this.canRead(chunk.subarray(at), position + at, BLOCK_BYTES))) continue
      readable += BLOCK_BYTES
      const header = readStoredHeader(chunk, at)
      if (header === null) continue
      const { batchSeq, slotGeneration } = header
      this.logs.get(header.logId)?.strays.push({ segment, batchSeq, slotGeneration })
    }
    return readable
  }

  private canRead(into: Buffer, position: Bytes, length: Bytes): Promise<boolean> {
    return readRange(this.storage, into, { start: 0, length, position }).then(
      () => true,
      () => false,
    )
  }
}
