// When a generation begins, how hard it works, and what ends it: the checkpoint that trims the log (invariant 7). One
// generation at a time; the next begins when the fill, the age, an idle backing or somebody in a hurry asks for it.
import type { Clock, Timer } from '../../base/clock.ts'
import { CacheError } from '../../base/errors.ts'
import type { BatchSeq, Ms, Seq } from '../../base/units.ts'
import type { ScratchPool } from './cache-reader.ts'
import { DestageFills } from './destage-fills.ts'
import { CONCURRENCY_MAX, concurrencyAt, shouldBegin } from './destage-rate.ts'
import { DestageRun } from './destage-run.ts'
import type { EdgeHashes } from './edge-hashes.ts'
import type { EngineCore } from './engine-core.ts'
import { Generation, GenerationAbandonedError, type GenerationHost, once } from './generation.ts'

/** How often age and idleness are looked at. */
const TICK_MS: Ms = 250

export interface DestagerEvents {
  /** Fullness in 0…1 as the admission sees it. */
  fill(): number
  /** Every record up to this one has been answered to the front end. */
  repliedSeq(): Seq
  /** Everything up to `seq` is durable on the backing (the log is not trimmed yet). */
  onBackingHas(seq: Seq): void
  /** Space or dirty bytes were freed. */
  onRelief(): void
  /** A checkpoint could not be written: the cache device failed. */
  onCheckpointFailed(message: string): void
  /** Dirty data cannot be read or is not what was written; it goes on being tried. */
  onDirtyUnreadable(message: string): void
  /** It could be read after all. */
  onDirtyReadable(): void
}

/** Somebody waits for a destage that cannot end, since dirty data cannot be read. */
export class DirtyUnreadableError extends CacheError {
  /** Which data, and why. */
  readonly reason: string

  constructor(reason: string) {
    super('corrupt', 'CACHE_BLOCKED', `acknowledged data cannot be read: ${reason}`, {
      remedy: 'Mend the cache device if possible. Only serving with --accept-data-loss VOLUME gives up that data.',
    })
    this.reason = reason
  }
}

export class Destager implements GenerationHost {
  stopping = false
  /** Set while dirty data cannot be read. */
  stuck: string | null = null
  private readonly core: EngineCore
  private readonly events: DestagerEvents
  private readonly clock: Clock
  private readonly edges: EdgeHashes
  private readonly fills: DestageFills
  private readonly runs: DestageRun[] = []
  private readonly scratch: ScratchPool
  private generation: Generation | null = null
  private running: Promise<void> | null = null
  private urgency = 0
  /** Callers of destageOnce that wait for the generation under way. */
  private turnsWanted = 0
  private tick: Timer | null = null
  private requestsSeen = 0
  private idleSinceMs: Ms = 0
  private generationDirtyAtMs: Ms = -1
  private waiting: (() => void)[] = []

  constructor(core: EngineCore, edges: EdgeHashes, scratch: ScratchPool, events: DestagerEvents) {
    this.core = core
    this.events = events
    this.edges = edges
    this.scratch = scratch
    this.clock = core.ports.clock
    this.fills = new DestageFills(core)
    this.idleSinceMs = this.clock.monotonicMs()
    this.armTick()
  }

  /** Age of the oldest record that is not on the backing; 0 when nothing is dirty. */
  get oldestDirtyMs(): Ms {
    const at = this.generationDirtyAtMs >= 0 ? this.generationDirtyAtMs : this.core.oldestDirtyAtMs
    return at < 0 || !this.logInUse ? 0 : this.clock.monotonicMs() - at
  }

  /** Un-trimmed records exist (rule 2.4: an empty log is one that is trimmed). */
  get logInUse(): boolean {
    const { core } = this
    if (core.dirty || this.generation !== null || core.copies.isTrimming) return true
    // A failed cache device cannot be trimmed any more; the register's dirty=false will say that it is void.
    return core.cacheFailure === null && !core.journal.isEmpty
  }

  /** Whether an un-trimmed record of the generation under way touches the sectors [start, end). */
  overlaps(startSector: number, endSector: number): boolean {
    return this.generation !== null && this.generation.overlaps(startSector, endSector)
  }

  concurrency(): number {
    return concurrencyAt(this.events.fill(), this.isUrgent())
  }

  onUnreadable(message: string): void {
    this.stuck = message
    this.notify()
    this.events.onDirtyUnreadable(message)
  }

  onReadable(): void {
    this.stuck = null
    this.events.onDirtyReadable()
  }

  onSettled(): void {
    this.events.onRelief()
  }

  /** Looks whether a generation should begin. Cheap; called after every commit. */
  poke(): void {
    if (this.running !== null || this.stopping || !this.core.dirty) return
    if (!this.wanted()) return
    this.running = this.cycle()
  }

  /** Something that a generation waits for may have happened (a reply, the last re-sent request). */
  notify(): void {
    const { waiting } = this
    this.waiting = []
    for (const wake of waiting) wake()
  }

  /** Full rate from now until the returned function is called. */
  hurry(): () => void {
    this.urgency += 1
    let held = true
    this.poke()
    return () => {
      if (held) this.urgency -= 1
      held = false
    }
  }

