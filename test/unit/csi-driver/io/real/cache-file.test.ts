// Proves how a cache is opened and made: written full before it has its name, nothing left of an interrupted attempt,
// memory only on tmpfs, and every refusal with a remedy.
import fs from 'node:fs'
import path from 'node:path'
import { SystemAlignedMemory } from '../../../../../csi-driver/io/real/aligned-memory.ts'
import type { CacheFileOptions } from '../../../../../csi-driver/io/real/cache-file.ts'
import { growCacheFile, openCacheStorage } from '../../../../../csi-driver/io/real/cache-file.ts'
import { systemClock, systemTimers } from '../../../../../csi-driver/io/real/system-clock.ts'

// The file system of the sources: unlike the temporary directory it is rarely a tmpfs.
let flash: string
let memory: string
beforeEach(() => {
  flash = fs.mkdtempSync(path.resolve('node_modules', '.forebay-cache-'))
  memory = fs.mkdtempSync('/dev/shm/forebay-cache-')
})
afterEach(() => {
  fs.rmSync(flash, { recursive: true })
  fs.rmSync(memory, { recursive: true })
})

const open = (options: Pick<CacheFileOptions, 'path' | 'resource'> & Partial<CacheFileOptions>) =>
  openCacheStorage({ clock: systemClock, timers: systemTimers, memory: new SystemAlignedMemory(), ...options })

const closed = (storage: { close(done: (error: unknown) => void): void }): Promise<unknown> =>
  new Promise((resolve) => {
    storage.close(resolve)
  })

test('a new file on flash is allocated in full, and found again', async () => {
  const file = path.join(flash, 'cache')
  const progress: number[] = []
  const sizeBytes = (5 << 20) + 4096
  const made = await open({ path: file, resource: 'flash', sizeBytes, onProgress: (done) => progress.push(done) })
  expect(made).toMatchObject({ created: true, sparse: false })
  expect(made.storage).toMatchObject({ sizeBytes, name: file })
  expect(progress.at(-1)).toBe(sizeBytes)
  await closed(made.storage)
  const again = await open({ path: file, resource: 'flash', sizeBytes: 1 << 20 })
  expect(again).toMatchObject({ created: false, sparse: false })
  expect(again.storage.sizeBytes).toBe(sizeBytes)
  await closed(again.storage)
})

test('a file with holes is told', async () => {
  const file = path.join(flash, 'cache')
  fs.writeFileSync(file, '')
  fs.truncateSync(file, 1 << 20)
  const opened = await open({ path: file, resource: 'flash' })
  expect(opened).toMatchObject({ created: false, sparse: true })
  await closed(opened.storage)
})

test('what an interrupted attempt left is no cache and not in the way', async () => {
  const file = path.join(flash, 'cache')
  fs.writeFileSync(`${file}.creating`, 'half')
  const { storage, created } = await open({ path: file, resource: 'flash', sizeBytes: 1 << 20 })
  expect(created).toBe(true)
  expect(fs.readdirSync(flash)).toEqual(['cache'])
  await closed(storage)
})

test('memory: on tmpfs, synchronous both ways', async () => {
  const { storage } = await open({ path: path.join(memory, 'cache'), resource: 'memory', sizeBytes: 1 << 20 })
  const buffer = Buffer.alloc(4096, 'm')
  let answered = 0
  storage.write(buffer, 0, 4096, 8192, () => answered++)
  buffer.fill(0)
  storage.read(buffer, 0, 4096, 8192, () => answered++)
  expect(answered).toBe(2)
  expect(buffer.equals(Buffer.alloc(4096, 'm'))).toBe(true)
  await closed(storage)
})

test('refusals', async () => {
  const missing = { path: path.join(flash, 'none'), resource: 'flash' } as const
  await expect(open(missing)).rejects.toMatchObject({ code: 'CACHE_MISSING', kind: 'invalid' })
  await expect(open({ path: flash, resource: 'flash' })).rejects.toMatchObject({ code: 'CACHE_PATH' })
  await expect(open({ path: path.join(flash, 'no/such'), resource: 'flash', sizeBytes: 4096 })).rejects.toMatchObject({
    code: 'CACHE_PATH',
  })
  await expect(open({ ...missing, resource: 'memory', sizeBytes: 4096 })).rejects.toMatchObject({
    code: 'CACHE_NOT_IN_MEMORY',
  })
  const huge = open({ ...missing, sizeBytes: 2 ** 50 })
  await expect(huge).rejects.toMatchObject({
    code: 'CACHE_NO_ROOM',
    remedy: expect.stringContaining('--cache-size') as string,
  })
  expect(fs.readdirSync(flash)).toEqual([])
})

test('a file is made longer, keeps its content, and is never made shorter', async () => {
  const file = path.join(flash, 'store')
  const options = { path: file, resource: 'flash', clock: systemClock, timers: systemTimers } as const
  const parts = { ...options, memory: new SystemAlignedMemory() }
  fs.writeFileSync(file, Buffer.alloc(1 << 20, 'old'))
  await growCacheFile({ ...parts, sizeBytes: 4 << 20 })
  const content = fs.readFileSync(file)
  expect(content.length).toBe(4 << 20)
  expect(content.subarray(0, 1 << 20).equals(Buffer.alloc(1 << 20, 'old'))).toBe(true)
  expect(content.subarray(1 << 20).some((byte) => byte !== 0)).toBe(false)
  await growCacheFile({ ...parts, sizeBytes: 2 << 20 })
  expect(fs.statSync(file).size).toBe(4 << 20)
  await growCacheFile({ ...parts, path: path.join(flash, 'none'), sizeBytes: 2 << 20 })
  expect(fs.existsSync(path.join(flash, 'none'))).toBe(false)
  await expect(growCacheFile({ ...parts, sizeBytes: 2 ** 50 })).rejects.toMatchObject({ code: 'CACHE_NO_ROOM' })
})
