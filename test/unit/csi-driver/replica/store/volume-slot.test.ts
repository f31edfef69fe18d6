// Proves: an entry of the volume table survives its codec with every field and is valid only in its own place of its own
// store; flipped bits, random bytes and illegal values are refused; the document shows the declared tables.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { crc32 } from '../../../../../base/crc32.ts'
import {
  decodeSlot,
  encodeSlot,
  type SlotContent,
  type SlotLog,
  slotProblem,
  STORED_LOG_NAME,
  VOLUME_SLOT,
  type VolumeSlot,
} from '../../../../../csi-driver/replica/store/volume-slot.ts'

const BYTES = 4096
const PLACE = { storeUuid: 'ab'.repeat(16), copy: 1 }
const name = (digit: string, firstBatchSeq: number) => ({ logUuid: digit.repeat(32), firstBatchSeq })

const LOG: SlotLog = {
  logId: (1n << 64n) - 1n,
  logBytes: 1 << 28,
  reservedSegments: 70,
  lineage: [name('a', 3), name('b', 12)],
  pending: name('c', 20),
  tail: { batchSeq: 10, seq: 100, previousHash: 0xfedc_ba98_7654_3210n },
  tailPlace: { segment: 5, offset: 8192, ordinal: 9 },
  ackedSeq: 99,
  headBatchSeq: 20,
  headHash: 17n,
  cutBatchSeq: 12,
  cutGeneration: 40,
}

const SAMPLE: VolumeSlot = {
  kind: 'volume',
  index: 7,
  generation: 77,
  wallMs: 1_700_000_000_000,
  volume: 'pvc-1',
  volumeUuid: '1'.repeat(32),
  volumeKey: Buffer.alloc(32, 9),
  createdBy: 'node-a',
  incarnation: 2,
  promise: 6,
  epoch: 5,
  run: 3,
  log: LOG,
}

function encoded(slot: SlotContent): Buffer {
  const buffer = Buffer.alloc(BYTES, 0xff)
  encodeSlot(buffer, 0, slot, PLACE)
  return buffer
}

function decoded(buffer: Buffer): SlotContent | null {
  return decodeSlot(buffer, 0, { ...PLACE, index: 7 })
}

function withCrc(buffer: Buffer): Buffer {
  buffer.writeUInt32LE(0, VOLUME_SLOT.offsets.crc32)
  buffer.writeUInt32LE(crc32(buffer, 0, BYTES), VOLUME_SLOT.offsets.crc32)
  return buffer
}

test('round trip of every kind', () => {
  const head = { index: 7, generation: 1, wallMs: 0 }
  const slots: SlotContent[] = [
    SAMPLE,
    { ...SAMPLE, log: null },
    { ...SAMPLE, log: { ...LOG, pending: null, tailPlace: null } },
    { ...SAMPLE, volume: 'x'.repeat(64) },
    { ...head, kind: 'free' },
    { ...head, kind: 'lost' },
  ]
  for (const slot of slots) expect(decoded(encoded(slot))).toEqual(slot)
})

test('round trip of arbitrary numbers', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (number, big) => {
      const log = { ...LOG, ackedSeq: number, logBytes: number, logId: big, headHash: big }
      const slot = { ...SAMPLE, promise: number, epoch: number, run: number, wallMs: number, log }
      expect(decoded(encoded(slot))).toEqual(slot)
    }),
    { numRuns: 50 },
  )
})

test('is valid only in its own place of its own store', () => {
  const buffer = encoded(SAMPLE)
  expect(decodeSlot(buffer, 0, { ...PLACE, index: 8 })).toBeNull()
  expect(decodeSlot(buffer, 0, { ...PLACE, index: 7, copy: 0 })).toBeNull()
  expect(decodeSlot(buffer, 0, { ...PLACE, index: 7, storeUuid: 'cd'.repeat(16) })).toBeNull()
  expect(decodeSlot(buffer, 4096, { ...PLACE, index: 7 })).toBeNull()
})

test('a flipped bit anywhere is detected', () => {
  const buffer = encoded(SAMPLE)
  fc.assert(
    fc.property(fc.nat({ max: BYTES * 8 - 1 }), (bit) => {
      const damaged = Buffer.from(buffer)
      damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ (1 << (bit & 7))
      expect(decoded(damaged)).toBeNull()
    }),
    { numRuns: 300 },
  )
})

test('random bytes, also behind a right head and checksum, never pass and never throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: BYTES, maxLength: BYTES, size: 'max' }),
      fc.boolean(),
      (bytes, plausible) => {
        const buffer = Buffer.from(bytes)
        if (plausible) encoded(SAMPLE).copy(buffer, 0, 0, 48)
        expect(decoded(plausible ? withCrc(buffer) : buffer)).toBeNull()
      },
    ),
    { numRuns: 30 },
  )
})

test.each([
  ['version', 2],
  ['kind', 3],
  ['hasLog', 2],
  ['lineageCount', 17],
  ['lineageCount', 1],
  ['pendingCount', 0],
  ['tailOffset', 100],
] as const)('a right checksum does not excuse %s = %i', (field, value) => {
  const buffer = encoded(SAMPLE)
  VOLUME_SLOT.set(buffer, 0, field, value)
  expect(decoded(withCrc(buffer))).toBeNull()
})

const PROBLEMS: readonly (readonly [string, Partial<VolumeSlot>])[] = [
  ['generation', { generation: 0 }],
  ['not a number', { promise: -1 }],
  ['key', { volumeKey: Buffer.alloc(31) }],
  ['printable', { volume: '' }],
  ['printable', { volume: 'a b' }],
  ['printable', { volume: 'x'.repeat(65) }],
  ['hexadecimal', { volumeUuid: 'x' }],
  ['below 1', { log: { ...LOG, tail: { ...LOG.tail, seq: 0 } } }],
  ['before the tail', { log: { ...LOG, headBatchSeq: 9 } }],
  ['space', { log: { ...LOG, reservedSegments: 0 } }],
  ['place', { log: { ...LOG, tailPlace: { segment: 1, offset: 0, ordinal: 0 } } }],
  ['pending', { log: { ...LOG, pending: name('c', 9) } }],
  ['lineage', { log: { ...LOG, lineage: [] } }],
  ['lineage', { log: { ...LOG, lineage: [name('a', 11)] } }],
  ['lineage', { log: { ...LOG, lineage: [name('a', 3), name('b', 3)] } }],
  ['lineage', { log: { ...LOG, lineage: Array.from({ length: 17 }, (_, index) => name('a', index + 1)) } }],
  ['cut is below 1', { log: { ...LOG, cutBatchSeq: 0 } }],
  ['later generation', { log: { ...LOG, cutGeneration: 78 } }],
]

test.each(PROBLEMS)('is never written: %s', (words, change) => {
  const slot = { ...SAMPLE, ...change }
  expect(slotProblem(slot)).toContain(words)
  expect(() => encoded(slot)).toThrow('legal')
})

test('the document shows the declared tables', () => {
  const page = readFileSync('docs/formats/replica-store.md', 'utf8')
  expect(page).toContain(VOLUME_SLOT.dump())
  expect(page).toContain(STORED_LOG_NAME.dump())
})
