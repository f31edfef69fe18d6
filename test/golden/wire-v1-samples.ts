// Conversations in version 1 of the wire protocol, from fixed values: an owner that starts a log at a store and fills it,
// an opener that gathers it and takes it over, a reader of the cache that the owner before has left behind. Every message of version 1 is in one of them. A later version gets
// samples and recordings of its own; these are never edited.
import { BatchBuilder } from '../../csi-driver/batch/batch-builder.ts'
import type { StoredLog } from '../../csi-driver/protocol/stored-log.ts'
import { envelopeOf } from '../../csi-driver/replica/wire/envelope.ts'
import type { BatchEnvelope, WireMessage } from '../../csi-driver/replica/wire/messages.ts'
import { volumeProof } from '../../csi-driver/replica/wire/volume-proof.ts'
import { heapMemory } from '../unit/csi-driver/journal/memory-storage.ts'

const VOLUME_UUID = '00112233445566778899aabbccddeeff'
const LOG_3 = '0000000000000003f0e1d2c3b4a59687'
const LOG_4 = '0000000000000004a1a2a3a4a5a6a7a8'
const KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
const EXPORTER_1 = Buffer.alloc(32, 0xe1)
const EXPORTER_2 = Buffer.alloc(32, 0xe2)
const EXPORTER_3 = Buffer.alloc(32, 0xe3)

/** Two writes, a discard, a zero. */
function rawBatch(): BatchEnvelope {
  const builder = new BatchBuilder(heapMemory)
  const unique = { uniqueLow: 0x9abc_def0, uniqueHigh: 0x1234_5678 }
  builder.addWrite({ sector: 0xabcd_ef01_2345, buffer: Buffer.alloc(512, 'first '), start: 0, length: 512, ...unique })
  builder.addZero({ sector: 8, sectors: 0xffff_ffff, mayUnmap: true, ...unique })
  builder.addWrite({ sector: 0, buffer: Buffer.alloc(1024, 'second '), start: 0, length: 1024, ...unique })
  builder.addZero({ sector: 16, sectors: 1, mayUnmap: false, ...unique })
  builder.seal({
    volumeUuid: Buffer.from(VOLUME_UUID, 'hex'),
    logUuid: Buffer.from(LOG_3, 'hex'),
    epoch: 3,
    run: 4,
    batchSeq: 18,
    firstSeq: 1000,
    ackedSeq: 999,
    trimSeq: 500,
    previousHash: 0xfedc_ba98_7654_3210n,
    wallMs: 1_700_000_000_123,
    session: 0x0123_4567_89ab_cdefn,
  })
  const { buffer, frameStart: start, payloadBytes } = builder
  const { header, payload, ...rest } = envelopeOf({ buffer, start, headerBytes: 4096, payloadBytes })
  return { ...rest, header: Buffer.from(header), payload: Buffer.from(payload) }
}

const RAW = rawBatch()
/** The wire does not look into a compressed payload: any shorter bytes stand for one. */
const COMPRESSED: BatchEnvelope = { ...RAW, codec: 1, payload: Buffer.from('as an LZ4 block would stand here') }

const BEGIN = { batchSeq: 18, seq: 1000, previousHash: 0xfedc_ba98_7654_3210n }
const LINEAGE = [{ logUuid: LOG_3, firstBatchSeq: 11 }]
const LOG: StoredLog = {
  lineage: LINEAGE,
  pending: null,
  tail: BEGIN,
  lastBatchSeq: 18,
  lastSeq: 1003,
  lastHash: RAW.header.readBigUInt64LE(120),
  ackedSeq: 999,
  storedBytes: 8192,
}
const PENDING: StoredLog = { ...LOG, pending: { logUuid: LOG_4, firstBatchSeq: 19 } }
const PROMOTED: StoredLog = { ...LOG, lineage: [...LINEAGE, { logUuid: LOG_4, firstBatchSeq: 19 }] }

const STORE = { node: 'node-b.example', storeUuid: 'ffeeddccbbaa99887766554433221100', incarnation: 2 } as const
const VOLUME = { volume: 'database', volumeUuid: VOLUME_UUID, versionMin: 1, versionMax: 1 } as const

