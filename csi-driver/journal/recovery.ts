// Reads the log from its tail to its end, decides each step by recovery-cases.ts, and hands every good batch on. It never
// writes: a torn tail is "cut" by starting the next append there under a new run number, which makes its leftovers void
// (superblock field runFirstBatchSeq). Every header and every byte of data is verified on the way.
//
// An unreadable sector is not a torn write: the IoError goes to the caller, nothing is cut.
import { assert } from '../../base/assert.ts'
import { CacheError } from '../../base/errors.ts'
import type { BatchSeq, Bytes, Epoch, Run, Seq } from '../../base/units.ts'
import { BLOCK_BYTES } from '../../base/units.ts'
import { PAYLOAD_OFFSET } from '../batch/batch-format.ts'
import { BatchView, PAYLOAD_OK } from '../batch/batch-view.ts'
import type { AlignedMemory, Storage } from '../io/storage.ts'
import { BatchMarks } from './batch-marks.ts'
import { BatchOrder, compareRuns } from './batch-order.ts'
import { LogReader } from './log-reader.ts'
import { LogRing } from './log-ring.ts'
import {
  type Candidate,
  type Proof,
  type RecoveryCase,
  type RecoveryLabel,
  recoveryCase,
  type Twins,
} from './recovery-cases.ts'
import type { Superblock } from './superblock.ts'

/** How far behind the last good batch a later one is looked for, in longest frames. */
export const SCAN_FRAMES = 4

/** Called for each un-trimmed batch in order; the view and its buffer are valid only during the call. */
export type BatchVisitor = (view: BatchView, payloadPosition: Bytes, position: Bytes) => void

export interface RecoveryOptions {
  readonly storage: Storage
  readonly memory: AlignedMemory
  readonly superblock: Superblock
  readonly onBatch: BatchVisitor
  /** Largest seq that anybody else (register, peers) knows as acknowledged in this log; 0 = nobody does. */
  readonly ackedSeqKnown?: Seq
  /** Go on from the last good batch where the log is damaged. Only on the user's explicit word. */
  readonly acceptDataLoss?: boolean
}

/** What recovery found. */
export interface RecoveryReport {
  /** The row that ended the log. */
  readonly label: RecoveryLabel
  /** Position and number of the batch that was cut because it was torn; null when the log ended cleanly. */
  readonly torn: { readonly position: Bytes; readonly batchSeq: BatchSeq } | null
  /** Set when damage was passed over by acceptDataLoss. */
  readonly lost: LogDamage | null
  readonly batches: number
  readonly records: number
  readonly lastBatchSeq: BatchSeq
  readonly lastSeq: Seq
  /** Largest ackedSeq in the log: every record up to it had been replied to. */
  readonly ackedSeq: Seq
}

/** What is known about a log that lost acknowledged data. */
export interface LogDamage {
  readonly label: RecoveryLabel
  readonly position: Bytes
  readonly batchSeq: BatchSeq
  /** Every record up to this one is intact. */
  readonly lastGoodSeq: Seq
  /** Largest seq that was seen as acknowledged anywhere. */
  readonly ackedSeqMax: Seq
  /** Largest seq that any header behind the damage speaks of; what lies between is lost or unreachable. */
  readonly lastSeqSeen: Seq
}

/** Acknowledged data is damaged in the log. The caller fetches it from a replica, or refuses to open. */
export class LogCorruptError extends CacheError {
  readonly damage: LogDamage

  constructor(damage: LogDamage) {
    super(
      'corrupt',
      'CACHE_LOG_CORRUPT',
      `log is damaged before its end case=${damage.label} batchSeq=${damage.batchSeq} position=${damage.position} ` +
        `lastGoodSeq=${damage.lastGoodSeq} ackedSeq=${damage.ackedSeqMax} lastSeqSeen=${damage.lastSeqSeen}`,
      {
        remedy:
          'Recover the records from a replica, or replace the failing disk by an intact copy of the cache; ' +
          'only accepting the loss of data explicitly opens the volume without them.',
      },
    )
    this.damage = damage
  }
}

interface Examined {
  readonly candidate: Candidate
  readonly position: Bytes
  readonly epoch: Epoch
  readonly run: Run
  readonly headerHash: bigint
}

const ABSENT: Examined = { candidate: 'absent', position: 0, epoch: 0, run: 0, headerHash: 0n }

