// Turns the batches of a recovered log into the state of an open engine: the index of what is dirty, and the records
// that the front end may send again because their answer was lost with the old process.
import type { Bytes, Ms } from '../../base/units.ts'
import { SECTOR_BYTES } from '../../base/units.ts'
import { OP_WRITE } from '../batch/batch-format.ts'
import type { BatchView } from '../batch/batch-view.ts'
import { type BatchVisitor, type Journal, openJournal, type Superblock } from '../journal/journal.ts'
import type { AlignedMemory, Storage } from '../io/storage.ts'
import { applyWrite, applyZero } from './apply-record.ts'
import { type CacheTables, makeTables } from './cache-layout.ts'
import type { RecoveredRequests } from './recovered-requests.ts'
import { blocksTouched } from './write-path.ts'

export interface ReplayOptions {
  readonly storage: Storage
  readonly memory: AlignedMemory
  readonly superblock: Superblock
  readonly ackedSeqKnown: number
  readonly acceptDataLoss: boolean
  readonly recovered: RecoveredRequests
}

/** A log and the tables of an engine that hold what its batches say. */
export class Replayed {
  readonly journal: Journal
  private readonly contents: LogContents

  constructor(journal: Journal, contents: LogContents) {
    this.journal = journal
    this.contents = contents
  }

  get tables(): CacheTables {
    return this.contents.tables
  }
  /** Blocks that the records touch, one that several touch counted for each. */
  get recordBlocks(): number {
    return this.contents.recordBlocks
  }
  /** Wall clock of the oldest batch with records; null when there is none. */
  get oldestWallMs(): Ms | null {
    return this.contents.oldestWallMs
  }

  /** One more batch has come to stand in the log, with its payload at `payloadPosition`; its data was verified. */
  apply(view: BatchView, payloadPosition: Bytes): void {
    this.contents.apply(view, payloadPosition)
  }
}

/** Reads the whole un-trimmed log; writes nothing. Rejects as openJournal does. */
export async function replay(options: ReplayOptions): Promise<Replayed> {
  const contents = new LogContents(makeTables(options.superblock.geometry), options.recovered)
  const onBatch: BatchVisitor = (view, payloadPosition) => contents.apply(view, payloadPosition)
  return new Replayed(await openJournal({ ...options, onBatch }), contents)
}

class LogContents {
  readonly tables: CacheTables
  recordBlocks = 0
  oldestWallMs: Ms | null = null
  private readonly recovered: RecoveredRequests

  constructor(tables: CacheTables, recovered: RecoveredRequests) {
    this.tables = tables
    this.recovered = recovered
  }

  apply(view: BatchView, payloadPosition: Bytes): void {
    if (view.count > 0) this.oldestWallMs ??= view.wallMs
    for (let i = 0; i < view.count; i += 1) this.applyRecord(view, i, payloadPosition)
    this.recovered.note(view)
  }

  private applyRecord(view: BatchView, i: number, payloadPosition: Bytes): void {
    const { tables } = this
    const sector = view.sector(i)
    const sectors = view.sectors(i)
    if (view.op(i) !== OP_WRITE) {
      applyZero(tables, sector, sectors, view.firstSeq + i)
      return
    }
    const cacheSector = payloadPosition / SECTOR_BYTES + view.payloadStart(i)
    const length = sectors * SECTOR_BYTES
    applyWrite(tables, sector, cacheSector, view.buffer, view.dataStart(i), length, view.dataHashLow(i))
    this.recordBlocks += blocksTouched(sector, length)
  }
}
