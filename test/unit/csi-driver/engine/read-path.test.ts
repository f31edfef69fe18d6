// Reads: the newest committed bytes from wherever they are, in any mixture; verified, and never from a place that was
// reused meanwhile.
import { KIB } from '../../../../base/units.ts'
import { MANY_MISSES } from '../../../../csi-driver/engine/read-path.ts'
import {
  aRead,
  ask,
  aWrite,
  aZero,
  contentOf,
  during,
  LOG_BYTES,
  settle,
  SLOTS,
  SLOTS_START,
  submit,
  TestMachine,
} from './harness.ts'

const LOG_START = 32 * KIB

async function open(options = {}) {
  const machine = new TestMachine(options)
  for (let i = 0; i < machine.backing.sizeBytes; i += 512) machine.backing.bytes.fill((i / 512) & 0xff, i, i + 512)
  const volume = await machine.open()
  return { machine, volume }
}

describe('sources', () => {
  test('a miss fills the cache, the next read is a hit', async () => {
    const { machine, volume } = await open()
    await contentOf(volume, 0, 8192)
    const reads = machine.backing.count('read')
    expect(await contentOf(volume, 0, 8192)).toEqual(machine.backing.bytes.subarray(0, 8192))
    expect(await contentOf(volume, 1024, 512)).toEqual(machine.backing.bytes.subarray(1024, 1536))
    expect(machine.backing.count('read')).toBe(reads)
    expect(volume.status()).toMatchObject({ cachedBlocks: 2 })
    expect(volume.status().counters).toMatchObject({ readHits: 2, readMisses: 1, readBytes: 8192 + 8192 + 512 })
  })

  test('a small miss reads and caches its whole block', async () => {
    const { machine, volume } = await open()
    expect(await contentOf(volume, 4608, 1024)).toEqual(machine.backing.bytes.subarray(4608, 5632))
    expect(machine.backing.begun.at(-1)).toBe('read 4096+4096')
    expect(volume.status().cachedBlocks).toBe(1)
  })

  test('log, slot, zeroes and backing in one request', async () => {
    const { machine, volume } = await open()
    await contentOf(volume, 4096, 4096)
    const expected = Buffer.from(machine.backing.bytes.subarray(0, 16 * KIB))
    await ask(volume, aWrite(4096 + 1024, 0xa1, 1024))
    await ask(volume, aWrite(512, 0xa2, 512))
    await ask(volume, aZero(8192 + 512, 3072))
    await ask(volume, aWrite(8192 + 1024, 0xa3, 512))
    expected.fill(0xa1, 5120, 6144).fill(0xa2, 512, 1024).fill(0, 8704, 11776).fill(0xa3, 9216, 9728)
    expect(await contentOf(volume, 0, 16 * KIB)).toEqual(expected)
    for (let offset = 0; offset < 16 * KIB; offset += 512) {
      expect(await contentOf(volume, offset, 512)).toEqual(expected.subarray(offset, offset + 512))
    }
    await during(machine.time, volume.drain())
    expect(await contentOf(volume, 0, 16 * KIB)).toEqual(expected)
    expect(machine.backing.bytes.subarray(0, 16 * KIB)).toEqual(expected)
  })

  test('a device of 4096-byte sectors is read in its units', async () => {
    const { machine, volume } = await open({ cacheAlignment: 4096 })
    await ask(volume, aWrite(512, 0xa2, 512))
    await ask(volume, aWrite(1024, 0xa3, 1536))
    await contentOf(volume, 8192, 4096)
    expect(await contentOf(volume, 8704, 512)).toEqual(machine.backing.bytes.subarray(8704, 9216))
    expect(await contentOf(volume, 512, 1024)).toEqual(
      Buffer.concat([Buffer.alloc(512, 0xa2), Buffer.alloc(512, 0xa3)]),
    )
  })

  test('the end of a volume that is no multiple of 4096', async () => {
    const { machine, volume } = await open({ backingBytes: 1024 * KIB - 1536 })
    expect(volume.sizeBytes).toBe(1024 * KIB - 1536)
    const start = 1020 * KIB
    expect(await contentOf(volume, start, 2560)).toEqual(machine.backing.bytes.subarray(start))
    expect(await contentOf(volume, start + 512, 512)).toEqual(machine.backing.bytes.subarray(start + 512, start + 1024))
    await ask(volume, aWrite(start + 2048, 0xbb, 512))
    await ask(volume, aZero(start + 1536, 512))
    await during(machine.time, volume.drain())
    expect(machine.backing.bytes.subarray(start + 1536)).toEqual(
      Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 0xbb)]),
    )
  })

  test('a large range with a hole in every second sector', async () => {
    const { machine, volume } = await open()
    for (let sector = 0; sector < 256; sector += 2) await ask(volume, aWrite(sector * 512, 0xcc, 512))
    machine.backing.hold('read')
    const read = aRead(0, 128 * KIB)
    submit(volume, read)
    expect(machine.backing.held.length).toBeLessThanOrEqual(32)
    machine.backing.letGo()
    await settle()
    expect(read.result).toBe(0)
    for (let sector = 0; sector < 256; sector += 1) {
      expect(read.bytes[sector * 512]).toBe(sector % 2 === 0 ? 0xcc : sector & 0xff)
    }
  })

  test('very many reads of chopped ranges at once ask the backing for a bounded number of pieces', async () => {
    const { machine, volume } = await open()
    // In few batches, so that the log holds all of them.
    machine.cache.hold('write')
    const written = Array.from({ length: 64 }, (_, i) => ask(volume, aWrite(2 * i * 512, 0xcc, 512)))
    machine.cache.letGo()
    await Promise.all(written)
    machine.backing.hold('read')
    const reads = Array.from({ length: 128 }, () => aRead(0, 64 * KIB))
    for (const read of reads) submit(volume, read)
    expect(machine.backing.held.length).toBeGreaterThanOrEqual(MANY_MISSES)
    expect(machine.backing.held.length).toBeLessThanOrEqual(MANY_MISSES + reads.length + 32)
    machine.backing.letGo()
    await settle()
    for (const read of reads) expect([read.result, read.bytes[0], read.bytes[512]]).toEqual([0, 0xcc, 1])
  })

  test('a sequential stream does not fill the cache', async () => {
    const { machine, volume } = await open({ backingBytes: 16 * 1024 * KIB })
    for (let i = 0; i < 48; i += 1) await contentOf(volume, i * 128 * KIB, 128 * KIB)
    expect(volume.status().cachedBlocks).toBe(SLOTS)
    machine.backing.begun.length = 0
    await contentOf(volume, 48 * 128 * KIB, 128 * KIB)
    expect(await contentOf(volume, 0, 512)).toEqual(machine.backing.bytes.subarray(0, 512))
  })
})

