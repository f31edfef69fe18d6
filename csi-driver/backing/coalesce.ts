// Neighbouring dirty sectors become one backing write. Pure and without allocation: a cursor over a generation
// (blocks ascending, equal block numbers allowed: fragments of one block) that yields runs of sectors which are all
// covered. A run is at most 1 MiB and is cut at block boundaries only, so that two runs never share a block unless
// that block itself has a hole (such runs are serialised by range-locks.ts).
import { MIB, SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../base/units.ts'
import type { Sectors } from '../../base/units.ts'

/** Longest run, 1 MiB: beyond it no device gets faster, and one request occupies it for too long. */
export const RUN_SECTORS_MAX: Sectors = MIB / SECTOR_BYTES

const FULL_MASK = 0xff

export class RunCursor {
  /** The run found by the last `next()` that returned true: sectors [startSector, endSector) of the volume. */
  startSector: Sectors = 0
  endSector: Sectors = 0
  /** Entries of the generation that touch the run: [firstEntry, endEntry). Neighbouring runs may share one entry. */
  firstEntry = 0
  endEntry = 0

  private blocks: Uint32Array = new Uint32Array(0)
  private valid: Uint8Array = new Uint8Array(0)
  private count = 0
  private runSectorsMax: Sectors = RUN_SECTORS_MAX
  /** First entry of the block that is looked at, and the first of its sectors that no run has taken yet. */
  private entry = 0
  private sectorInBlock = 0

  /**
   * Starts over `blocks` and `valid` [0, count): entry i covers the sectors of block blocks[i] whose bit is set in
   * valid[i] (bit 0 = first sector). The arrays must not change until the last `next()`.
   * `runSectorsMax` is a multiple of 8, at least 8.
   */
  reset(blocks: Uint32Array, valid: Uint8Array, count: number, runSectorsMax: Sectors = RUN_SECTORS_MAX): void {
    this.blocks = blocks
    this.valid = valid
    this.count = count
    this.runSectorsMax = runSectorsMax
    this.entry = 0
    this.sectorInBlock = 0
  }

  /** Finds the next run; false at the end. */
  next(): boolean {
    while (this.entry < this.count) {
      const mask = this.maskAt(this.entry) >>> this.sectorInBlock
      if (mask !== 0) {
        this.sectorInBlock += Math.clz32(mask & -mask) ^ 31
        this.takeRun()
        return true
      }
      this.entry = this.endOfBlock(this.entry)
      this.sectorInBlock = 0
    }
    return false
  }

  private takeRun(): void {
    let block = this.blocks[this.entry] as number
    this.startSector = block * SECTORS_PER_BLOCK + this.sectorInBlock
    this.firstEntry = this.entry
    const limit = this.startSector + this.runSectorsMax
    for (;;) {
      const mask = this.maskAt(this.entry)
      const end = endOfOnes(mask, this.sectorInBlock)
      const behind = this.endOfBlock(this.entry)
      this.endSector = block * SECTORS_PER_BLOCK + end
      this.endEntry = behind
      if (end < SECTORS_PER_BLOCK) {
        // A hole inside the block: the rest of the block, if any, belongs to later runs.
        this.sectorInBlock = end
        return
      }
      this.entry = behind
      this.sectorInBlock = 0
      const follows = behind < this.count && this.blocks[behind] === block + 1 && (this.maskAt(behind) & 1) === 1
      if (!follows) return
      block++
      const nextEnd = block * SECTORS_PER_BLOCK + endOfOnes(this.maskAt(behind), 0)
      if (nextEnd > limit) return
    }
  }

  /** Union of the masks of the block whose first entry is `entry`. */
  private maskAt(entry: number): number {
    const block = this.blocks[entry]
    let mask = 0
    for (let i = entry; i < this.count && this.blocks[i] === block; i++) mask |= this.valid[i] as number
    return mask & FULL_MASK
  }

  private endOfBlock(entry: number): number {
    const block = this.blocks[entry]
    let end = entry + 1
    while (end < this.count && this.blocks[end] === block) end++
    return end
  }
}

/** First position at or behind `from` whose bit is not set; 8 when all are. */
function endOfOnes(mask: number, from: number): number {
  let end = from
  while (end < SECTORS_PER_BLOCK && ((mask >>> end) & 1) === 1) end++
  return end
}
