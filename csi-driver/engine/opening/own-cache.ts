// The own cache while a volume is opened: what stands there, its log read into the tables of an engine, a new log made,
// and the superblock kept in step with the register (PROTOCOL.md 1.3): the intent before a change is sent, the outcome
// before anything acts on it.
import { CacheError } from '../../../base/errors.ts'
import type { BatchSeq } from '../../../base/units.ts'
import {
  formatJournal,
  type Journal,
  LogCorruptError,
  type NewJournal,
  probeCache,
  promotePending,
  type SuperblockChanges,
} from '../../journal/journal.ts'
import type { CacheSummary } from '../../protocol/open-facts.ts'
import type { StoredLog } from '../../protocol/stored-log.ts'
import type { Member, RegisterRecord } from '../../register/record.ts'
import { decodeRecord, encodeRecord } from '../../register/record-codec.ts'
import type { RegisterIntent } from '../../register/settlement.ts'
import { newGeometry } from '../cache-layout.ts'
import type { EdgeHashes } from '../edge-hashes.ts'
import { once } from '../generation.ts'
import type { RecoveredRequests } from '../recovered-requests.ts'
import { replay, type Replayed } from '../replay.ts'
import type { VolumePorts, VolumeSettings } from '../volume-settings.ts'

const RUN_MAX = 2 ** 32 - 1

/** Where a new log begins: empty behind what the register knows, or as a copy of one that another store holds. */
export type NewLog =
  | { readonly kind: 'empty'; readonly logUuid: string }
  | { readonly kind: 'copy'; readonly of: StoredLog }

export class OwnCache {
  private readonly ports: VolumePorts
  private readonly settings: VolumeSettings
  private readonly edges: EdgeHashes
  private readonly recovered: RecoveredRequests
  private probe: Awaited<ReturnType<typeof probeCache>> = { kind: 'absent' } as never
  /** What stood at the path when it was looked at. */
  summary: CacheSummary = { kind: 'absent' }
  /** Slots of the superblock that cannot be read: one of them may have held a newer intent. */
  damagedSlots = 0
  /** The log as read last. */
  replayed: Replayed | null = null
  /** Set when the superblock may be written: from then on every change of the register leaves its intent there. */
  journal: Journal | null = null
  /** While the volume serves, whoever asked for a change looks at the journal and goes on without the cache device. */
  serving = false

  constructor(ports: VolumePorts, settings: VolumeSettings, edges: EdgeHashes, recovered: RecoveredRequests) {
    this.ports = ports
    this.settings = settings
    this.edges = edges
    this.recovered = recovered
  }

  /** Looks at the superblocks. Changes nothing. */
  async look(): Promise<CacheSummary> {
    this.probe = await probeCache(this.ports.cache, this.ports.memory)
    this.summary = summaryOf(this.probe)
    this.damagedSlots = this.probe.kind === 'forebay' ? this.probe.damagedSlots : 0
    return this.summary
  }

  get superblock(): Replayed['journal']['superblock'] {
    if (this.probe.kind !== 'forebay') throw new Error('the cache has a superblock')
    return this.probe.superblock
  }

  /** The member that this cache is, as its superblock names it; null where it has none. */
  get store(): Member | null {
    const { summary } = this
    if (summary.kind !== 'forebay') return null
    return { node: this.settings.node, storeUuid: summary.storeUuid, incarnation: summary.incarnation }
  }

  /** Reads the whole un-trimmed log; writes nothing. Throws CACHE_BLOCKED where acknowledged writes are damaged. */
  async readLog(record: RegisterRecord | null, superblock = this.superblock): Promise<Replayed> {
    const { ports, settings } = this
    this.recovered.clear()
    try {
      this.replayed = await replay({
        storage: ports.cache,
        memory: ports.memory,
        superblock,
        ackedSeqKnown: record?.lastSeq ?? 0,
        acceptDataLoss: settings.acceptDataLoss === settings.volume,
        recovered: this.recovered,
      })
      return this.replayed
    } catch (error) {
      if (!(error instanceof LogCorruptError)) throw error
      throw new CacheError(
        'corrupt',
        'CACHE_BLOCKED',
        `acknowledged writes are damaged in the cache: ${error.message}`,
        {
          remedy: `Replace the failing disk by an intact copy of the cache if there is one. Only --accept-data-loss ${settings.volume} opens the volume with what is intact.`,
          cause: error,
        },
      )
    }
  }