describe('errors', () => {
  test('of the backing are the user’s, and are not remembered', async () => {
    const { machine, volume } = await open()
    machine.backing.fail('read', 1)
    expect((await ask(volume, aRead(0))).result).toBe(5)
    expect((await ask(volume, aRead(0))).result).toBe(0)
  })

  test('the rest of a chopped range is not read after the first error', async () => {
    const { machine, volume } = await open()
    for (let sector = 0; sector < 256; sector += 2) await ask(volume, aWrite(sector * 512, 0xcc, 512))
    machine.backing.begun.length = 0
    machine.backing.fail('read', Infinity)
    expect((await ask(volume, aRead(0, 128 * KIB))).result).toBe(5)
    expect(machine.backing.count('read')).toBeLessThan(40)
  })

  test('a clean block that is not what was stored is forgotten and read from the backing', async () => {
    const { machine, volume } = await open()
    await contentOf(volume, 0)
    machine.cache.bytes[SLOTS_START + 100] = 0xff ^ (machine.cache.bytes[SLOTS_START + 100] as number)
    expect(await contentOf(volume, 0)).toEqual(machine.backing.bytes.subarray(0, 4096))
    expect(volume.status().counters.cleanMismatches).toBe(1)
  })

  test('a cache that cannot be read any more costs hits, not answers', async () => {
    const { machine, volume } = await open()
    await contentOf(volume, 0, 128 * KIB)
    machine.cache.fail('read', Infinity, { from: SLOTS_START })
    expect(await contentOf(volume, 0, 128 * KIB)).toEqual(machine.backing.bytes.subarray(0, 128 * KIB))
  })

  test('dirty data is tried again, and an error says that it cannot be had', async () => {
    const { machine, volume } = await open()
    await ask(volume, aWrite(0, 0xaa))
    machine.cache.fail('read', 3, { from: LOG_START, to: LOG_START + LOG_BYTES })
    const read = aRead(0)
    submit(volume, read)
    await machine.time.advance(5_000)
    expect(read.result).toBe(0)
    expect(read.bytes).toEqual(Buffer.alloc(4096, 0xaa))
  })
})

describe('a place that is reused while it is read', () => {
  test('log space that was trimmed and written again is read again', async () => {
    const { machine, volume } = await open()
    await ask(volume, aWrite(0, 0xaa))
    machine.cache.hold('read')
    const read = aRead(0)
    submit(volume, read)
    // Everything is destaged and the log goes round, while the read still waits.
    const slow = machine.cache.held[0]
    machine.cache.held.length = 0
    machine.cache.letGo()
    for (let i = 0; i < 3 * (LOG_BYTES / (64 * KIB)); i += 1) {
      await ask(volume, aWrite(512 * KIB + (i % 4) * 64 * KIB, i, 64 * KIB))
      await machine.time.advance(1_000)
    }
    slow?.complete()
    await settle()
    expect(read.result).toBe(0)
    expect(read.bytes).toEqual(Buffer.alloc(4096, 0xaa))
  })

  test('a slot that another block took is not believed', async () => {
    const { machine, volume } = await open()
    await contentOf(volume, 0)
    machine.cache.hold('read')
    const read = aRead(0)
    submit(volume, read)
    const slow = machine.cache.held[0]
    machine.cache.held.length = 0
    machine.cache.letGo()
    for (let round = 0; round < 2; round += 1) {
      for (let block = 1; block < 3 * SLOTS; block += 1) await contentOf(volume, block * 4096)
    }
    slow?.complete()
    await settle()
    expect(read.bytes).toEqual(machine.backing.bytes.subarray(0, 4096))
  })
})
