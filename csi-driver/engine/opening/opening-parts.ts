// What opening and restarting a volume share: the stores, the register client with its hooks, and how an engine is built
// from what they found.
import { CacheError, IoError } from '../../../base/errors.ts'
import { roundDown } from '../../../base/units.ts'
import { BackingStore } from '../../backing/backing-store.ts'
import { noFence } from '../../fencing/no-fence.ts'
import type { Member, RegisterRecord } from '../../register/record.ts'
import { RegisterClient } from '../../register/register-client.ts'
import { EdgeHashes } from '../edge-hashes.ts'
import { EngineCore } from '../engine-core.ts'
import { once } from '../generation.ts'
import { RecoveredRequests } from '../recovered-requests.ts'
import type { Replayed } from '../replay.ts'
import type { VolumePorts, VolumeSettings } from '../volume-settings.ts'
import { OwnCache } from './own-cache.ts'

/**
 * What the user said for one occasion, when the holder was started, does not hold for the engines after the first: weeks
 * later the node that was fenced then may be the owner.
 */
function withoutOccasion(settings: VolumeSettings): VolumeSettings {
  return { ...settings, takeover: false, acceptDataLoss: '', backingChanged: 'none', formatCache: false }
}

/** What an opened volume is built from. */
export interface Opened {
  readonly core: EngineCore
  readonly client: RegisterClient
  readonly edges: EdgeHashes
  readonly recovered: RecoveredRequests
}

export class OpeningParts {
  readonly ports: VolumePorts
  readonly settings: VolumeSettings
  readonly backing: BackingStore
  readonly edges: EdgeHashes
  readonly recovered: RecoveredRequests
  readonly own: OwnCache
  readonly client: RegisterClient

  constructor(ports: VolumePorts, settings: VolumeSettings) {
    const again = settings.start === 'restart'
    this.ports = again ? { ...ports, fence: noFence } : ports
    this.settings = again ? withoutOccasion(settings) : settings
    const { clock, timers, log, memory, prng, register } = ports
    this.backing = new BackingStore({ device: ports.backing, clock, timers, log, memory })
    this.edges = new EdgeHashes(this.backing, memory)
    this.recovered = new RecoveredRequests(settings.session)
    this.own = new OwnCache(this.ports, this.settings, this.edges, this.recovered)
    this.client = new RegisterClient({ register, hooks: this.own.hooks, timers, prng, log })
  }

  /** The listed members other than the own cache. */
  othersOf(record: RegisterRecord): readonly Member[] {
    const store = this.own.journal?.superblock ?? this.own.store
    return record.members.filter((member) => member.storeUuid !== store?.storeUuid)
  }

  /**
   * Reads the own log. Null: it is damaged, or a sector of it cannot be read, and other copies are listed, of which an
   * open takes one. Where none is, the error stays: this log is all that there is.
   */
  async readOwnLog(record: RegisterRecord | null): Promise<Replayed | null> {
    try {
      return await this.own.readLog(record)
    } catch (error) {
      const isOfTheLog = error instanceof IoError || (error instanceof CacheError && error.kind === 'corrupt')
      if (!isOfTheLog || record === null || this.othersOf(record).length === 0) throw error
      this.ports.log.event('engine.open.own_log_damaged', { reason: error.message }, 'warning')
      return null
    }
  }

  /** A flush that fails may have dropped what the engine before has acknowledged: its users must hear of it. */
  async flushForUsers({ phase, previousPhase }: RegisterRecord): Promise<void> {
    const error = await once((done) => this.backing.flush(done))
    if (error === null) return
    // In write-back everything acknowledged is in the log.
    if ((phase === 'Opening' ? previousPhase : phase) !== 'WriteBack') await this.ports.doubts.raise('flush')
    throw error
  }

  lostError(): CacheError {
    return new CacheError('fenced', 'CACHE_FENCED', `another owner was faster volume=${this.settings.volume}`, {
      remedy: 'Look which node serves the volume; nothing was changed here.',
    })
  }

  build(replayed: Replayed, record: RegisterRecord): Opened {
    this.own.serving = true
    const { ports, settings } = this
    const { journal, tables } = replayed
    const core = new EngineCore({
      ports,
      settings,
      journal,
      backing: this.backing,
      index: tables.index,
      zeros: tables.zeros,
      readCache: tables.readCache,
      slotsStart: tables.slotsStart,
      phase: record.phase === 'Closing' ? 'WriteThrough' : record.phase,
      epoch: record.epoch,
      run: journal.superblock.run,
      sizeBytes: roundDown(this.backing.sizeBytes, settings.sectorBytes),
      recordBlocksMax: tables.recordBlocksMax,
    })
    core.committedSeq = journal.lastSeq
    core.committedBatchSeq = journal.lastBatchSeq
    core.recordBlocks = replayed.recordBlocks
    core.resendPending = settings.start === 'restart'
    if (core.dirty) {
      const age = replayed.oldestWallMs === null ? 0 : Math.max(0, ports.clock.wallMs() - replayed.oldestWallMs)
      core.oldestDirtyAtMs = Math.max(0, ports.clock.monotonicMs() - age)
    }
    if (core.phase === 'DrainWT' || core.phase === 'WriteThrough') core.reason = 'policy write-through'
    return { core, client: this.client, edges: this.edges, recovered: this.recovered }
  }
}
