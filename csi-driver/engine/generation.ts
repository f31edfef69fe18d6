// One generation of the destage: everything that was dirty at one batch boundary goes to the backing, newest version
// per block, sorted and merged; then one flush, one checkpoint, and the log up to the boundary is free (invariant 7).
//
//   freeze ─▶ zeroes ─▶ runs (N in flight, each read from the cache, verified, written) ─▶ flush ─▶ settle
//                          └─ now and then a flush beside them settles what it covers ┘            │
//                                       checkpoint ◀── all answered to the front end ◀─────────────┘
//
// Settling makes blocks clean in the index as soon as they are durable on the backing, so that dirty bytes fall
// steadily; the log itself is trimmed only at the end. Until then `overlaps` answers for the un-trimmed records of this
// generation (invariant 6). A failing backing is tried again for ever; unreadable cache data ends the generation.
import type { Prng } from '../../base/prng.ts'
import type { IoError } from '../../base/errors.ts'
import type { BatchSeq, Bytes, Ms, Seq } from '../../base/units.ts'
import { KIB, MIB, SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../base/units.ts'
import { backoffMs, RunCursor } from '../backing/backing-store.ts'
import type { ByteRange, IoDone } from '../io/storage.ts'
import type { DestageFills } from './destage-fills.ts'
import { type DestageRun, RUN_BYTES_MAX } from './destage-run.ts'
import type { EngineCore } from './engine-core.ts'
import type { GenerationSnapshot } from './index/generation-snapshot.ts'
import { SECTORS_OF_MASK } from './index/sector-mask.ts'

/**
 * A flush beside the runs after so much data, or after so many parts of the dirty limit where that is less: what a flush
 * settles at once moves the delay of writers by as much. 1/64 of the limit moves it by a tenth where the backing takes
 * 10,000 writes a second (destage-rate.ts). Less than 16 blocks are not worth a flush.
 */
const SETTLE_BYTES_MAX: Bytes = 16 * MIB
const SETTLE_BYTES_MIN: Bytes = 64 * KIB
const SETTLES_PER_LIMIT = 64

/** Reads of the same dirty data that fail before anybody is told; about 3 s with their pauses. */
export const UNREADABLE_ATTEMPTS = 6

/** The engine stops: the generation was given up at a place where nothing is lost. */
export class GenerationAbandonedError extends Error {
  override readonly name = 'GenerationAbandonedError'
}

export interface GenerationHost {
  /** Backing writes that may be in flight now. */
  concurrency(): number
  /** True when the engine stops: no new I/O. */
  readonly stopping: boolean
  /** Dirty bytes fell. */
  onSettled(): void
  /** Dirty data cannot be read from the cache, or is not what was written, although it was tried some times. */
  onUnreadable(message: string): void
  /** All of what could not be read could be read after all. */
  onReadable(): void
}

export class Generation {
  readonly boundarySeq: Seq
  readonly boundaryBatchSeq: BatchSeq
  private readonly core: EngineCore
  private readonly host: GenerationHost
  private readonly prng: Prng
  private readonly fills: DestageFills
  private readonly snapshot: GenerationSnapshot
  private readonly cursor = new RunCursor()
  private readonly runs: DestageRun[]
  private readonly idleRuns: DestageRun[] = []
  /** Fragments written since the last flush, as pairs first, end. */
  private written: number[] = []
  private writtenBytes: Bytes = 0
  private inFlight = 0
  /** Data that a flush beside the runs settles. */
  private readonly settleBytes: Bytes
  /** A flush beside the runs is under way. */
  private flushing = false
  /** What it should have covered when it failed. */
  private doubtful: number[] | null = null
  /** Flush generation of the backing, read before the first write that is not settled. */
  private flushesSince: number
  private settledSectors = 0
  private zerosSettled: boolean
  /** Flushed runs that touched each fragment: a block with a hole is written by several, and is clean after the last. */
  private readonly flushedRuns: Uint8Array
  private wake: (() => void) | null = null
  /** Runs whose data cannot be read at present. */
  private unreadable = 0
  /** Ends each pause before a further attempt. */
  private readonly pauses = new Set<() => void>()

  constructor(core: EngineCore, host: GenerationHost, prng: Prng, fills: DestageFills, runs: DestageRun[]) {
    this.core = core
    this.host = host
    this.prng = prng
    this.fills = fills
    this.boundarySeq = core.committedSeq
    this.boundaryBatchSeq = core.committedBatchSeq
    this.snapshot = core.index.freeze(core.zeros)
    this.zerosSettled = this.snapshot.zeroCount === 0
    this.flushedRuns = new Uint8Array(this.snapshot.count)
    this.runs = runs
    this.idleRuns.push(...runs)
    const settleBytes = core.settings.dirtyLimitBytes / SETTLES_PER_LIMIT
    this.settleBytes = Math.max(SETTLE_BYTES_MIN, Math.min(SETTLE_BYTES_MAX, settleBytes))
    this.flushesSince = core.backing.flushGeneration
  }

  /** Whether an un-trimmed record of this generation touches the sectors [start, end). */
  overlaps(startSector: number, endSector: number): boolean {
    return this.snapshot.overlaps(
      Math.floor(startSector / SECTORS_PER_BLOCK),
      Math.floor((endSector - 1) / SECTORS_PER_BLOCK),
    )
  }

  /** Everything up to the flush; the caller checkpoints and trims. */
  async writeBack(): Promise<void> {
    this.fills.begin(this.snapshot)
    this.flushesSince = this.core.backing.flushGeneration
    await this.writeZeroes()
    this.cursor.reset(this.snapshot.block, this.snapshot.valid, this.snapshot.count, RUN_BYTES_MAX / SECTOR_BYTES)
    let more = this.startRuns()
    while (more || this.isBusy || this.doubtful !== null) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- each wake-up is an event of the runs in flight
      await this.nextEvent()
      this.throwIfOver()
      // oxlint-disable-next-line eslint/no-await-in-loop -- nothing new is begun before it is known to be durable
      if (this.doubtful !== null) await this.repair(this.doubtful)
      else if (!this.flushing && this.writtenBytes >= this.settleBytes) this.flushBeside()
      more = this.startRuns()
    }
    this.throwIfOver()
    await this.flushAndSettle()
  }

  /** Runs or a flush beside them are in flight. */
  private get isBusy(): boolean {
    return this.inFlight > 0 || this.flushing
  }

  private throwIfOver(): void {
    // Not before the I/O in flight has ended: the devices are closed next.
    if (this.host.stopping && !this.isBusy) throw new GenerationAbandonedError('the engine stops')
  }

  /** Starts as many runs as the rate allows; true while there are more. */
  private startRuns(): boolean {
    if (this.host.stopping) return false
    while (this.inFlight < Math.min(this.host.concurrency(), this.runs.length)) {
      if (!this.cursor.next()) return false
      const run = this.idleRuns.pop() as DestageRun
      this.inFlight += 1
      run.start(this.snapshot, this.cursor, 0, this)
    }
    return true
  }

  /** Called by a run that is on the backing, not yet flushed. */
  onRunWritten(run: DestageRun): void {
    this.written.push(run.firstEntry, run.endEntry)
    this.writtenBytes += run.bytes
    this.core.counters.destagedBytes += run.bytes
    this.release(run)
  }

  /** Called by a run whose backing write failed: it is tried again after a pause. */
  onRunFailed(run: DestageRun): void {
    if (this.host.stopping) {
      this.release(run)
      return
    }
    this.after(backoffMs(run.attempts, this.prng), () => {
      if (this.host.stopping) this.release(run)
      else run.writeAgain()
    })
  }

  /**
   * Called by a run whose data could not be read from the cache, or is not what was written. It is tried for ever, since
   * a device may come back; who waits for the end of the generation is told when it does not do so soon.
   */
  onRunUnreadable(run: DestageRun, message: string): void {
    this.core.cacheReads.distrust()
    if (run.readAttempts === UNREADABLE_ATTEMPTS) {
      this.core.counters.dirtyMismatches += 1
      this.unreadable += 1
      this.host.onUnreadable(message)
    }
    this.after(backoffMs(run.readAttempts, this.prng), () => {
      if (this.host.stopping) this.release(run)
      else run.readAgain()
    })
  }

  /** Called by a run as soon as its data is in memory and verified; false: it is not to be written any more. */
  onRunRead(run: DestageRun): boolean {
    if (this.host.stopping) {
      this.release(run)
      return false
    }
    if (run.readAttempts >= UNREADABLE_ATTEMPTS) {
      this.unreadable -= 1
      if (this.unreadable === 0) this.host.onReadable()
    }
    this.fills.offer(this.snapshot, run)
    return true
  }

  private release(run: DestageRun): void {
    this.inFlight -= 1
    this.idleRuns.push(run)
    this.wakeUp()
  }

  private wakeUp(): void {
    const { wake } = this
    this.wake = null
    wake?.()
  }

  private nextEvent(): Promise<void> {
    if (!this.isBusy) return Promise.resolve()
    return new Promise((resolve) => {
      this.wake = resolve
    })
  }

  private async writeZeroes(): Promise<void> {
    const { snapshot } = this
    if (snapshot.zeroCount === 0) return
    const ranges: ByteRange[] = []
    for (let i = 0; i < snapshot.zeroCount; i += 1) {
      const start = (snapshot.zeroStart[i] as number) * SECTOR_BYTES
      ranges.push({ position: start, length: (snapshot.zeroEnd[i] as number) * SECTOR_BYTES - start })
    }
    await this.untilDone((done) => this.core.backing.zero(ranges, done))
  }

  /** Flushes while the runs go on: the backing is never idle for it, and what has ended before is settled by it. */
  private flushBeside(): void {
    const written = this.takeWritten()
    // Slots that are filled before the flush ends are kept.
    this.fills.send()
    this.flushing = true
    this.core.backing.flushSince(this.flushesSince, (error) => {
      this.flushing = false
      if (error === null) this.settle(written)
      else this.doubtful = written
      this.wakeUp()
    })
  }

  /** Flushes the backing and makes everything clean that was written; no flush beside the runs is under way. */
  private async flushAndSettle(): Promise<void> {
    const { backing } = this.core
    for (let attempt = 0; ; attempt += 1) {
      const written = this.takeWritten()
      // oxlint-disable-next-line eslint/no-await-in-loop -- what settles goes to its slots, which are filled by then
      await this.fills.quiesce()
      this.throwIfOver()
      // oxlint-disable-next-line eslint/no-await-in-loop -- retried until it succeeds or the engine stops
      const error = await once((done) => backing.flushSince(this.flushesSince, done))
      if (error === null) {
        this.settle(written)
        return
      }
      // oxlint-disable-next-line eslint/no-await-in-loop -- see above
      await this.writeAgain(written, attempt)
    }
  }

  /** A flush beside the runs has failed. */
  private async repair(doubtful: number[]): Promise<void> {
    this.doubtful = null
    await this.writeAgain(doubtful, 0)
    await this.flushAndSettle()
  }

  /** After a failed flush nothing since the last good one is known to be durable (R2): all of it is written again. */
  private async writeAgain(written: number[], attempt: number): Promise<void> {
    this.flushesSince = this.core.backing.flushGeneration
    await this.pause(attempt)
    // Older than the runs: before them.
    if (!this.zerosSettled) await this.writeZeroes()
    await this.rewrite(written)
  }

  private takeWritten(): number[] {
    const { written } = this
    this.written = []
    this.writtenBytes = 0
    return written
  }

  private settle(written: readonly number[]): void {
    const { core, snapshot } = this
    if (!this.zerosSettled) {
      // Before the fragments that lie over them: a zero range must never outlive a newer write (zero-ranges.ts).
      core.zeros.removeThrough(this.boundarySeq)
      this.zerosSettled = true
    }
    for (let i = 0; i < written.length; i += 2) {
      const end = written[i + 1] as number
      for (let entry = written[i] as number; entry < end; entry += 1) {
        const runs = (this.flushedRuns[entry] as number) + 1
        this.flushedRuns[entry] = runs
        if (runs !== this.runsOf(entry)) continue
        this.settledSectors += SECTORS_OF_MASK[snapshot.valid[entry] as number] as number
        this.fills.settle(snapshot, entry)
      }
    }
    if (snapshot.dirtySectorsTotal > 0) core.generationSettled = this.settledSectors / snapshot.dirtySectorsTotal
    core.trimCount += 1
    this.host.onSettled()
  }

  /** How many runs write the block of this fragment: one for each stretch of neighbouring sectors. */
  private runsOf(entry: number): number {
    const { block, valid, count } = this.snapshot
    let first = entry
    while (first > 0 && block[first - 1] === block[entry]) first -= 1
    let mask = 0
    for (let i = first; i < count && block[i] === block[entry]; i += 1) mask |= valid[i] as number
    return SECTORS_OF_MASK[mask & ~(mask << 1)] as number
  }

  /** Runs that a failed flush made doubtful: written again one by one. */
  private async rewrite(written: number[]): Promise<void> {
    while (this.inFlight > 0) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- waits for the runs in flight
      await this.nextEvent()
    }
    this.throwIfOver()
    const again = new RunCursor()
    const entries = mergedPairs(written.concat(this.takeWritten()))
    for (let i = 0; i < entries.length; i += 2) {
      const first = entries[i] as number
      const count = (entries[i + 1] as number) - first
      again.reset(
        this.snapshot.block.subarray(first, first + count),
        this.snapshot.valid.subarray(first, first + count),
        count,
        RUN_BYTES_MAX / SECTOR_BYTES,
      )
      while (again.next()) {
        const run = this.idleRuns.pop() as DestageRun
        this.inFlight += 1
        run.start(this.snapshot, again, first, this)
        while (this.inFlight > 0) {
          // oxlint-disable-next-line eslint/no-await-in-loop -- a failing backing gets one write at a time
          await this.nextEvent()
        }
        this.throwIfOver()
      }
    }
  }

  private async untilDone(call: (done: IoDone) => void): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- retried until it succeeds or the engine stops
      const error = await once(call)
      if (error === null) return
      // oxlint-disable-next-line eslint/no-await-in-loop -- the pause between attempts
      await this.pause(attempt)
    }
  }

  private async pause(attempt: number): Promise<void> {
    this.throwIfOver()
    await new Promise<void>((resolve) => {
      this.after(backoffMs(attempt, this.prng), resolve)
    })
    this.throwIfOver()
  }

  /** The engine stops: nothing waits for its next attempt any more. */
  stop(): void {
    for (const end of [...this.pauses]) end()
  }

  private after(delayMs: Ms, then: () => void): void {
    const end = (): void => {
      timer.cancel()
      if (this.pauses.delete(end)) then()
    }
    const timer = this.core.ports.timers.after(delayMs, end)
    this.pauses.add(end)
  }
}

/**
 * The fragments of all pairs first, end, each once. The runs of a block with holes all name the whole block: written again
 * for each of them, it would come back as so many times as many pairs, after every failed flush.
 */
function mergedPairs(pairs: readonly number[]): number[] {
  const firsts = Array.from({ length: pairs.length / 2 }, (_, i) => i * 2)
  firsts.sort((left, right) => (pairs[left] as number) - (pairs[right] as number))
  const merged: number[] = []
  for (const i of firsts) {
    const [first, end] = [pairs[i] as number, pairs[i + 1] as number]
    const behind = merged.at(-1) ?? -1
    if (first > behind) merged.push(first, end)
    else merged[merged.length - 1] = Math.max(behind, end)
  }
  return merged
}

/** A callback call as a promise of its error. */
export function once(call: (done: IoDone) => void): Promise<IoError | null> {
  return new Promise((resolve) => {
    call(resolve)
  })
}