/** In the order in which the messages were sent; the type says who sends. */
export const OWNER_CONVERSATION: readonly WireMessage[] = [
  {
    type: 'HELLO',
    ...VOLUME,
    node: 'node-a',
    epoch: 3,
    run: 4,
    purpose: 'owner',
    proof: volumeProof(KEY, EXPORTER_1, VOLUME_UUID),
    volumeKey: KEY,
  },
  {
    type: 'WELCOME',
    version: 1,
    ...STORE,
    resource: 'flash',
    freeBytes: 17_179_869_184,
    state: { promise: 3, epoch: 3, run: 4, log: null },
  },
  { type: 'LEARN', lineage: LINEAGE, begin: BEGIN, logBytes: 1_073_741_824 },
  { type: 'LEARNING' },
  { type: 'APPEND', ...RAW },
  { type: 'APPENDED', batchSeq: 18 },
  { type: 'APPEND', ...COMPRESSED },
  { type: 'APPENDED', batchSeq: 4_503_599_627_370_495 },
  { type: 'HEARTBEAT', number: 4_294_967_296 },
  { type: 'ALIVE', number: 4_294_967_296 },
  { type: 'TRIM', batchSeq: 17 },
  { type: 'TRIMMED', batchSeq: 17 },
  { type: 'STATE' },
  { type: 'STATE_IS', state: { promise: 3, epoch: 3, run: 4, log: LOG } },
  { type: 'RELEASE' },
  { type: 'RELEASED' },
]

export const OPENER_CONVERSATION: readonly WireMessage[] = [
  {
    type: 'HELLO',
    ...VOLUME,
    node: 'node-c',
    epoch: 4,
    run: 1,
    purpose: 'opener',
    proof: volumeProof(KEY, EXPORTER_2, VOLUME_UUID),
    volumeKey: null,
  },
  {
    type: 'WELCOME',
    version: 1,
    ...STORE,
    resource: 'memory',
    freeBytes: 0,
    state: { promise: 3, epoch: 3, run: 4, log: LOG },
  },
  { type: 'SEAL', predecessorOff: false },
  { type: 'SEAL_WAIT', remainingMs: 7250 },
  { type: 'SEALED', state: { promise: 4, epoch: 3, run: 4, log: LOG } },
  { type: 'FETCH', fromBatchSeq: 18, bytesMax: 4_194_304 },
  { type: 'BATCH', ...COMPRESSED },
  { type: 'FETCH_END', lastBatchSeq: 18, more: false },
  {
    type: 'PREPARE',
    authoritativeLogUuid: LOG_3,
    newLogUuid: LOG_4,
    lastBatchSeq: 18,
    lastHash: RAW.header.readBigUInt64LE(120),
  },
  { type: 'PREPARED' },
  { type: 'STATE' },
  { type: 'STATE_IS', state: { promise: 4, epoch: 3, run: 4, log: PENDING } },
  { type: 'PROMOTE', logUuid: LOG_4 },
  { type: 'PROMOTED' },
  { type: 'SEAL', predecessorOff: true },
  { type: 'SEALED', state: { promise: 4, epoch: 4, run: 1, log: PROMOTED } },
  { type: 'REFUSED', code: 'epoch-old', message: 'the store has promised itself to a newer epoch promise=5 epoch=4' },
]

export const READER_CONVERSATION: readonly WireMessage[] = [
  {
    type: 'HELLO',
    ...VOLUME,
    node: 'node-d',
    epoch: 5,
    run: 1,
    purpose: 'reader',
    proof: volumeProof(KEY, EXPORTER_3, VOLUME_UUID),
    volumeKey: null,
  },
  {
    type: 'WELCOME',
    version: 1,
    ...STORE,
    incarnation: 1,
    resource: 'flash',
    freeBytes: 0,
    state: { promise: 0, epoch: 0, run: 0, log: null },
  },
  { type: 'CACHE', registerRv: 77 },
  { type: 'CACHE_IS', epochLeft: 4, blocks: 1_048_576, remainingMs: 599_990 },
  { type: 'READ', number: 4_294_967_295, firstBlock: 268_435_455, count: 16 },
  {
    type: 'BLOCKS',
    number: 4_294_967_295,
    held: 0x8001,
    hashes: [0x0123_4567, 0xfedc_ba98],
    data: Buffer.concat([Buffer.alloc(4096, 'first block '), Buffer.alloc(4096, 'last block ')]),
  },
  { type: 'READ', number: 0, firstBlock: 0, count: 1 },
  { type: 'BLOCKS', number: 0, held: 0, hashes: [], data: Buffer.alloc(0) },
  { type: 'HEARTBEAT', number: 2 },
  { type: 'ALIVE', number: 2 },
  { type: 'RELEASE' },
  { type: 'RELEASED' },
]
