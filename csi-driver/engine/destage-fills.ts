// What a generation writes back is in memory and was wanted a moment ago: whole blocks of it go to the read cache on
// the way, so that recently written data stays a hit after it left the log. A slot is filled beside the backing write
// and given to the index when the block settles; a block that was written again meanwhile gives its slot back.
import type { IoError } from '../../base/errors.ts'
import { BLOCK_BYTES, SECTOR_BYTES } from '../../base/units.ts'
import type { IoDone } from '../io/storage.ts'
import type { DestageRun } from './destage-run.ts'
import type { EngineCore } from './engine-core.ts'
import type { GenerationSnapshot } from './index/generation-snapshot.ts'
import { FULL_MASK } from './index/sector-mask.ts'

/** Slot writes under way at one time; blocks beyond it are not kept. */
const FILLS_MAX = 64
const NO_SLOT = -1
/** The fragment's slot is being written. */
const FILLING = -2
/** The fragment left the log; a slot that comes now is too late. */
const SETTLED = -3

class SlotWrite {
  readonly buffer: Buffer
  entry = 0
  slot = NO_SLOT
  readonly done: IoDone

  constructor(buffer: Buffer, onDone: (write: SlotWrite, error: IoError | null) => void) {
    this.buffer = buffer
    this.done = (error) => onDone(this, error)
  }
}

export class DestageFills {
  private readonly core: EngineCore
  private readonly free: SlotWrite[] = []
  private made = 0
  private active = 0
  /** Per fragment of the generation: the slot that holds its content, and the slot's generation when it was taken. */
  private slots = new Int32Array(0)
  private slotGenerations = new Uint16Array(0)
  private onIdle: (() => void) | null = null

  constructor(core: EngineCore) {
    this.core = core
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
      const write = this.take()
      if (write === null) return
      const block = snapshot.block[entry] as number
      const slot = core.readCache.insert(block)
      if (slot < 0) {
        this.free.push(write)
        return
      }
      core.readCache.pin(slot)
      this.slots[entry] = FILLING
      this.slotGenerations[entry] = core.readCache.generationOf(slot)
      const at = block * BLOCK_BYTES - run.startSector * SECTOR_BYTES
      run.buffer.copy(write.buffer, 0, at, at + BLOCK_BYTES)
      write.entry = entry
      write.slot = slot
      this.active += 1
      core.ports.cacheFill.write(write.buffer, 0, BLOCK_BYTES, core.slotSector(slot) * SECTOR_BYTES, write.done)
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

  /** Resolves when no slot write is under way. */
  quiesce(): Promise<void> {
    if (this.active === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.onIdle = resolve
    })
  }

  private finish(write: SlotWrite, error: IoError | null): void {
    const { core } = this
    const { slot, entry } = write
    core.readCache.unpin(slot)
    this.active -= 1
    this.free.push(write)
    const ours = core.readCache.generationOf(slot) === this.slotGenerations[entry]
    // A fragment that settled before its slot was filled does not wait for it.
    const wanted = this.slots[entry] === FILLING
    if (wanted) this.slots[entry] = ours && error === null ? slot : NO_SLOT
    if (ours && (error !== null || !wanted)) core.readCache.release(slot)
    if (this.active === 0) {
      const { onIdle } = this
      this.onIdle = null
      onIdle?.()
    }
  }

  private take(): SlotWrite | null {
    const write = this.free.pop()
    if (write !== undefined) return write
    if (this.made >= FILLS_MAX) return null
    this.made += 1
    return new SlotWrite(this.core.ports.memory.allocate(BLOCK_BYTES), (w, error) => this.finish(w, error))
  }
}
