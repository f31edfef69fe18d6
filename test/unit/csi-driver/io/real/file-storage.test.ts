// Proves transfers on a real file: what is written reads back whichever way the calls go, reads of one turn go together,
// errors and bounds are reported, short ends are EIO, and the descriptor is closed after the last transfer.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { IoError } from '../../../../../base/errors.ts'
import { SystemAlignedMemory } from '../../../../../csi-driver/io/real/aligned-memory.ts'
import type { FileStorageOptions } from '../../../../../csi-driver/io/real/file-storage.ts'
import { FileStorage } from '../../../../../csi-driver/io/real/file-storage.ts'
import { systemTimers } from '../../../../../csi-driver/io/real/system-clock.ts'

let directory: string
let storage: FileStorage
let nowMs = 0
let stepMs = 0.1
const buffer = new SystemAlignedMemory().allocate(1 << 20)

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-storage-'))
  fs.writeFileSync(path.join(directory, 'file'), Buffer.alloc(1 << 20))
  nowMs = 0
  stepMs = 0.1
})
afterEach(async () => {
  await new Promise((resolve) => {
    storage.close(resolve)
  })
  fs.rmSync(directory, { recursive: true })
})

function open(options: Partial<FileStorageOptions> = {}): FileStorage {
  const fd = fs.openSync(path.join(directory, 'file'), 'r+')
  const clock = { monotonicMs: () => (nowMs += stepMs), bootMs: () => 0, wallMs: () => 0 }
  const fixed = { fd, name: 'file', sizeBytes: 1 << 20, alignmentBytes: 512, timers: systemTimers, clock }
  storage = new FileStorage({ ...fixed, sync: 'fast', ...options })
  return storage
}

const read = (start: number, length: number, position: number): Promise<IoError | null> =>
  new Promise((resolve) => {
    storage.read(buffer, start, length, position, resolve)
  })
const write = (start: number, length: number, position: number): Promise<IoError | null> =>
  new Promise((resolve) => {
    storage.write(buffer, start, length, position, resolve)
  })

test.each(['always', 'fast', 'never'] as const)('sync %s: what is written reads back', async (sync) => {
  open({ sync })
  buffer.fill('a', 0, 4096)
  expect(await write(0, 4096, 8192)).toBeNull()
  expect(await read(65_536, 8192, 4096)).toBeNull()
  expect(buffer.subarray(65_536, 65_536 + 4096).equals(Buffer.alloc(4096))).toBe(true)
  expect(buffer.toString('latin1', 65_536 + 4096, 65_536 + 8192)).toBe('a'.repeat(4096))
  expect(await new Promise((resolve) => storage.flush(resolve))).toBeNull()
})

test('memory: both ways before the call returns', () => {
  open({ sync: 'always' })
  let done = 0
  storage.write(buffer, 0, 1 << 20, 0, () => done++)
  storage.read(buffer, 0, 1 << 20, 0, () => done++)
  expect(done).toBe(2)
})

test('a lone read is waited for, several of one turn go to the pool together', async () => {
  open()
  await read(0, 4096, 0)
  expect(storage.counters).toMatchObject({ syncReads: 1, poolReads: 0 })
  await Promise.all([read(0, 4096, 0), read(4096, 4096, 4096), read(8192, 4096, 8192)])
  expect(storage.counters).toMatchObject({ syncReads: 1, poolReads: 3 })
  await read(0, 128 << 10, 0)
  expect(storage.counters).toMatchObject({ syncReads: 1, poolReads: 4 })
})

test('writes of a slow device and long writes go to the pool', async () => {
  open()
  let before = false
  storage.write(buffer, 0, 4096, 0, () => {
    before = true
  })
  expect(before).toBe(true)
  await write(0, 512 << 10, 0)
  expect(storage.counters).toMatchObject({ syncWrites: 1, poolWrites: 1 })
  stepMs = 30
  await write(0, 4096, 0)
  await write(0, 4096, 0)
  expect(storage.counters).toMatchObject({ syncWrites: 2, poolWrites: 2 })
})

test('out of bounds, unaligned and empty transfers are EINVAL', async () => {
  open()
  for (const [length, position] of [
    [512, 1 << 20],
    [4096, (1 << 20) - 512],
    [100, 0],
    [512, 10],
    [0, 0],
    [512, -512],
  ] as const) {
    expect((await read(0, length, position))?.code).toBe('EINVAL')
    expect((await write(0, length, position))?.code).toBe('EINVAL')
  }
})

test.each(['always', 'never'] as const)('sync %s: a file that ends early is EIO', async (sync) => {
  open({ sync })
  fs.truncateSync(path.join(directory, 'file'), 4096)
  expect((await read(0, 8192, 0))?.code).toBe('EIO')
  expect((await read(0, 8192, 8192))?.code).toBe('EIO')
  expect(await read(0, 4096, 0)).toBeNull()
})

test.each(['always', 'never'] as const)('sync %s: an errno comes through', async (sync) => {
  open({ sync, fd: fs.openSync(path.join(directory, 'file'), 'r') })
  expect((await write(0, 4096, 0))?.code).toBe('EBADF')
})

test('close waits for transfers in flight', async () => {
  open({ sync: 'never' })
  const order: string[] = []
  await new Promise<void>((resolve) => {
    storage.read(buffer, 0, 1 << 20, 0, () => order.push('read'))
    storage.close(() => {
      order.push('closed')
      resolve()
    })
  })
  expect(order).toEqual(['read', 'closed'])
  open()
})
