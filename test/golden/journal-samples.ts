// The values behind the golden records of batches and journal, version 1: fixed inputs from which today's code must
// make the recorded bytes again. A new format version gets new samples and new files; these are never edited.
import { BatchBuilder, type SealFields } from '../../csi-driver/batch/batch-builder.ts'
import { currentLogUuid, formatJournal, openJournal, probeCache, promotePending } from '../../csi-driver/journal/journal.ts'
import type { Journal, SuperblockChanges } from '../../csi-driver/journal/journal.ts'
import { heapMemory, MemoryStorage } from '../unit/csi-driver/journal/memory-storage.ts'

const SEAL: SealFields = {
  volumeUuid: Buffer.from('00112233445566778899aabbccddeeff', 'hex'),
  logUuid: Buffer.from('0000000000000003f0e1d2c3b4a59687', 'hex'),
  epoch: 3,
  run: 4,
  batchSeq: 17,
  firstSeq: 1000,
  ackedSeq: 999,
  trimSeq: 500,
  previousHash: 0xfedc_ba98_7654_3210n,
  wallMs: 1_700_000_000_123,
  session: 0x0123_4567_89ab_cdefn,
}

function pattern(bytes: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, index) => (index * 7 + seed) & 0xff))
}

function frameOf(builder: BatchBuilder, seal: SealFields): Buffer {
  builder.seal(seal)
  return Buffer.from(builder.buffer.subarray(builder.frameStart, builder.frameStart + builder.frameBytes))
}

/** Two writes, a discard, a zero: one header block. */
export function smallBatch(): Buffer {
  const builder = new BatchBuilder(heapMemory)
  const unique = { uniqueLow: 0x9abc_def0, uniqueHigh: 0x1234_5678 }
  builder.addWrite({ sector: 0xabcd_ef01_2345, buffer: pattern(1024, 1), start: 0, length: 1024, ...unique })
  builder.addZero({ sector: 8, sectors: 0xffff_ffff, mayUnmap: true, ...unique })
  builder.addWrite({ sector: 0, buffer: pattern(4096, 2), start: 0, length: 4096, ...unique })
  builder.addZero({ sector: 16, sectors: 1, mayUnmap: false, ...unique })
  return frameOf(builder, SEAL)
}

/** 125 records: two header blocks. */
export function largeBatch(): Buffer {
  const builder = new BatchBuilder(heapMemory)
  for (let index = 0; index < 125; index++) {
    const buffer = pattern(512, index)
    builder.addWrite({ sector: index * 3, buffer, start: 0, length: 512, uniqueLow: index, uniqueHigh: 0 })
  }
  return frameOf(builder, { ...SEAL, batchSeq: 18, firstSeq: 1004, session: 0n })
}

function update(journal: Journal, changes: SuperblockChanges): Promise<void> {
  return new Promise((resolve, reject) => {
    journal.updateSuperblock(changes, (error) => (error === null ? resolve() : reject(error)))
  })
}

function append(journal: Journal, bytes: readonly number[], wallMs: number): void {
  const builder = new BatchBuilder(heapMemory, { recordsMax: 8, payloadBytesMax: 4096 })
  bytes.forEach((length, index) => {
    const record = { buffer: pattern(length, journal.lastSeq + index), start: 0, length }
    builder.addWrite({ sector: index * 8, ...record, uniqueLow: journal.lastSeq + index, uniqueHigh: 0 })
  })
  journal.append(builder, { ackedSeq: journal.lastSeq, session: 0xfeedn, wallMs }, () => undefined)
}

const FRAME_BYTES_MAX = 12_288
const LOG_START = 32_768

/** A cache with a checkpoint, two epochs in one ring, an open intent and a torn last batch. */
export async function sampleJournal(): Promise<MemoryStorage> {
  const logBytes = 8 * FRAME_BYTES_MAX
  const geometry = { logStart: LOG_START, logBytes, cacheBytes: LOG_START + logBytes, frameBytesMax: FRAME_BYTES_MAX }
  const storage = new MemoryStorage(geometry.cacheBytes)
  await formatJournal({
    storage,
    memory: heapMemory,
    superblock: {
      volumeUuid: '00112233445566778899aabbccddeeff',
      storeUuid: 'ffeeddccbbaa99887766554433221100',
      volumeName: 'database',
      registerNonce: '5d6b2d8e-register',
      geometry,
      sectorBytes: 512,
      resource: 'flash',
      backing: { kind: 'block', id: 'wwn-0x5000c500a1b2c3d4', sizeBytes: 1 << 30 },
      logUuid: '0000000000000001a1a2a3a4a5a6a7a8',
      wallMs: 1_700_000_000_000,
    },
  })
  const first = await reopen(storage)
  await update(first, { epoch: 1, run: 1, wallMs: 1_700_000_000_001 })
  first.setOwnership({ epoch: 1, run: 1, logUuid: currentLogUuid(first.superblock.lineage) })
  append(first, [512, 1024], 1_700_000_000_010)
  append(first, [4096], 1_700_000_000_020)
  await new Promise((resolve) => first.checkpoint(1, { registerRecord: '{"epoch":1}' }, resolve))
  const second = await reopen(storage)
  const pendingLineage = { logUuid: '0000000000000002b1b2b3b4b5b6b7b8', firstBatchSeq: 3 }
  await update(second, { epoch: 2, run: 1, pendingLineage, intent: '{"epoch":2}', wallMs: 1_700_000_001_000 })
  await update(second, { ...promotePending(second.superblock), registerRecord: '{"epoch":2}', intent: '' })
  second.setOwnership({ epoch: 2, run: 1, logUuid: pendingLineage.logUuid })
  append(second, [512], 1_700_000_001_010)
  append(second, [], 1_700_000_001_020)
  await update(second, { intent: '{"dirty":false}' })
  storage.holdWrites = true
  append(second, [512, 512], 1_700_000_001_030)
  return storage.crash((sector) => sector < 9)
}

async function reopen(storage: MemoryStorage): Promise<Journal> {
  const probe = await probeCache(storage, heapMemory)
  if (probe.kind !== 'forebay') throw new Error(`kind=${probe.kind}`)
  return openJournal({ storage, memory: heapMemory, superblock: probe.superblock, onBatch: () => undefined })
}
