// Who may write now. Four limits bound what is dirty: the user's dirty limit, the space of the log, and the blocks and
// zero ranges that a replay must be able to index. The fullest of them slows writers down before any of them stops one.
//
// Dirty bytes fall while a generation settles, but its log space and blocks are free only at its end: taken as they are,
// writers would be held back more and more and then let loose, generation after generation. What has settled of it
// therefore counts as free already. While it works as much again may be written as it covers, so only half of the log is
// counted: as long as that half is not full, the log is not full at the end of any generation.
import type { Ms } from '../../base/units.ts'
import type { EngineCore } from './engine-core.ts'
import { PACE_SLACK_MS, writeDelayMs } from './destage-rate.ts'
import { ZERO_RANGES_MAX } from './index/zero-ranges.ts'
import type { Request } from './request.ts'
import { REQUEST_ZERO } from './request.ts'
import type { WritePath } from './write-path.ts'

export type Admitted =
  | 'yes'
  /** Look again after `delayMs`. */
  | 'later'
  /** Look again when a generation settled or trimmed something. */
  | 'full'

export class Admission {
  private readonly core: EngineCore
  private readonly writes: WritePath
  private nextWriteAtMs: Ms = 0
  /** A write was refused for want of space and has not been taken since. */
  private refused = false
  /** Valid after `later`. */
  delayMs: Ms = 0
  /** Times that a writer found the cache full, and milliseconds of smooth delay given out; for metrics. */
  stalls = 0
  delayedMs: Ms = 0

  constructor(core: EngineCore, writes: WritePath) {
    this.core = core
    this.writes = writes
  }

  /** Fullness in 0…1 of the tightest limit. */
  fill(): number {
    const { core } = this
    const dirty = (core.dirtyBytes + this.writes.pendingBytes) / core.settings.dirtyLimitBytes
    const { generationSettled, journal } = core
    const logBytes = journal.usedBytes - core.generationLogBytes * generationSettled
    const log = logBytes / ((journal.usedBytes + journal.freeBytes) / 2)
    const blocks = (core.recordBlocks + core.generationBlocks * (1 - generationSettled)) / (core.recordBlocksMax / 2)
    return Math.min(1, Math.max(dirty, log, blocks, core.zeros.count / ZERO_RANGES_MAX))
  }

  /** What destage goes by: full while a write waits for space, however little is dirty beside a large write. */
  pressure(): number {
    return this.refused ? 1 : this.fill()
  }

  admit(request: Request): Admitted {
    if (this.isFull(request)) {
      if (!this.refused) this.stalls += 1
      this.refused = true
      return 'full'
    }
    this.refused = false
    const delay = writeDelayMs(this.fill())
    if (delay === 0) return 'yes'
    const now = this.core.ports.clock.monotonicMs()
    if (now < this.nextWriteAtMs) {
      this.delayMs = this.nextWriteAtMs - now
      return 'later'
    }
    // One write after another: the delay sets the rate of all writers together.
    this.nextWriteAtMs = Math.max(this.nextWriteAtMs, now - Math.max(delay, PACE_SLACK_MS)) + delay
    this.delayedMs += delay
    return 'yes'
  }

  private isFull(request: Request): boolean {
    const { core, writes } = this
    if (request.kind === REQUEST_ZERO) return core.zeros.isFull || !writes.hasSpace(0)
    const dirty = core.dirtyBytes + writes.pendingBytes
    if (dirty > 0 && dirty + request.length > core.settings.dirtyLimitBytes) return true
    return core.recordBlocks + core.generationBlocks >= core.recordBlocksMax || !writes.hasSpace(request.length)
  }
}
