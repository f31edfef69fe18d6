// Proves: each invariant holds for a journal that works, and each finds the image in which exactly it was broken.
import { checkJournal, JOURNAL_INVARIANTS } from '../../../../csi-driver/journal/invariants.ts'
import { type BatchSummary, type JournalImage, readJournalImage } from '../../../../csi-driver/journal/journal-image.ts'
import type { Superblock } from '../../../../csi-driver/journal/superblock.ts'
import { appendBytes, checkpoint, format, LOG_BYTES, LOG_START, openOwned } from './journal-kit.ts'
import { heapMemory, type MemoryStorage } from './memory-storage.ts'

async function workedStorage(): Promise<MemoryStorage> {
  const first = await openOwned((await format()).storage)
  for (let round = 0; round < 6; round++) {
    appendBytes(first.journal, 512, round)
    appendBytes(first.journal, 4096, round, first.journal.lastSeq - 1)
    if (round < 4) await checkpoint(first.journal, first.journal.lastBatchSeq - 1)
  }
  const second = await openOwned(first.storage)
  appendBytes(second.journal, 512, 1)
  appendBytes(second.journal, 512, 2)
  await checkpoint(second.journal, second.journal.superblock.tail.batchSeq)
  return second.storage
}

async function workedImage(): Promise<JournalImage> {
  return readJournalImage({ storage: await workedStorage(), memory: heapMemory })
}

test('all hold for a journal that works', async () => {
  const image = await workedImage()
  expect(image.batches.length).toBeGreaterThan(4)
  expect(checkJournal(image)).toEqual([])
})

type Breaks = (image: JournalImage, superblock: Superblock) => JournalImage

function changeBatch(image: JournalImage, index: number, change: Partial<BatchSummary>): JournalImage {
  return { ...image, batches: image.batches.map((batch, at) => (at === index ? { ...batch, ...change } : batch)) }
}

const LOST = { label: 'log_end' as const, position: 0, batchSeq: 1, lastGoodSeq: 0, ackedSeqMax: 2, lastSeqSeen: 3 }

const BROKEN: readonly (readonly [string, string, Breaks])[] = [
  ['superblock-exists', 'no slot', (image) => ({ ...image, slots: [], superblock: null })],
  [
    'superblocks-in-their-slots',
    'misdirected',
    (image) => ({ ...image, slots: image.slots.map((slot) => ({ ...slot, slot: (slot.slot + 1) % 4 })) }),
  ],
  [
    'damaged-slot-is-the-next-one',
    'damage',
    (image, superblock) => ({
      ...image,
      slots: image.slots.map((slot) =>
        slot.slot === (superblock.generation + 2) % 4 ? { ...slot, state: 'damaged', superblock: null } : slot,
      ),
    }),
  ],
  [
    'copies-say-the-same',
    'another content',
    (image, superblock) => ({
      ...image,
      slots: image.slots.map((slot) =>
        slot.superblock?.generation === superblock.generation - 1
          ? { ...slot, superblock: { ...slot.superblock, intent: 'x' } }
          : slot,
      ),
    }),
  ],
  [
    'copies-say-the-same',
    'no first copy',
    (image, superblock) => ({
      ...image,
      slots: image.slots.filter((slot) => slot.superblock?.generation !== superblock.generation - 1),
    }),
  ],
  [
    'log-ends-without-damage',
    'damage',
    (image) => ({ ...image, report: image.report === null ? null : { ...image.report, lost: LOST } }),
  ],
  ['batches-are-of-this-volume-and-log', 'volume', (image) => changeBatch(image, 1, { volumeUuid: 'x' })],
  ['batches-are-of-this-volume-and-log', 'log', (image) => changeBatch(image, 1, { logUuid: 'x' })],
  ['batches-form-one-chain', 'batch number', (image) => changeBatch(image, 0, { batchSeq: 99 })],
  ['batches-form-one-chain', 'record number', (image) => changeBatch(image, 2, { firstSeq: 9999 })],
  ['batches-form-one-chain', 'predecessor', (image) => changeBatch(image, 1, { previousHash: 1n })],
  ['acknowledged-and-trimmed-only-grow', 'itself', (image) => changeBatch(image, 1, { ackedSeq: 9999 })],
  ['acknowledged-and-trimmed-only-grow', 'acked', (image) => changeBatch(image, 4, { ackedSeq: 0 })],
  ['acknowledged-and-trimmed-only-grow', 'trim', (image) => changeBatch(image, 4, { trimSeq: 0 })],
  [
    'acknowledged-and-trimmed-only-grow',
    'ahead',
    (image, { tail }) => changeBatch(image, image.batches.length - 1, { trimSeq: tail.seq }),
  ],
  ['runs-only-grow', 'falls', (image) => changeBatch(image, image.batches.length - 1, { run: 0 })],
  ['runs-only-grow', 'ahead', (image) => changeBatch(image, 0, { run: 99 })],
  ['batches-lie-in-the-ring', 'outside', (image) => changeBatch(image, 0, { position: LOG_START + LOG_BYTES })],
  ['batches-lie-in-the-ring', 'gap', (image) => changeBatch(image, 2, { position: LOG_START + 4096 })],
  ['batches-lie-in-the-ring', 'long', (image) => changeBatch(image, 0, { frameBytes: 16_384 })],
  ['head-is-not-before-the-superblock-says', 'missing', (image) => ({ ...image, batches: image.batches.slice(0, 2) })],
]

test.each(BROKEN)('%s finds: %s', async (name, _what, breaks) => {
  const image = await workedImage()
  if (image.superblock === null) throw new Error('image has a superblock')
  const findings = checkJournal(breaks(image, image.superblock))
  expect(findings.map(({ invariant }) => invariant)).toContain(name)
})

test('every invariant is broken by one case at least', () => {
  expect(new Set(BROKEN.map(([name]) => name))).toEqual(new Set(JOURNAL_INVARIANTS.map(({ name }) => name)))
})

test('damage on the medium is found', async () => {
  const storage = await workedStorage()
  const { batches } = await readJournalImage({ storage, memory: heapMemory })
  const position = (batches[1]?.position ?? 0) + 4096
  storage.bytes[position] = (storage.bytes[position] as number) ^ 1
  const image = await readJournalImage({ storage, memory: heapMemory })
  const names = checkJournal(image).map(({ invariant }) => invariant)
  expect(names).toEqual(['log-ends-without-damage', 'head-is-not-before-the-superblock-says'])
})
