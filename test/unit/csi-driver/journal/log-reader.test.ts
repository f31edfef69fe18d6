// Proves: the window shows the right bytes wherever it is asked for, forward and back, and reads each byte once while
// the position moves forward.
import { createPrng } from '../../../../base/prng.ts'
import { LogReader } from '../../../../csi-driver/journal/log-reader.ts'
import { heapMemory, MemoryStorage } from './memory-storage.ts'

const START = 32_768
const LOG_BYTES = 16 * 1024 * 1024
const GEOMETRY = { logStart: START, logBytes: LOG_BYTES, cacheBytes: START + LOG_BYTES, frameBytesMax: 2 * 1024 * 1024 }

function storage(): MemoryStorage {
  const medium = new MemoryStorage(START + LOG_BYTES)
  for (let at = 0; at < medium.bytes.length; at += 4096) medium.bytes.writeUInt32LE(at, at)
  return medium
}

async function at(reader: LogReader, position: number, length: number): Promise<number> {
  if (reader.offsetOf(position, length) < 0) await reader.load(position, length)
  return reader.buffer.readUInt32LE(reader.offsetOf(position, length))
}

test('shows the right bytes in any order', async () => {
  const reader = new LogReader(storage(), heapMemory, GEOMETRY)
  const prng = createPrng('reader')
  for (let round = 0; round < 200; round++) {
    const position = START + prng.below(LOG_BYTES / 4096) * 4096
    const length = Math.min(4096 * (1 + prng.below(512)), START + LOG_BYTES - position)
    expect(await at(reader, position, length)).toBe(position)
    expect(reader.heldFrom(position)).toBeGreaterThanOrEqual(length)
  }
})

test('reads each byte once when it only goes forward', async () => {
  const medium = storage()
  const reader = new LogReader(medium, heapMemory, GEOMETRY)
  for (let position = START; position < START + LOG_BYTES; position += 1024 * 1024) {
    await at(reader, position, 8192)
    await at(reader, position, 1024 * 1024)
  }
  expect(medium.readBytes).toBe(LOG_BYTES)
})

test('a failed read leaves nothing that looks read', async () => {
  const medium = storage()
  const reader = new LogReader(medium, heapMemory, GEOMETRY)
  await reader.load(START, 4096)
  medium.failReads = true
  await expect(reader.load(START + 8 * 1024 * 1024, 4096)).rejects.toMatchObject({ code: 'EIO' })
  expect(reader.offsetOf(START, 4096)).toBe(-1)
})
