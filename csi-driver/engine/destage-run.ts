// One backing write of a generation: reads its sectors from the cache, verified, into one buffer and writes them. The
// buffers are made once per volume and reused by every generation.
import type { IoError } from '../../base/errors.ts'
import type { Bytes } from '../../base/units.ts'
import { BLOCK_BYTES, KIB, SECTOR_BYTES } from '../../base/units.ts'
import type { RunCursor } from '../backing/backing-store.ts'
import type { IoDone } from '../io/storage.ts'
import type { CacheReadResult, ScratchPool } from './cache-reader.ts'
import { CacheReader } from './cache-reader.ts'
import type { EngineCore } from './engine-core.ts'
import type { GenerationSnapshot } from './index/generation-snapshot.ts'
import { firstSectorOf, maskInside, runLengthAt } from './index/sector-mask.ts'

/** Longest merged write. 32 in flight are 8 MiB of buffers and keep any device busy. */
export const RUN_BYTES_MAX: Bytes = 256 * KIB

/** What a run reports to. */
export interface RunOwner {
  /** False: the run is over. */
  onRunRead(run: DestageRun): boolean
  onRunWritten(run: DestageRun): void
  onRunFailed(run: DestageRun): void
  onRunUnreadable(run: DestageRun, message: string): void
}

export class DestageRun {
  readonly buffer: Buffer
  startSector = 0
  bytes: Bytes = 0
  /** Fragments of the snapshot that the run touches: [firstEntry, endEntry). */
  firstEntry = 0
  endEntry = 0
  /** Failed writes to the backing, and failed reads of the cache. */
  attempts = 0
  readAttempts = 0
  private readonly core: EngineCore
  private readonly reader: CacheReader
  private readonly written: IoDone
  private owner: RunOwner | null = null

  constructor(core: EngineCore, scratch: ScratchPool) {
    this.core = core
    this.buffer = core.ports.memory.allocate(RUN_BYTES_MAX)
    this.reader = new CacheReader(core.cacheReads, scratch, (result) => this.onRead(result))
    this.written = (error) => this.onWritten(error)
  }

  /** Begins with the cursor's present run; its entries are counted from `entryOffset` of the snapshot. */
  start(snapshot: GenerationSnapshot, cursor: RunCursor, entryOffset: number, owner: RunOwner): void {
    this.owner = owner
    this.attempts = 0
    this.readAttempts = 0
    this.startSector = cursor.startSector
    this.bytes = (cursor.endSector - cursor.startSector) * SECTOR_BYTES
    this.firstEntry = cursor.firstEntry + entryOffset
    this.endEntry = cursor.endEntry + entryOffset
    this.reader.clear()
    for (let i = this.firstEntry; i < this.endEntry; i += 1) this.addFragment(snapshot, i, cursor.endSector)
    this.reader.start(this.buffer)
  }

  readAgain(): void {
    this.reader.start(this.buffer)
  }

  writeAgain(): void {
    this.attempts += 1
    this.core.backing.write(this.buffer, 0, this.bytes, this.startSector * SECTOR_BYTES, this.written)
  }

  private addFragment(snapshot: GenerationSnapshot, i: number, endSector: number): void {
    const block = snapshot.block[i] as number
    const orig = snapshot.orig[i] as number
    const origFirst = firstSectorOf(orig)
    const origSectors = 32 - Math.clz32(orig) - origFirst
    const blockAt = block * BLOCK_BYTES - this.startSector * SECTOR_BYTES
    let rest = (snapshot.valid[i] as number) & maskInside(block, this.startSector, endSector)
    while (rest !== 0) {
      const first = firstSectorOf(rest)
      const sectors = runLengthAt(rest, first)
      rest &= ~(((1 << sectors) - 1) << first)
      this.reader.add(
        (snapshot.base[i] as number) + origFirst,
        origSectors,
        snapshot.hash[i] as number,
        (first - origFirst) * SECTOR_BYTES,
        sectors * SECTOR_BYTES,
        blockAt + first * SECTOR_BYTES,
      )
    }
  }

  private onRead(result: CacheReadResult): void {
    if (result !== 'ok') {
      this.readAttempts += 1
      const why = result === 'error' ? (this.reader.lastError?.message ?? 'input/output error') : 'checksum mismatch'
      this.owner?.onRunUnreadable(
        this,
        `dirty data unreadable sector=${this.startSector} bytes=${this.bytes} reason=${why}`,
      )
      return
    }
    if (this.owner?.onRunRead(this) !== true) return
    this.core.backing.write(this.buffer, 0, this.bytes, this.startSector * SECTOR_BYTES, this.written)
  }

  private onWritten(error: IoError | null): void {
    if (error === null) this.owner?.onRunWritten(this)
    else this.owner?.onRunFailed(this)
  }
}