export class LogRecovery {
  readonly ring: LogRing
  readonly marks: BatchMarks
  /** Stands behind the last good batch. */
  readonly order: BatchOrder
  private readonly options: RecoveryOptions
  private readonly superblock: Superblock
  private readonly reader: LogReader
  private readonly view = new BatchView()
  /** Where the frame in the view begins; -1 when the view may be anything. */
  private viewPosition: Bytes = -1
  /** What stands at the ring's start: the number of a batch of this log, or a damaged header, or neither. */
  private startBatchSeq: BatchSeq = 0
  private startIsTorn = false
  private batches = 0
  private batchSeq: BatchSeq
  private ackedSeqMax: Seq
  private lastSeqSeen: Seq = 0
  private readonly firstSeq: Seq

  constructor(options: RecoveryOptions) {
    const { superblock, storage, memory } = options
    this.options = options
    this.superblock = superblock
    this.ring = new LogRing(superblock.geometry, superblock.tail.position)
    this.marks = new BatchMarks(superblock.geometry, superblock.tail.batchSeq)
    this.reader = new LogReader(storage, memory, superblock.geometry)
    this.batchSeq = superblock.tail.batchSeq
    this.order = new BatchOrder(superblock)
    this.firstSeq = superblock.tail.seq
    this.ackedSeqMax = options.ackedSeqKnown ?? 0
  }

  /** Runs to the end of the log. Throws LogCorruptError, or IoError when the log cannot be read. */
  async recover(): Promise<RecoveryReport> {
    await this.readRingStart()
    for (;;) {
      const row = await this.step()
      if (row !== null) return this.finish(row)
    }
  }

  /** Takes batch k, or returns the row that ends the log. */
  private async step(): Promise<RecoveryCase | null> {
    const here = await this.examine(this.ring.head)
    const start = await this.examineStart()
    const missing = here.candidate !== 'valid' && start.candidate !== 'valid'
    const proof = missing ? await this.findProof() : 'none'
    const row = recoveryCase({
      here: here.candidate,
      start: start.candidate,
      twins: compareTwins(here, start),
      proof,
    })
    if (row.action === 'take-here') return this.take(here.position)
    if (row.action === 'take-start') return this.take(start.position)
    return row
  }

  private finish(row: RecoveryCase): RecoveryReport {
    const damage = row.action === 'corrupt' ? this.damage(row.label) : null
    if (damage !== null && this.options.acceptDataLoss !== true) throw new LogCorruptError(damage)
    return {
      label: row.label,
      torn: row.action === 'cut' ? { position: this.ring.head, batchSeq: this.batchSeq } : null,
      lost: damage,
      batches: this.batches,
      records: this.order.seq - this.firstSeq,
      lastBatchSeq: this.batchSeq - 1,
      lastSeq: this.order.seq - 1,
      ackedSeq: this.order.ackedSeq,
    }
  }

  private damage(label: RecoveryLabel): LogDamage {
    return {
      label,
      position: this.ring.head,
      batchSeq: this.batchSeq,
      lastGoodSeq: this.order.seq - 1,
      ackedSeqMax: this.ackedSeqMax,
      lastSeqSeen: Math.max(this.lastSeqSeen, this.order.seq - 1),
    }
  }

  private async readRingStart(): Promise<void> {
    const parsed = await this.parseAt(this.ring.start)
    if (parsed !== 'ok') this.startIsTorn = parsed !== 'magic'
    else if (this.isOfThisLog()) this.startBatchSeq = this.view.batchSeq
  }

  /** Batch k can stand at the ring's start only when a longest frame would not fit before the ring's end. */
  private async examineStart(): Promise<Examined> {
    const { head, start, end } = this.ring
    if (head === start || head + this.superblock.geometry.frameBytesMax <= end) return ABSENT
    if (this.startIsTorn) return { ...ABSENT, candidate: 'torn', position: start }
    return this.startBatchSeq === this.batchSeq ? this.examine(start) : ABSENT
  }

