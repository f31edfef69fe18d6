// Proves: a view reads back every field, and refuses headers that are whole and hashed rightly but say what cannot be
// (ranges, overlaps, gaps, padding): a field from a disk is never used unchecked.
import { BATCH_DESCRIPTOR, BATCH_HEADER, OP_WRITE, OP_ZERO } from '../../../../csi-driver/batch/batch-format.ts'
import { BatchView, PAYLOAD_OK } from '../../../../csi-driver/batch/batch-view.ts'
import { build, forge, frameOf, SEAL } from './batch-kit.ts'

const H = BATCH_HEADER.offsets
const D = BATCH_DESCRIPTOR.offsets
const RECORD_0 = BATCH_HEADER.size
const RECORD_1 = RECORD_0 + BATCH_DESCRIPTOR.size

const FRAME = frameOf(
  build([
    { sector: 2 ** 33, data: Buffer.alloc(1024, 1) },
    { sector: 16, data: 2 ** 32 - 1, mayUnmap: true },
    { sector: 7, data: Buffer.alloc(512, 2) },
  ]),
)

function parse(frame: Buffer): string {
  return new BatchView().parse(frame, 0, frame.length)
}

test('reads every field', () => {
  const view = new BatchView()
  const shifted = Buffer.concat([Buffer.alloc(100), FRAME])
  expect(view.parse(shifted, 100, FRAME.length)).toBe('ok')
  const { epoch, run, batchSeq, firstSeq, ackedSeq, trimSeq, previousHash, wallMs, session } = SEAL
  expect(view).toMatchObject({ epoch, run, batchSeq, firstSeq, ackedSeq, trimSeq, previousHash, wallMs, session })
  expect(view).toMatchObject({ count: 3, payloadBytes: 1536, headerBlocks: 1, frameBytes: 8192, payloadOffset: 4096 })
  expect(view).toMatchObject({ volumeUuid: '11'.repeat(16), logUuid: '22'.repeat(16), lastSeq: 1002, isWhole: true })
  expect([0, 1, 2].map((index) => view.op(index))).toEqual([OP_WRITE, OP_ZERO, OP_WRITE])
  expect([0, 1, 2].map((index) => view.sector(index))).toEqual([2 ** 33, 16, 7])
  expect([0, 1, 2].map((index) => view.sectors(index))).toEqual([2, 2 ** 32 - 1, 1])
  expect([0, 1, 2].map((index) => view.payloadStart(index))).toEqual([0, 2, 2])
  expect([0, 1, 2].map((index) => view.mayUnmap(index))).toEqual([false, true, false])
  expect([view.uniqueLow(2), view.uniqueHigh(2)]).toEqual([2, 14])
  expect(view.dataStart(2)).toBe(100 + 4096 + 1024)
  expect(view.checkPayload()).toBe(PAYLOAD_OK)
})

test('parsing leaves the buffer as it was', () => {
  const copy = Buffer.from(FRAME)
  parse(copy)
  expect(copy.equals(FRAME)).toBe(true)
})

test('names the damaged record, and the padding', () => {
  const view = new BatchView()
  for (const [offset, expected] of [
    [4096, 0],
    [4096 + 1024, 2],
    [4096 + 1536, 3],
    [8191, 3],
  ] as const) {
    const damaged = Buffer.from(FRAME)
    damaged[offset] = (damaged[offset] as number) ^ 1
    expect(view.parse(damaged, 0, damaged.length)).toBe('ok')
    expect(view.checkPayload()).toBe(expected)
  }
})

test('a header without its payload parses, and says so', () => {
  const view = new BatchView()
  expect(view.parse(FRAME, 0, 4096)).toBe('ok')
  expect(view.isWhole).toBe(false)
  expect(() => view.checkPayload()).toThrow('whole')
  expect(view.parse(FRAME, 0, 4095)).toBe('short')
})

