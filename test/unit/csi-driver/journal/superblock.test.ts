// Proves: a superblock survives its codec with every field; a flipped bit, random bytes and illegal values (also with a
// right checksum) are refused; the document shows the declared tables.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { crc32 } from '../../../../base/crc32.ts'
import {
  decodeSuperblock,
  EDGE_HASHES,
  encodeSuperblock,
  findProblem,
  LINEAGE_LAYOUT,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_LAYOUT,
  type Superblock,
} from '../../../../csi-driver/journal/superblock.ts'

const hex = (digit: string): string => digit.repeat(32)

const SAMPLE: Superblock = {
  generation: 77,
  copy: 2,
  wallMs: 1_700_000_000_000,
  volumeUuid: hex('1'),
  storeUuid: hex('2'),
  volumeName: 'pvc-ä',
  incarnation: 3,
  registerNonce: 'nonce',
  epoch: 5,
  run: 6,
  runFirstBatchSeq: 12,
  headBatchSeq: 20,
  geometry: { logStart: 32_768, logBytes: 8 * 12_288, cacheBytes: 1 << 20, frameBytesMax: 12_288 },
  sectorBytes: 4096,
  resource: 'memory',
  lineage: [
    { logUuid: hex('a'), firstBatchSeq: 3 },
    { logUuid: hex('b'), firstBatchSeq: 12 },
  ],
  pendingLineage: { logUuid: hex('c'), firstBatchSeq: 20 },
  tail: { position: 32_768 + 4096, batchSeq: 10, seq: 100, previousHash: (1n << 64n) - 1n },
  backing: { kind: 'block', id: 'wwn-0x5000', sizeBytes: 2 ** 40 },
  edgeHashes: Uint32Array.from({ length: EDGE_HASHES }, (_, index) => index * 8_388_607),
  registerRecord: '{"epoch":5}',
  intent: '{"rv":6}',
}

function encoded(superblock: Superblock): Buffer {
  const buffer = Buffer.alloc(SUPERBLOCK_BYTES, 0xff)
  encodeSuperblock(buffer, 0, superblock)
  return buffer
}

test('round trip of every field', () => {
  expect(decodeSuperblock(encoded(SAMPLE), 0)).toEqual(SAMPLE)
  const plain: Superblock = { ...SAMPLE, pendingLineage: null, intent: '', registerRecord: '', volumeName: '' }
  expect(decodeSuperblock(encoded(plain), 0)).toEqual(plain)
})

test('round trip of arbitrary texts and numbers', () => {
  const text = (bytes: number) =>
    fc.string({ maxLength: bytes / 4, unit: 'grapheme' }).filter((value) => Buffer.byteLength(value) <= bytes)
  fc.assert(
    fc.property(
      text(256),
      text(128),
      text(2048),
      text(1024),
      fc.maxSafeNat(),
      (volumeName, id, registerRecord, intent, number) => {
        const backing = { ...SAMPLE.backing, id, sizeBytes: number }
        const superblock: Superblock = {
          ...SAMPLE,
          volumeName,
          backing,
          registerRecord,
          intent,
          generation: number,
          epoch: number,
        }
        expect(decodeSuperblock(encoded(superblock), 0)).toEqual(superblock)
      },
    ),
    { numRuns: 50 },
  )
})

test('a flipped bit anywhere is detected', () => {
  const buffer = encoded(SAMPLE)
  fc.assert(
    fc.property(fc.nat({ max: SUPERBLOCK_BYTES * 8 - 1 }), (bit) => {
      const damaged = Buffer.from(buffer)
      damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ (1 << (bit & 7))
      expect(decodeSuperblock(damaged, 0)).toBeNull()
    }),
    { numRuns: 500 },
  )
})

test('random bytes, also behind the right magic and checksum, never pass and never throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: SUPERBLOCK_BYTES, maxLength: SUPERBLOCK_BYTES, size: 'max' }),
      fc.boolean(),
      (bytes, plausible) => {
        const buffer = Buffer.from(bytes)
        if (plausible) {
          encoded(SAMPLE).copy(buffer, 0, 0, 8)
          buffer.writeUInt32LE(0, SUPERBLOCK_LAYOUT.offsets.crc32)
          buffer.writeUInt32LE(crc32(buffer, 0, SUPERBLOCK_BYTES), SUPERBLOCK_LAYOUT.offsets.crc32)
        }
        expect(decodeSuperblock(buffer, 0)).toBeNull()
      },
    ),
    { numRuns: 30 },
  )
  expect(decodeSuperblock(Buffer.alloc(100), 0)).toBeNull()
})