  private async examine(position: Bytes): Promise<Examined> {
    const parsed = await this.parseAt(position)
    if (parsed === 'magic') return ABSENT
    const { view } = this
    if (parsed !== 'ok') return { ...ABSENT, candidate: 'torn', position }
    if (!this.isOfThisLog() || view.batchSeq !== this.batchSeq) return ABSENT
    const { epoch, run, headerHash } = view
    const examined = { position, epoch, run, headerHash }
    this.ackedSeqMax = Math.max(this.ackedSeqMax, view.ackedSeq)
    this.lastSeqSeen = Math.max(this.lastSeqSeen, view.lastSeq)
    if (!this.follows(position)) return { ...examined, candidate: 'contradicting' }
    await this.holdWhole(position)
    return { ...examined, candidate: view.checkPayload() === PAYLOAD_OK ? 'valid' : 'torn' }
  }

  /** Parses the header at `position`, reading it when it is not in memory. */
  private async parseAt(position: Bytes): Promise<ReturnType<BatchView['parse']>> {
    const headerBytes = Math.min(PAYLOAD_OFFSET, this.ring.end - position)
    if (this.reader.offsetOf(position, headerBytes) < 0) await this.reader.load(position, headerBytes)
    return this.parseHeld(position)
  }

  /** Makes the whole frame stand in memory whose header the view holds, and the view look at it. */
  private async holdWhole(position: Bytes): Promise<void> {
    if (this.view.isWhole) return
    await this.reader.load(position, this.view.frameBytes)
    assert(this.parseHeld(position) === 'ok' && this.view.isWhole, 'a header reads the same twice')
  }

  private parseHeld(position: Bytes): ReturnType<BatchView['parse']> {
    this.viewPosition = position
    return this.view.parse(this.reader.buffer, this.reader.offsetOf(position, 0), this.reader.heldFrom(position))
  }

  /** Whether the header in the view is one of this log and not a leftover that a later run made void. */
  private isOfThisLog(): boolean {
    const { view, superblock } = this
    const { batchSeq } = view
    if (batchSeq >= superblock.runFirstBatchSeq && compareRuns(view, superblock) < 0) return false
    return this.order.isOfLog(view)
  }

  /** Whether the header of batch k in the view can stand behind the batches before it, under this superblock and here. */
  private follows(position: Bytes): boolean {
    return this.order.follows(this.view) && this.ring.canAdopt(position, this.view.frameBytes)
  }

  private async take(position: Bytes): Promise<null> {
    const { view } = this
    if (this.viewPosition !== position) {
      // The other candidate was looked at in between.
      assert((await this.parseAt(position)) === 'ok', 'a header reads the same twice')
      await this.holdWhole(position)
    }
    this.ring.adopt(position, view.frameBytes)
    this.marks.push(this.ring.head, view.lastSeq + 1, view.headerHash)
    this.options.onBatch(view, position + view.payloadOffset, position)
    this.batches++
    this.batchSeq++
    this.order.take(view)
    return null
  }

  /** Looks for anything that proves that batch k was complete. */
  private async findProof(): Promise<Proof> {
    const later = await this.scanForLater()
    if (later || this.superblock.headBatchSeq > this.batchSeq) return 'later'
    return this.ackedSeqMax >= this.order.seq ? 'acked' : 'none'
  }

  /**
   * Whether an intact header of a later batch of this log stands within SCAN_FRAMES longest frames behind the last good
   * batch, going on at the ring's start. Any 4 KiB block may be one: the length of the missing batch is not known.
   */
  private async scanForLater(): Promise<boolean> {
    const { start, end, head, bytes } = this.ring
    const { frameBytesMax } = this.superblock.geometry
    const scanBytes = Math.min(bytes, SCAN_FRAMES * frameBytesMax)
    let found = false
    for (let scanned = 0; scanned < scanBytes; scanned += BLOCK_BYTES) {
      const ahead = head + scanned
      const position = ahead < end ? ahead : ahead - end + start
      const parsed = await this.parseAt(position)
      if (parsed !== 'ok' || !this.isOfThisLog() || this.view.batchSeq <= this.batchSeq) continue
      this.ackedSeqMax = Math.max(this.ackedSeqMax, this.view.ackedSeq)
      this.lastSeqSeen = Math.max(this.lastSeqSeen, this.view.lastSeq)
      found = true
    }
    return found
  }
}

function compareTwins(here: Examined, start: Examined): Twins {
  if (here.headerHash === start.headerHash) return 'same'
  const order = compareRuns(here, start)
  if (order === 0) return 'clash'
  return order > 0 ? 'here-newer' : 'start-newer'
}