const ILLEGAL: readonly (readonly [string, string, (frame: Buffer) => void])[] = [
  ['magic', 'magic', (frame) => frame.writeUInt32LE(1, H.magic)],
  ['unknown version', 'version', (frame) => frame.writeUInt16LE(2, H.version)],
  ['no header block', 'blocks', (frame) => frame.writeUInt16LE(0, H.headerBlocks)],
  ['three header blocks', 'blocks', (frame) => frame.writeUInt16LE(3, H.headerBlocks)],
  ['two header blocks for three records', 'fields', (frame) => frame.writeUInt16LE(2, H.headerBlocks)],
  ['count above the limit', 'fields', (frame) => frame.writeUInt16LE(241, H.count)],
  ['count needs more header blocks', 'fields', (frame) => frame.writeUInt16LE(125, H.count)],
  ['count beyond the descriptors', 'descriptor', (frame) => frame.writeUInt16LE(4, H.count)],
  ['count below the descriptors', 'descriptor', (frame) => frame.writeUInt16LE(2, H.count)],
  ['unknown flag', 'fields', (frame) => frame.writeUInt16LE(1, H.flags)],
  ['reserved bytes', 'fields', (frame) => frame.writeUInt32LE(1, H.reserved)],
  ['payload above the limit', 'fields', (frame) => frame.writeUInt32LE(2 * 1024 * 1024 + 512, H.payloadBytes)],
  ['payload not in sectors', 'fields', (frame) => frame.writeUInt32LE(1537, H.payloadBytes)],
  ['payload longer than the records', 'descriptor', (frame) => frame.writeUInt32LE(2048, H.payloadBytes)],
  ['payload shorter than the records', 'descriptor', (frame) => frame.writeUInt32LE(1024, H.payloadBytes)],
  ['batch 0', 'fields', (frame) => frame.writeBigUInt64LE(0n, H.batchSeq)],
  ['record 0', 'fields', (frame) => frame.writeBigUInt64LE(0n, H.firstSeq)],
  ['firstSeq of 2^53', 'fields', (frame) => frame.writeBigUInt64LE(1n << 53n, H.firstSeq)],
  ['batch 2^53 - 1', 'fields', (frame) => frame.writeBigUInt64LE((1n << 53n) - 1n, H.batchSeq)],
  ['batch 2^52', 'fields', (frame) => frame.writeBigUInt64LE(1n << 52n, H.batchSeq)],
  ['firstSeq that runs over 2^52', 'fields', (frame) => frame.writeBigUInt64LE((1n << 52n) - 2n, H.firstSeq)],
  ['epoch of 2^52', 'fields', (frame) => frame.writeBigUInt64LE(1n << 52n, H.epoch)],
  ['epoch of 2^53', 'fields', (frame) => frame.writeBigUInt64LE(1n << 53n, H.epoch)],
  ['time of 2^52', 'fields', (frame) => frame.writeBigUInt64LE(1n << 52n, H.wallMs)],
  ['time of 2^63', 'fields', (frame) => frame.writeBigUInt64LE(1n << 63n, H.wallMs)],
  ['acknowledges itself', 'fields', (frame) => frame.writeBigUInt64LE(1000n, H.ackedSeq)],
  ['trims itself', 'fields', (frame) => frame.writeBigUInt64LE(1000n, H.trimSeq)],
  ['acked of 2^53', 'fields', (frame) => frame.writeBigUInt64LE(1n << 60n, H.ackedSeq)],
  ['unknown operation', 'descriptor', (frame) => frame.writeUInt8(3, RECORD_0 + D.op)],
  ['operation 0', 'descriptor', (frame) => frame.writeUInt8(0, RECORD_0 + D.op)],
  ['flag on a write', 'descriptor', (frame) => frame.writeUInt8(1, RECORD_0 + D.flags)],
  ['unknown flag on a zero', 'descriptor', (frame) => frame.writeUInt8(2, RECORD_1 + D.flags)],
  ['hash on a zero', 'descriptor', (frame) => frame.writeBigUInt64LE(1n, RECORD_1 + D.dataHash)],
  ['empty record', 'descriptor', (frame) => frame.writeUInt32LE(0, RECORD_0 + D.sectors)],
  ['write above the limit', 'descriptor', (frame) => frame.writeUInt32LE(2049, RECORD_0 + D.sectors)],
  ['overlap', 'descriptor', (frame) => frame.writeUInt32LE(1, RECORD_1 + D.payloadStart)],
  ['gap', 'descriptor', (frame) => frame.writeUInt32LE(3, RECORD_1 + D.payloadStart)],
  ['does not begin at 0', 'descriptor', (frame) => frame.writeUInt32LE(1, RECORD_0 + D.payloadStart)],
  ['ends behind sector 2^48', 'descriptor', (frame) => frame.writeUIntLE(2 ** 48 - 2, RECORD_0 + D.sector, 6)],
  ['rubbish behind the descriptors', 'padding', (frame) => frame.writeUInt8(1, 4095)],
]

test.each(ILLEGAL)('refuses: %s', (_name, problem, change) => {
  expect(parse(forge(FRAME, change))).toBe(problem)
})

test('the forging itself is neutral', () => {
  expect(parse(forge(FRAME, () => undefined))).toBe('ok')
})
