// Proves: the headers of segments and of stored batches survive their codecs; flipped bits and random bytes never pass;
// the hot writer agrees with the declared layout; the document shows the declared tables.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  readStoredHeader,
  SEGMENT_HEADER,
  type SegmentHeader,
  STORED_BATCH_HEADER,
  type StoredBatchHeader,
  writeStoredHeader,
} from '../../../../../csi-driver/replica/store/segment-format.ts'
import { STORED_BODY_BYTES_MAX } from '../../../../../csi-driver/replica/store/store-geometry.ts'

const SEGMENT: SegmentHeader = {
  slot: 255,
  segment: 4_000_000,
  storeUuid: 'ab'.repeat(16),
  volumeUuid: 'cd'.repeat(16),
  logId: (1n << 64n) - 2n,
  slotGeneration: Number.MAX_SAFE_INTEGER,
  ordinal: 2 ** 40,
  firstBatchSeq: 2 ** 50,
}

const BATCH: StoredBatchHeader = {
  bodyBytes: STORED_BODY_BYTES_MAX,
  bodyHash: (1n << 64n) - 1n,
  batchSeq: Number.MAX_SAFE_INTEGER,
  logId: 1n << 63n,
  slotGeneration: 2 ** 40 + 5,
  previousHash: 3n,
  headerHash: 4n,
}

function flipped(buffer: Buffer, bit: number): Buffer {
  const damaged = Buffer.from(buffer)
  damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ (1 << (bit & 7))
  return damaged
}

describe('segment header', () => {
  const buffer = Buffer.alloc(8192, 0xff)
  encodeSegmentHeader(buffer, 4096, SEGMENT)
  const block = Buffer.from(buffer.subarray(4096))

  test('round trip', () => {
    expect(decodeSegmentHeader(buffer, 4096)).toEqual(SEGMENT)
    expect(decodeSegmentHeader(buffer, 0)).toBeNull()
    expect(decodeSegmentHeader(buffer, 5000)).toBeNull()
  })

  test('a flipped bit anywhere is detected', () => {
    fc.assert(
      fc.property(fc.nat({ max: 4096 * 8 - 1 }), (bit) => {
        expect(decodeSegmentHeader(flipped(block, bit), 0)).toBeNull()
      }),
      { numRuns: 300 },
    )
  })
})

describe('stored batch header', () => {
  const buffer = Buffer.alloc(128, 0xff)
  writeStoredHeader(buffer, 64, BATCH)
  const head = Buffer.from(buffer.subarray(64))

  test('round trip of arbitrary values', () => {
    const number = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
    const hash = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
    const record = fc.record({
      bodyBytes: fc.integer({ min: 1, max: STORED_BODY_BYTES_MAX }),
      bodyHash: hash,
      batchSeq: number,
      logId: hash,
      slotGeneration: number,
      previousHash: hash,
      headerHash: hash,
    })
    fc.assert(
      fc.property(record, (header) => {
        writeStoredHeader(buffer, 64, header)
        expect(readStoredHeader(buffer, 64)).toEqual(header)
        expect(STORED_BATCH_HEADER.decode(buffer, 64)).toMatchObject(header)
      }),
    )
  })

  test('a flipped bit anywhere is detected', () => {
    expect(readStoredHeader(head, 0)).toEqual(BATCH)
    for (let bit = 0; bit < 64 * 8; bit++) expect(readStoredHeader(flipped(head, bit), 0)).toBeNull()
  })

  test('illegal values, noise and short input never pass', () => {
    for (const change of [
      { bodyBytes: 0 },
      { bodyBytes: STORED_BODY_BYTES_MAX + 1 },
      { batchSeq: 0 },
      { slotGeneration: 0 },
    ]) {
      writeStoredHeader(buffer, 0, { ...BATCH, ...change })
      expect(readStoredHeader(buffer, 0)).toBeNull()
    }
    expect(readStoredHeader(head, 8)).toBeNull()
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.boolean(), (bytes, plausible) => {
        const noise = Buffer.from(bytes)
        if (plausible) head.copy(noise, 0, 0, 4)
        expect(readStoredHeader(noise, 0)).toBeNull()
      }),
    )
  })
})

test('the document shows the declared tables', () => {
  const page = readFileSync('docs/formats/replica-store.md', 'utf8')
  expect(page).toContain(SEGMENT_HEADER.dump())
  expect(page).toContain(STORED_BATCH_HEADER.dump())
})
