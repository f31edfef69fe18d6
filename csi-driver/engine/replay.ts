// Turns the batches of a recovered log into the state of an open engine: the index of what is dirty, and the records
// that the front end may send again because their answer was lost with the old process.
import type { Ms } from '../../base/units.ts'
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

export interface Replayed {
  readonly journal: Journal
  readonly tables: CacheTables
  readonly recordBlocks: number
  readonly oldestWallMs: Ms | null
}

/** Reads the whole un-trimmed log; writes nothing. Rejects as openJournal does. */
export async function replay(options: ReplayOptions): Promise<Replayed> {
  const tables = makeTables(options.superblock.geometry)
  const { recovered } = options
  let recordBlocks = 0
  const onBatch: BatchVisitor = (view, payloadPosition) => {
    recordBlocks += applyBatch(view, payloadPosition, tables)
    recovered.note(view)
  }
  const journal = await openJournal({ ...options, onBatch })
  return { journal, tables, recordBlocks, oldestWallMs: journal.recovery.oldestWallMs }
}

/** Returns how many blocks the records touch. */
function applyBatch(view: BatchView, payloadPosition: number, tables: CacheTables): number {
  let blocks = 0
  for (let i = 0; i < view.count; i += 1) {
    const sector = view.sector(i)
    const sectors = view.sectors(i)
    if (view.op(i) === OP_WRITE) {
      const cacheSector = payloadPosition / SECTOR_BYTES + view.payloadStart(i)
      applyWrite(tables, sector, cacheSector, view.buffer, view.dataStart(i), sectors * SECTOR_BYTES)
      blocks += blocksTouched(sector, sectors * SECTOR_BYTES)
    } else applyZero(tables, sector, sectors, view.firstSeq + i)
  }
  return blocks
}