  /** Makes a log where there is none to go on with; the journal is open for copies (Journal.adopt) or for its owner. */
  async makeLog(record: RegisterRecord, log: NewLog, keepStore: boolean): Promise<Replayed> {
    const { ports, settings, summary } = this
    const keep = keepStore && summary.kind === 'forebay' ? summary : null
    const superblock: NewJournal = {
      volumeUuid: record.volumeUuid,
      volumeName: settings.volume,
      storeUuid: keep?.storeUuid ?? randomHex(ports, 16),
      incarnation: (keep?.incarnation ?? 0) + 1,
      registerNonce: record.registerNonce,
      geometry: newGeometry(settings.cacheBytes, settings.logBytes, settings.batchLimits),
      sectorBytes: settings.sectorBytes,
      resource: settings.resource,
      backing: settings.backingIdentity,
      wallMs: ports.clock.wallMs(),
      registerRecord: encodeRecord(record),
      ...(log.kind === 'empty' ? emptyLog(record, log.logUuid) : copiedLog(record, log.of)),
    }
    const written = await formatJournal({ storage: ports.cache, memory: ports.memory, superblock })
    // Of a log that is still to be copied nothing is missed yet.
    const replayed = await this.readLog(log.kind === 'copy' ? null : record, written)
    this.journal = replayed.journal
    return replayed
  }

  /** Names the log anew beside its present name; nothing is copied (docs/decisions/0002). */
  async namePending(logUuid: string): Promise<void> {
    const journal = this.opened
    const pendingLineage = { logUuid, firstBatchSeq: journal.lastBatchSeq + 1 }
    await durable((done) => journal.updateSuperblock({ pendingLineage }, done))
  }

  /** Rule 3.2: the largest trim of all copies. What is read into the tables is read again without it. */
  async trimTo(record: RegisterRecord | null, batchSeq: BatchSeq): Promise<void> {
    const journal = this.opened
    await durable((done) => journal.checkpoint(Math.min(batchSeq, journal.lastBatchSeq), {}, done))
    await this.readLog(record, journal.superblock)
    this.journal = this.replayed?.journal ?? null
  }

  /** The log of another store stands in the own journal, whole and durable, and in the tables. */
  copyEnds(record: RegisterRecord): Promise<void> {
    return this.change({ epoch: record.epoch, run: 0 })
  }

  /** Batches were copied into the journal: the tables are made from the whole log. */
  async readAgain(record: RegisterRecord | null): Promise<void> {
    await this.readLog(record, this.opened.superblock)
    this.journal = this.replayed?.journal ?? null
  }

  /** The log as read last, in the words of the tables; null where it was not read or is not to be had. */
  get storedLog(): StoredLog | null {
    const { replayed } = this
    if (replayed === null) return null
    const { journal } = replayed
    const { lineage, pendingLineage, tail } = journal.superblock
    const { lastBatchSeq, lastSeq, lastHash, ackedSeq, usedBytes } = journal
    return { lineage, pending: pendingLineage, tail, lastBatchSeq, lastSeq, lastHash, ackedSeq, storedBytes: usedBytes }
  }

  get superblockNow(): Journal['superblock'] {
    return this.opened.superblock
  }

  async change(changes: SuperblockChanges): Promise<void> {
    const journal = this.opened
    await durable((done) => journal.updateSuperblock(changes, done))
  }

  private get opened(): Journal {
    if (this.journal === null) throw new Error('the journal was opened')
    return this.journal
  }

  /** The hooks of the register client (1.3). */
  readonly hooks = {
    beforeSend: (intent: RegisterIntent): Promise<void> => this.storeIntent(intent),
    afterSettled: (record: RegisterRecord): Promise<void> => this.storeSettled(record),
  }

