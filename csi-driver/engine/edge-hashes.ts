// Hashes of the first and last MiB of the backing, block by block, as they were at the last checkpoint. They notice a
// stranger who mounted the bare backing while the cache was dirty (DESIGN.md §7.15): nearly every file system writes
// there. Blocks that the log still holds are not compared, since a destage may have written them after the checkpoint.
import type { Bytes } from '../../base/units.ts'
import { BLOCK_BYTES, MIB, SECTORS_PER_BLOCK } from '../../base/units.ts'
import { xxhash64Low32 } from '../../base/xxhash64.ts'
import type { BackingStore } from '../backing/backing-store.ts'
import type { AlignedMemory } from '../io/storage.ts'
import { once } from './generation.ts'
import type { RecordTarget } from './apply-record.ts'

const EDGE_BYTES: Bytes = MIB
const BLOCKS_PER_EDGE = EDGE_BYTES / BLOCK_BYTES
/** Number of hashes that a superblock holds. */
export const EDGE_HASH_COUNT = 2 * BLOCKS_PER_EDGE
/** Stored for a block that is not compared. */
const NOT_COMPARED = 0

export class EdgeHashes {
  private readonly backing: BackingStore
  private readonly memory: AlignedMemory
  private buffer: Buffer | null = null
  /** The backing's edges changed since the last checkpoint. */
  private touched = true
  /** Writes go past the log: what a checkpoint would say is old at once. */
  paused = false

  constructor(backing: BackingStore, memory: AlignedMemory) {
    this.backing = backing
    this.memory = memory
  }

  /** A backing write over [position, position+length) begins or ends. */
  note(position: Bytes, length: Bytes): void {
    if (position < EDGE_BYTES || position + length > this.backing.sizeBytes - EDGE_BYTES) this.touched = true
  }

  /** The last MiB is another one now. */
  resized(): void {
    this.touched = true
  }

  /** The hashes for the next checkpoint; null when those of the last one still hold. */
  async forCheckpoint(): Promise<Uint32Array | null> {
    if (this.paused) return new Uint32Array(EDGE_HASH_COUNT)
    if (!this.touched) return null
    this.touched = false
    const hashes = await this.read()
    // A destage that wrote the edges while they were read: compared they would be wrong.
    return this.touched || hashes === null ? new Uint32Array(EDGE_HASH_COUNT) : hashes
  }

  /** First volume block that is not what `expected` says and not in the log; -1 when all agree or none was kept. */
  async firstDifference(expected: Uint32Array, log: RecordTarget): Promise<number> {
    if (expected.every((hash) => hash === NOT_COMPARED)) return -1
    const found = await this.read()
    if (found === null) return -1
    for (let i = 0; i < EDGE_HASH_COUNT; i += 1) {
      if (expected[i] === NOT_COMPARED || expected[i] === found[i]) continue
      const block = this.blockOf(i)
      if (block < 0 || log.index.hasDirty(block, block)) continue
      if (log.zeros.overlaps(block * SECTORS_PER_BLOCK, (block + 1) * SECTORS_PER_BLOCK)) continue
      return block
    }
    return -1
  }

  private async read(): Promise<Uint32Array | null> {
    const hashes = new Uint32Array(EDGE_HASH_COUNT)
    this.buffer ??= this.memory.allocate(EDGE_BYTES)
    for (const edge of [0, 1]) {
      const start = edge === 0 ? 0 : this.blockOf(BLOCKS_PER_EDGE) * BLOCK_BYTES
      const length = Math.min(EDGE_BYTES, Math.floor((this.backing.sizeBytes - start) / BLOCK_BYTES) * BLOCK_BYTES)
      if (length <= 0) continue
      const { buffer } = this
      // oxlint-disable-next-line eslint/no-await-in-loop -- one buffer for both edges
      const error = await once((done) => this.backing.read(buffer, 0, length, start, done))
      if (error !== null) return null
      for (let i = 0; i * BLOCK_BYTES < length; i += 1) {
        const hash = xxhash64Low32(buffer, i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES)
        hashes[edge * BLOCKS_PER_EDGE + i] = hash === NOT_COMPARED ? 1 : hash
      }
    }
    return hashes
  }

  /** Volume block of hash i; -1 where the volume is smaller than that. */
  private blockOf(i: number): number {
    const blocks = Math.floor(this.backing.sizeBytes / BLOCK_BYTES)
    const block = i < BLOCKS_PER_EDGE ? i : Math.max(0, blocks - BLOCKS_PER_EDGE) + (i - BLOCKS_PER_EDGE)
    return block < blocks ? block : -1
  }
}
