// Proves: a builder copies, keeps its limits, moves its header when the 125th record comes, leaves no byte of an earlier
// batch behind, and its frame is what BatchView reads.
import { xxhash64Low32 } from '../../../../base/xxhash64.ts'
import { BatchBuilder } from '../../../../csi-driver/batch/batch-builder.ts'
import { PAYLOAD_OFFSET } from '../../../../csi-driver/batch/batch-format.ts'
import { BatchView, PAYLOAD_OK } from '../../../../csi-driver/batch/batch-view.ts'
import { build, frameOf, heapMemory, SEAL } from './batch-kit.ts'

const MIB = 1024 * 1024
const unique = { uniqueLow: 0, uniqueHigh: 0 }

function write(length: number, start = 0) {
  return { sector: 1, buffer: Buffer.alloc(start + length, 5), start, length, ...unique }
}

test('copies: what the caller does to its buffer afterwards does not matter', () => {
  const builder = new BatchBuilder(heapMemory)
  const record = write(1024, 100)
  expect(builder.addWrite(record)).toBe(0)
  expect(builder.addWrite(record)).toBe(1024)
  record.buffer.fill(9)
  builder.seal(SEAL)
  const view = new BatchView()
  expect(view.parse(builder.buffer, builder.frameStart, builder.frameBytes)).toBe('ok')
  expect(view.checkPayload()).toBe(PAYLOAD_OK)
  expect(view.buffer[view.dataStart(1)]).toBe(5)
})

test('limits', () => {
  const builder = new BatchBuilder(heapMemory)
  expect(() => builder.addWrite(write(MIB + 512))).toThrow('length=')
  expect(() => builder.addWrite(write(100))).toThrow('length=')
  expect(() => builder.addWrite({ ...write(1024), buffer: Buffer.alloc(1000) })).toThrow('inside its buffer')
  expect(() => builder.addZero({ sector: 2 ** 48 - 1, sectors: 1, mayUnmap: false, ...unique })).toThrow('2^48')
  expect(() => builder.addZero({ sector: 0, sectors: 0, mayUnmap: false, ...unique })).toThrow('legal')
  expect(builder.count).toBe(0)
  builder.addWrite(write(MIB))
  builder.addWrite(write(MIB))
  expect(builder.hasRoom(512)).toBe(false)
  expect(builder.hasRoom(0)).toBe(true)
  expect(() => builder.addWrite(write(512))).toThrow('room')
  for (let count = 2; count < 240; count++) builder.addZero({ sector: 0, sectors: 1, mayUnmap: true, ...unique })
  expect(builder.hasRoom(0)).toBe(false)
  expect(builder.frameBytes).toBe(8192 + 2 * MIB)
  expect(builder.frameStart).toBe(0)
  builder.seal(SEAL)
  expect(() => builder.seal(SEAL)).toThrow('open')
  expect(() => builder.addZero({ sector: 0, sectors: 1, mayUnmap: true, ...unique })).toThrow('open')
})

test.each([0, 1, 123, 124, 125, 126, 240])('%i records: the frame is contiguous in front of the payload', (count) => {
  const data = Buffer.alloc(512, 3)
  const builder = build(Array.from({ length: count }, (_, index) => ({ sector: index * 5, data })))
  expect(builder.frameStart).toBe(count <= 124 ? 4096 : 0)
  expect(builder.frameStart + builder.frameBytes - builder.paddedPayloadBytes).toBe(PAYLOAD_OFFSET)
  const view = new BatchView()
  const frame = frameOf(builder)
  expect(view.parse(frame, 0, frame.length)).toBe('ok')
  expect(view.count).toBe(count)
  expect(view.checkPayload()).toBe(PAYLOAD_OK)
  for (let index = 0; index < count; index++) {
    expect(view.sector(index)).toBe(index * 5)
    expect(builder.dataHashLow(index)).toBe(xxhash64Low32(data, 0, data.length))
    expect(view.dataHashLow(index)).toBe(builder.dataHashLow(index))
  }
})

test('a builder used before gives the same bytes as a new one', () => {
  const used = build(Array.from({ length: 240 }, () => ({ sector: 2 ** 40, data: Buffer.alloc(8192, 0xff) })))
  const entries = [
    { sector: 8, data: Buffer.alloc(512, 1) },
    { sector: 9, data: 77 },
  ]
  expect(frameOf(build(entries, {}, used)).equals(frameOf(build(entries)))).toBe(true)
})

test('refuses to acknowledge its own records', () => {
  const builder = new BatchBuilder(heapMemory)
  expect(() => builder.seal({ ...SEAL, ackedSeq: SEAL.firstSeq })).toThrow('past')
})