const WRONG_FIELDS: readonly (readonly [string, number])[] = [
  ['version', 2],
  ['sectorBytes', 1024],
  ['resource', 3],
  ['backingKind', 0],
  ['lineageCount', 17],
  ['lineageCount', 1],
  ['pendingCount', 0],
  ['pendingCount', 2],
  ['volumeNameBytes', 257],
  ['volumeNameBytes', 3],
  ['copy', 0],
  ['reserved', 1],
]

test.each(WRONG_FIELDS)('a right checksum does not excuse %s = %i', (field, value) => {
  const buffer = encoded(SAMPLE)
  const offsets: Readonly<Record<string, number>> = SUPERBLOCK_LAYOUT.offsets
  const isByte = ['resource', 'backingKind', 'lineageCount', 'pendingCount', 'copy', 'reserved'].includes(field)
  if (isByte) buffer.writeUInt8(value, offsets[field])
  else buffer.writeUInt16LE(value, offsets[field])
  buffer.writeUInt32LE(0, SUPERBLOCK_LAYOUT.offsets.crc32)
  buffer.writeUInt32LE(crc32(buffer, 0, SUPERBLOCK_BYTES), SUPERBLOCK_LAYOUT.offsets.crc32)
  expect(decodeSuperblock(buffer, 0)).toBeNull()
})

const PROBLEMS: readonly (readonly [string, Partial<Superblock>])[] = [
  ['generation', { generation: -1 }],
  ['too large', { run: 2 ** 32 }],
  ['below 1', { tail: { ...SAMPLE.tail, seq: 0 } }],
  ['before tail', { headBatchSeq: 9 }],
  ['behind the head', { runFirstBatchSeq: 21 }],
  ['512', { edgeHashes: new Uint32Array(3) }],
  ['4096-byte', { geometry: { ...SAMPLE.geometry, logBytes: 8 * 12_288 + 512 } }],
  ['overlaps', { geometry: { ...SAMPLE.geometry, logStart: 4096 } }],
  ['longer than the cache', { geometry: { ...SAMPLE.geometry, cacheBytes: 65_536 } }],
  ['too short', { geometry: { ...SAMPLE.geometry, logBytes: 7 * 12_288 } }],
  ['outside the log', { tail: { ...SAMPLE.tail, position: 32_768 + 8 * 12_288 } }],
  ['1 to 16', { lineage: [] }],
  ['1 to 16', { lineage: Array.from({ length: 17 }, () => ({ logUuid: hex('a'), firstBatchSeq: 3 })) }],
  ['not in order', { lineage: [...SAMPLE.lineage].reverse() }],
  ['not in order', { pendingLineage: { logUuid: hex('c'), firstBatchSeq: 11 } }],
  ['reach back', { lineage: [{ logUuid: hex('a'), firstBatchSeq: 11 }] }],
]

test.each(PROBLEMS)('is never written: %s', (words, change) => {
  const superblock = { ...SAMPLE, ...change }
  expect(findProblem(superblock)).toContain(words)
  expect(() => encoded(superblock)).toThrow('legal')
})

test('texts that are too long are never written', () => {
  expect(() => encoded({ ...SAMPLE, volumeName: 'x'.repeat(257) })).toThrow('text fits')
  expect(() => encoded({ ...SAMPLE, intent: 'x'.repeat(1025) })).toThrow('text fits')
  expect(() => encoded({ ...SAMPLE, volumeUuid: 'x' })).toThrow('hexadecimal')
})

test('the document shows the declared tables', () => {
  const page = readFileSync('docs/formats/journal.md', 'utf8')
  expect(page).toContain(SUPERBLOCK_LAYOUT.dump())
  expect(page).toContain(LINEAGE_LAYOUT.dump())
})