  private async storeIntent(intent: RegisterIntent): Promise<void> {
    const { journal } = this
    if (journal === null) return
    if (journal.failed !== null) {
      await this.ports.doubts.raise('superblock')
      return
    }
    await durable((done) => journal.updateSuperblock({ intent: JSON.stringify(intent) }, done))
  }

  private async storeSettled(record: RegisterRecord): Promise<void> {
    const { journal } = this
    if (journal === null || journal.failed !== null) return
    const { superblock } = journal
    const resized = record.backing.sizeBytes !== superblock.backing.sizeBytes
    const becomesOwner = superblock.pendingLineage?.logUuid === record.logUuid
    const firstRun = superblock.epoch !== record.epoch || superblock.run === 0
    const owns = record.phase !== 'Opening' && record.owner === this.settings.node
    const error = await once((done) =>
      journal.updateSuperblock(
        {
          registerRecord: encodeRecord(record),
          intent: '',
          wallMs: this.ports.clock.wallMs(),
          backing: record.backing,
          ...(becomesOwner ? promotePending(superblock) : {}),
          ...(firstRun && owns ? { epoch: record.epoch, run: 1 } : {}),
          // Hashes of a last MiB that was somewhere else, or of blocks that through-writes may change.
          ...(this.edges.paused || resized ? { edgeHashes: new Uint32Array(superblock.edgeHashes.length) } : {}),
        },
        done,
      ),
    )
    if (error !== null && !this.serving) throw error
  }
}

function emptyLog(record: RegisterRecord, logUuid: string): Pick<NewJournal, 'logUuid' | 'epoch' | 'run' | 'begin'> {
  return { logUuid, epoch: record.epoch, run: 0, begin: { batchSeq: 1, seq: record.lastSeq + 1, previousHash: 0n } }
}

/**
 * Under the last possible run of the epoch before the claim's: what an earlier life of this very log has left in the ring
 * is void under it (journal format, runFirstBatchSeq). The copied batches are so, too, until `copyEnds` takes the claim's
 * epoch and vouches for them.
 */
function copiedLog(
  record: RegisterRecord,
  { lineage, tail }: StoredLog,
): Pick<NewJournal, 'logUuid' | 'epoch' | 'run' | 'begin' | 'lineage'> {
  return { logUuid: lineage.at(-1)?.logUuid ?? '', epoch: record.epoch - 1, run: RUN_MAX, begin: tail, lineage }
}

/** A superblock write or a flush that must succeed for the opening to go on. */
async function durable(call: Parameters<typeof once>[0]): Promise<void> {
  const error = await once(call)
  if (error !== null) throw error
}

export function randomHex({ random }: Pick<VolumePorts, 'random'>, bytes: number): string {
  const buffer = Buffer.alloc(bytes)
  random.fill(buffer)
  return buffer.toString('hex')
}

function summaryOf(probe: Awaited<ReturnType<typeof probeCache>>): CacheSummary {
  if (probe.kind !== 'forebay') return { kind: probe.kind }
  const { superblock } = probe
  return {
    kind: 'forebay',
    volume: superblock.volumeName,
    volumeUuid: superblock.volumeUuid,
    registerNonce: superblock.registerNonce,
    storeUuid: superblock.storeUuid,
    incarnation: superblock.incarnation,
    epoch: superblock.epoch,
    logUuids: [...superblock.lineage, ...(superblock.pendingLineage === null ? [] : [superblock.pendingLineage])].map(
      (entry) => entry.logUuid,
    ),
    settled: settledRecord(superblock.registerRecord),
    intent: superblock.intent === '' ? null : (JSON.parse(superblock.intent) as RegisterIntent),
  }
}

/** The record in the superblock; null where there is none. Its checksum is inside the superblock's own. */
function settledRecord(line: string): RegisterRecord | null {
  if (line === '') return null
  const decoded = decodeRecord(line)
  if ('record' in decoded) return decoded.record
  throw new CacheError(
    'corrupt',
    'CACHE_SUPERBLOCK_RECORD',
    `the superblock holds no legal register record: ${decoded.problems.join('; ')}`,
  )
}
