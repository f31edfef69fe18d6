// What the journal's tests share: a tiny cache (ring of 96 KiB, frames of up to 12 KiB, so that it wraps all the time),
// opened, owned and fed with one-line calls.
import type { IoError } from '../../../../base/errors.ts'
import { BatchBuilder } from '../../../../csi-driver/batch/batch-builder.ts'
import { frameBytesMaxFor } from '../../../../csi-driver/batch/batch-format.ts'
import type { BatchView } from '../../../../csi-driver/batch/batch-view.ts'
import {
  currentLogUuid,
  formatJournal,
  type Journal,
  type NewJournal,
  openJournal,
  probeCache,
  type SuperblockChanges,
} from '../../../../csi-driver/journal/journal.ts'
import type { RecoveryOptions } from '../../../../csi-driver/journal/recovery.ts'
import type { Superblock } from '../../../../csi-driver/journal/superblock.ts'
import { heapMemory, MemoryStorage } from './memory-storage.ts'

export const PAYLOAD_BYTES_MAX = 4096
export const FRAME_BYTES_MAX = frameBytesMaxFor(PAYLOAD_BYTES_MAX)
export const LOG_START = 32 * 1024
export const LOG_BYTES = 8 * FRAME_BYTES_MAX
export const CACHE_BYTES = LOG_START + LOG_BYTES

export const LOG_UUID = '0000000000000001aaaaaaaaaaaaaaaa'
export const OTHER_LOG_UUID = '0000000000000002bbbbbbbbbbbbbbbb'

export const NEW_JOURNAL: NewJournal = {
  volumeUuid: '11111111111111111111111111111111',
  storeUuid: '22222222222222222222222222222222',
  volumeName: 'data',
  registerNonce: 'nonce',
  geometry: { logStart: LOG_START, logBytes: LOG_BYTES, cacheBytes: CACHE_BYTES, frameBytesMax: FRAME_BYTES_MAX },
  sectorBytes: 512,
  resource: 'flash',
  backing: { kind: 'file', id: 'file', sizeBytes: 1 << 30 },
  logUuid: LOG_UUID,
  wallMs: 1000,
}

export interface FoundRecord {
  readonly seq: number
  readonly sector: number
  readonly sectors: number
  /** Null for a ZERO. */
  readonly data: Buffer | null
}

export interface FoundBatch {
  readonly batchSeq: number
  readonly position: number
  readonly payloadPosition: number
  readonly run: number
  readonly records: readonly FoundRecord[]
}

export function foundBatch(view: BatchView, payloadPosition: number, position: number): FoundBatch {
  const records = Array.from({ length: view.count }, (_, index) => {
    const at = view.dataStart(index)
    const bytes = view.sectors(index) * 512
    const data = view.op(index) === 1 ? Buffer.from(view.buffer.subarray(at, at + bytes)) : null
    return { seq: view.firstSeq + index, sector: view.sector(index), sectors: view.sectors(index), data }
  })
  return { batchSeq: view.batchSeq, position, payloadPosition, run: view.run, records }
}

export async function format(fields: Partial<NewJournal> = {}, storage = new MemoryStorage(CACHE_BYTES)) {
  const superblock = await formatJournal({ storage, memory: heapMemory, superblock: { ...NEW_JOURNAL, ...fields } })
  return { storage, superblock }
}

export interface Opened {
  readonly storage: MemoryStorage
  readonly journal: Journal
  readonly found: readonly FoundBatch[]
}

export async function probed(storage: MemoryStorage): Promise<Superblock> {
  const probe = await probeCache(storage, heapMemory)
  if (probe.kind !== 'forebay') throw new Error(`probe kind=${probe.kind}`)
  return probe.superblock
}

/** Opens without taking ownership. */
export async function open(storage: MemoryStorage, options: Partial<RecoveryOptions> = {}): Promise<Opened> {
  const found: FoundBatch[] = []
  const journal = await openJournal({
    storage,
    memory: heapMemory,
    superblock: await probed(storage),
    onBatch: (view, payloadPosition, position) => found.push(foundBatch(view, payloadPosition, position)),
    ...options,
  })
  return { storage, journal, found }
}

export function update(journal: Journal, changes: SuperblockChanges): Promise<void> {
  return settled((done) => journal.updateSuperblock(changes, done))
}

export function checkpoint(journal: Journal, batchSeq: number): Promise<void> {
  return settled((done) => journal.checkpoint(batchSeq, {}, done))
}

function settled(call: (done: (error: IoError | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => call((error) => (error === null ? resolve() : reject(error))))
}

/** Makes the next run durable and takes ownership. */
export async function own(opened: Opened): Promise<Opened> {
  const { journal } = opened
  const { epoch, run } = journal.superblock
  await update(journal, { epoch: Math.max(epoch, 1), run: run + 1 })
  const { superblock } = journal
  journal.setOwnership({ epoch: superblock.epoch, run: superblock.run, logUuid: currentLogUuid(superblock.lineage) })
  return opened
}

export async function openOwned(storage: MemoryStorage, options: Partial<RecoveryOptions> = {}): Promise<Opened> {
  return own(await open(storage, options))
}

export const tinyBuilder = (): BatchBuilder =>
  new BatchBuilder(heapMemory, { recordsMax: 240, payloadBytesMax: PAYLOAD_BYTES_MAX })

export interface Write {
  readonly sector: number
  readonly data: Buffer
}

/** A batch with these writes, not sealed. */
export function batchOf(writes: readonly Write[]): BatchBuilder {
  const builder = tinyBuilder()
  for (const { sector, data } of writes) {
    builder.addWrite({ sector, buffer: data, start: 0, length: data.length, uniqueLow: sector, uniqueHigh: 0 })
  }
  return builder
}

export function filled(bytes: number, value: number): Buffer {
  return Buffer.alloc(bytes, value)
}

/** Appends a batch of one write of `bytes` bytes; the write stays in flight when the storage holds writes. */
export function appendBytes(journal: Journal, bytes: number, value = 7, ackedSeq = 0): void {
  const builder = bytes === 0 ? tinyBuilder() : batchOf([{ sector: value * 8, data: filled(bytes, value) }])
  journal.append(builder, { ackedSeq, session: 9n, wallMs: 5000 }, (error) => {
    if (error !== null && journal.failed === null) throw error
  })
}