  /** One whole generation over everything committed before the call, checkpoint included; throws when it cannot be. */
  async destageOnce(): Promise<void> {
    this.turnsWanted += 1
    try {
      while (this.running !== null) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- one generation at a time
        await this.endOf(this.running)
      }
    } finally {
      this.turnsWanted -= 1
    }
    this.throwIfOver()
    this.running = this.cycle(true)
    await this.endOf(this.running)
    this.throwIfOver()
  }

  /** The end of a cycle; throws when it cannot end because dirty data is unreadable. */
  private async endOf(cycle: Promise<void>): Promise<void> {
    const finished = cycle.then(() => true)
    for (;;) {
      this.throwIfOver()
      // oxlint-disable-next-line eslint/no-await-in-loop -- woken by notify
      if (await Promise.race([finished, this.nextNotice().then(() => false)])) return
    }
  }

  private nextNotice(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve)
    })
  }

  /** No generation begins any more; resolves when the one under way has let go of its I/O. */
  async stop(): Promise<void> {
    this.stopping = true
    this.tick?.cancel()
    this.generation?.stop()
    this.notify()
    while (this.running !== null) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- the generation notices at its next event
      await this.running
    }
  }

  private throwIfOver(): void {
    if (this.stuck !== null) throw new DirtyUnreadableError(this.stuck)
    if (this.stopping) throw new GenerationAbandonedError('the engine stops')
  }

  private isUrgent(): boolean {
    return this.urgency > 0 || this.oldestDirtyMs >= this.core.settings.dirtyAgeMs
  }

  private wanted(): boolean {
    return shouldBegin({
      fill: this.events.fill(),
      urgent: this.urgency > 0,
      idleForMs: this.clock.monotonicMs() - this.idleSinceMs,
      oldestDirtyMs: this.oldestDirtyMs,
      dirtyAgeMs: this.core.settings.dirtyAgeMs,
    })
  }

  private async cycle(force = false): Promise<void> {
    // Not before the caller has stored the promise: `running` must be set while the cycle runs and null after it.
    await Promise.resolve()
    try {
      // Under load something is always dirty: who waits for one generation must not wait for the last of them.
      if (force) {
        await this.runGeneration()
        return
      }
      while (this.turnsWanted === 0 && this.core.dirty && !this.stopping && this.wanted()) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- one generation at a time
        await this.runGeneration()
      }
    } catch (error) {
      if (!(error instanceof GenerationAbandonedError)) throw error
    } finally {
      this.generation = null
      this.running = null
    }
  }

  private async runGeneration(): Promise<void> {
    const { core } = this
    this.makeRuns()
    this.generationDirtyAtMs = core.oldestDirtyAtMs
    core.oldestDirtyAtMs = -1
    core.generationBlocks = core.recordBlocks
    core.recordBlocks = 0
    core.generationLogBytes = core.journal.usedBytes
    const generation = new Generation(core, this, core.ports.prng, this.fills, this.runs)
    this.generation = generation
    await generation.writeBack()
    this.events.onBackingHas(generation.boundarySeq)
    await this.until(() => this.events.repliedSeq() >= generation.boundarySeq && !core.resendPending)
    await this.checkpoint(generation)
    core.counters.generations += 1
    core.generationBlocks = 0
    core.generationLogBytes = 0
    core.generationSettled = 0
    core.trimCount += 1
    this.generation = null
    this.generationDirtyAtMs = -1
    this.events.onRelief()
  }

  private async checkpoint(generation: Generation): Promise<void> {
    const { core } = this
    // A cache that takes no checkpoint is no member any more; the other copies let go all the same.
    if (core.cacheFailure !== null) {
      await this.trimPeers(generation.boundaryBatchSeq)
      return
    }
    const edgeHashes = await this.edges.forCheckpoint()
    if (this.stopping) throw new GenerationAbandonedError('the engine stops')
    const change = edgeHashes === null ? {} : { edgeHashes }
    const error = await once((done) => core.journal.checkpoint(generation.boundaryBatchSeq, change, done))
    if (error !== null) this.events.onCheckpointFailed(error.message)
    else await this.trimPeers(generation.boundaryBatchSeq)
  }

  /** The generation goes on covering its records until no peer holds them (2.3). */
  private async trimPeers(batchSeq: BatchSeq): Promise<void> {
    let trimmed = false
    this.core.copies.trim(batchSeq, () => {
      trimmed = true
      this.notify()
    })
    await this.until(() => trimmed)
  }

  private async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.stopping) throw new GenerationAbandonedError('the engine stops')
      // oxlint-disable-next-line eslint/no-await-in-loop -- woken by notify
      await this.nextNotice()
    }
  }

  private makeRuns(): void {
    while (this.runs.length < CONCURRENCY_MAX) this.runs.push(new DestageRun(this.core, this.scratch))
  }

  private armTick(): void {
    this.tick = this.core.ports.timers.after(TICK_MS, () => {
      if (this.stopping) return
      const { counters } = this.core
      const requests = counters.readHits + counters.readMisses + counters.writes + counters.zeroes
      if (requests !== this.requestsSeen) this.idleSinceMs = this.clock.monotonicMs()
      this.requestsSeen = requests
      this.poke()
      this.armTick()
    })
  }
}
