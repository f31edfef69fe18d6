// What a generation writes back is in memory and was wanted a moment ago: whole blocks of it go to the read cache on
// the way, so that recently written data stays a hit after it left the log. A slot is filled beside the backing write
// and given to the index when the block settles; a block that was written again meanwhile gives its slot back.
//
// Slots are handed out in ascending order most of the time: blocks are collected, of several runs too, as long as their
// slots follow each other, and written together. 64 KiB cost a thread and the device hardly more than 4 KiB.
import type { IoError } from '../../base/errors.ts'
import type { BlockNumber, Bytes } from '../../base/units.ts'
import { BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts'
import type { DestageRun } from './destage-run.ts'
import type { EngineCore } from './engine-core.ts'
import type { GenerationSnapshot } from './index/generation-snapshot.ts'
import { FULL_MASK } from './index/sector-mask.ts'

/** Blocks on their way to slots at one time; those beyond it are not kept. */
export const FILLS_MAX = 128
/** Longest write, in blocks. */
export const WRITE_BLOCKS_MAX = 16
const NO_SLOT = -1
/** The fragment's slot is being written, or waits for that. */
const FILLING = -2
/** The fragment left the log; a slot that comes now is too late. */
const SETTLED = -3
/** The place of the ring holds no block. */
const NO_ENTRY = -1

export class DestageFills {
  private readonly core: EngineCore
  /** Copies of blocks, in a ring. Places are counted without end: [oldest, sent) are being written, [sent, next) wait. */
  private readonly ring: Buffer
  private readonly entryAt = new Int32Array(FILLS_MAX).fill(NO_ENTRY)
  private readonly slotAt = new Int32Array(FILLS_MAX)
  private oldest = 0
  private sent = 0
  private next = 0
  /** Per fragment of the generation: the slot that holds its content, and the slot's generation when it was taken. */
  private slots = new Int32Array(0)
  private slotGenerations = new Uint16Array(0)
  private onIdle: (() => void) | null = null

  constructor(core: EngineCore) {
    this.core = core
    this.ring = core.ports.memory.allocate(FILLS_MAX * BLOCK_BYTES)
  }

  begin(snapshot: GenerationSnapshot): void {
    this.slots = new Int32Array(snapshot.count).fill(NO_SLOT)
    this.slotGenerations = new Uint16Array(snapshot.count)
  }

  /** The run's data is in its buffer: copies whole blocks on their way to slots. */
  offer(snapshot: GenerationSnapshot, run: DestageRun): void {
    const { core } = this
    if (core.cacheFailure !== null || core.phase !== 'WriteBack') return
    for (let entry = run.firstEntry; entry < run.endEntry; entry += 1) {
      if (snapshot.valid[entry] !== FULL_MASK || this.slots[entry] !== NO_SLOT) continue
      const block = snapshot.block[entry] as number
      const at = block * BLOCK_BYTES - run.startSector * SECTOR_BYTES
      if (!this.collect(entry, block, run.buffer, at)) return
    }
  }

  /** The fragment is durable on the backing: it leaves the log, into its slot where that is filled and still ours. */
  settle(snapshot: GenerationSnapshot, entry: number): void {
    const { core } = this
    const slot = this.slots[entry] as number
    const ours = slot >= 0 && core.readCache.generationOf(slot) === this.slotGenerations[entry]
    const taken = core.index.settle(snapshot, entry, ours ? slot : NO_SLOT)
    if (ours && !taken) core.readCache.release(slot)
    this.slots[entry] = SETTLED
  }

  /** Writes what was collected so far. */
  send(): void {
    const { core, sent: first, next: end } = this
    if (first === end) return
    this.sent = end
    const place = first % FILLS_MAX
    const position = core.slotSector(this.slotAt[place] as number) * SECTOR_BYTES
    core.ports.cacheFill.write(this.ring, place * BLOCK_BYTES, (end - first) * BLOCK_BYTES, position, (error) =>
      this.finish(first, end, error),
    )
  }

  /** Resolves when everything offered is in its slot or has failed to get there. */
  quiesce(): Promise<void> {
    this.send()
    if (this.oldest === this.sent) return Promise.resolve()
    return new Promise((resolve) => {
      this.onIdle = resolve
    })
  }

  /** False when no more can be kept now. */
  private collect(entry: number, block: BlockNumber, from: Buffer, at: Bytes): boolean {
    const { readCache } = this.core
    if (this.next - this.oldest === FILLS_MAX) return false
    const slot = readCache.insert(block)
    if (slot < 0) return false
    const place = this.next % FILLS_MAX
    const follows = place > 0 && slot === (this.slotAt[place - 1] as number) + 1
    if (!follows) this.send()
    readCache.pin(slot)
    this.slots[entry] = FILLING
    this.slotGenerations[entry] = readCache.generationOf(slot)
    from.copy(this.ring, place * BLOCK_BYTES, at, at + BLOCK_BYTES)
    this.entryAt[place] = entry
    this.slotAt[place] = slot
    this.next += 1
    if (this.next - this.sent === WRITE_BLOCKS_MAX) this.send()
    return true
  }

  private finish(first: number, end: number, error: IoError | null): void {
    for (let i = first; i < end; i += 1) this.finishOne(i % FILLS_MAX, error)
    while (this.oldest < this.sent && this.entryAt[this.oldest % FILLS_MAX] === NO_ENTRY) this.oldest += 1
    if (this.oldest < this.sent) return
    const { onIdle } = this
    this.onIdle = null
    onIdle?.()
  }

  private finishOne(place: number, error: IoError | null): void {
    const { readCache } = this.core
    const slot = this.slotAt[place] as number
    const entry = this.entryAt[place] as number
    this.entryAt[place] = NO_ENTRY
    readCache.unpin(slot)
    const ours = readCache.generationOf(slot) === this.slotGenerations[entry]
    // A fragment that settled before its slot was filled does not wait for it.
    const wanted = this.slots[entry] === FILLING
    if (wanted) this.slots[entry] = ours && error === null ? slot : NO_SLOT
    if (ours && (error !== null || !wanted)) readCache.release(slot)
  }
}
