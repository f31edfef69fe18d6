// A generation brings everything dirty to the backing in one flush, and nothing is trimmed that is not there.
import { IoError } from '../../../../base/errors.ts'
import { KIB, MIB } from '../../../../base/units.ts'
import { WRITE_BLOCKS_MAX } from '../../../../csi-driver/engine/destage-fills.ts'
import { CONCURRENCY_MAX } from '../../../../csi-driver/engine/destage-rate.ts'
import {
  ask,
  aWrite,
  aZero,
  CACHE_BYTES,
  contentOf,
  during,
  LOG_BYTES,
  settle,
  submit,
  TestMachine,
} from './harness.ts'

const LOG_START = 32 * KIB

describe('unreadable dirty data', () => {
  test('blocks the volume and trims nothing, also when the cache answers at once', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.cache.fail('read', Infinity, { from: LOG_START })
    await during(
      machine.time,
      volume.drain().catch((error: unknown) => error),
    )
    await settle()
    expect(volume.status()).toMatchObject({ phase: 'Blocked', dirtyBytes: 4096 })
    const write = await ask(volume, aWrite(8192, 0x22))
    expect(write.result).toBeNull()
    // The next owner finds it, once the device can be read again.
    machine.crash()
    const next = await machine.open()
    expect(await contentOf(next, 0)).toEqual(Buffer.alloc(4096, 0x11))
  })

  test('what else could be read is on the backing', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    await ask(volume, aWrite(64 * KIB, 0x22))
    // The second write's frame: header and data behind the first's.
    machine.cache.fail('read', Infinity, { from: LOG_START + 8 * KIB, to: LOG_START + 16 * KIB })
    await during(
      machine.time,
      volume.drain().catch((error: unknown) => error),
    )
    expect(machine.backing.bytes[0]).toBe(0x11)
  })

  test('when it can be read again the volume goes on by itself', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.cache.fail('read', Infinity, { from: LOG_START })
    await during(
      machine.time,
      volume.drain().catch((error: unknown) => error),
    )
    const write = await ask(volume, aWrite(8192, 0x22))
    machine.cache.heal()
    await machine.time.advance(30_000)
    expect(volume.status()).toMatchObject({ phase: 'WriteBack', reason: '' })
    expect(write.result).toBe(0)
  })
})

describe('a flush beside the runs', () => {
  const RUNS = 60
  /** As many as a flush covers where the dirty limit is small. */
  const COVERED = (64 * KIB) / 4096

  /** Every second block is dirty, some of them, from the given run on, are on the backing, and a flush has begun. */
  async function flushing({ firstBytes = 4096, from = 0 } = {}) {
    const machine = new TestMachine({ cacheBytes: 4 * CACHE_BYTES })
    const volume = await machine.open({ cacheBytes: 4 * CACHE_BYTES, logBytes: 4 * LOG_BYTES, dirtyLimitBytes: MIB })
    machine.backing.hold('write', 'flush')
    for (let i = 0; i < RUNS; i += 1) submit(volume, aWrite(i * 8192, i, i === 0 ? firstBytes : 4096))
    const drained = volume.drain()
    await settle()
    expect(machine.backing.held).toHaveLength(CONCURRENCY_MAX)
    for (const held of machine.backing.held.slice(from, from + COVERED)) held.complete()
    await settle()
    const flush = machine.backing.held.find(({ kind }) => kind === 'flush')
    if (flush === undefined) throw new Error('no flush has begun')
    return { machine, volume, drained, flush }
  }

  function completeWrites({ backing }: TestMachine): void {
    for (const held of backing.held.filter(({ kind }) => kind === 'write')) held.complete()
  }

  test('begins when the slots of what it settles are on their way, however few', async () => {
    // The part of a block gets no slot.
    const { machine, drained } = await flushing({ firstBytes: 512, from: CONCURRENCY_MAX - COVERED })
    const slots = machine.cache.begun.filter(
      (line) => line.startsWith('write') && Number(line.slice(6).split('+')[0]) >= LOG_START + 4 * LOG_BYTES,
    )
    const blocks = slots.map((line) => Number(line.split('+')[1]) / 4096)
    expect(blocks).toEqual([WRITE_BLOCKS_MAX, CONCURRENCY_MAX - 1 - WRITE_BLOCKS_MAX, COVERED])
    machine.backing.letGo()
    await during(machine.time, drained)
  })

  test('stops none of them, and settles what had ended before it', async () => {
    const { machine, volume, drained, flush } = await flushing()
    completeWrites(machine)
    await settle()
    completeWrites(machine)
    await settle()
    expect(machine.backing.count('write')).toBe(RUNS)
    expect(volume.status().dirtyBytes).toBe(RUNS * 4096)
    flush.complete()
    await settle()
    expect(volume.status()).toMatchObject({ dirtyBytes: (RUNS - COVERED) * 4096, counters: { generations: 0 } })
    machine.backing.letGo()
    await during(machine.time, drained)
  })

  test('that fails makes all doubtful that was written, also meanwhile', async () => {
    const { machine, volume, drained, flush } = await flushing()
    completeWrites(machine)
    await settle()
    const writes = machine.backing.count('write')
    const doubtful = writes - machine.backing.held.filter(({ kind }) => kind === 'write').length
    flush.complete(new IoError('EIO', 'flush failed'))
    await settle()
    expect(volume.status().dirtyBytes).toBe(RUNS * 4096)
    machine.backing.letGo()
    await during(machine.time, drained)
    expect(machine.backing.count('write')).toBeGreaterThanOrEqual(RUNS + doubtful)
    for (let i = 0; i < RUNS; i += 1) expect(machine.backing.bytes[i * 8192]).toBe(i)
  })
})

describe('failing backing', () => {
  test('a failed write is tried again until it succeeds', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.backing.fail('write', 3)
    await during(machine.time, volume.drain())
    expect(machine.backing.bytes[0]).toBe(0x11)
  })

  test('after a failed flush everything since the last good one is written again', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aZero(64 * KIB, 8192))
    await ask(volume, aWrite(64 * KIB, 0x22))
    await ask(volume, aWrite(512, 0x11, 512))
    await ask(volume, aWrite(2048, 0x12, 512))
    machine.backing.fail('flush', 1)
    await during(machine.time, volume.drain())
    expect(machine.backing.begun.filter((line) => line === 'write 512+512').length).toBeGreaterThan(1)
    expect(machine.backing.begun.filter((line) => line === 'write 2048+512').length).toBeGreaterThan(1)
    expect(machine.backing.count('zero')).toBe(2)
    expect(machine.backing.bytes[64 * KIB]).toBe(0x22)
    expect(volume.status()).toMatchObject({ dirtyBytes: 0, dirtyZeroedBytes: 0, logUsedBytes: 0 })
  })

  test('flush after flush that fails makes the same few writes again, also of blocks with holes', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    for (const sector of [0, 2, 4, 6]) await ask(volume, aWrite(sector * 512, 0x11 + sector, 512))
    machine.backing.fail('flush', 5)
    await during(machine.time, volume.drain())
    expect(machine.backing.count('write')).toBe(4 * 6)
    expect(volume.status()).toMatchObject({ dirtyBytes: 0, logUsedBytes: 0 })
  })

  test('a full backing keeps data dirty and says so', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.backing.fail('write', Infinity, { code: 'ENOSPC' })
    const drained = volume.drain()
    await machine.time.advance(20_000)
    expect(volume.status()).toMatchObject({ dirtyBytes: 4096, backingFull: true })
    machine.backing.heal()
    await during(machine.time, drained)
    expect(volume.status()).toMatchObject({ dirtyBytes: 0, backingFull: false })
  })

  test('a failed zero is tried again', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    machine.backing.bytes.fill(0x55, 0, 4096)
    await ask(volume, aZero(0))
    machine.backing.fail('zero', 2)
    await during(machine.time, volume.drain())
    expect(machine.backing.bytes.subarray(0, 4096)).toEqual(Buffer.alloc(4096))
  })
})

describe('data written again while a generation is under way', () => {
  test('stays dirty, although the older version reaches the backing', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.backing.hold('write')
    // An idle backing begins a generation.
    await machine.time.advance(1_000)
    expect(machine.backing.held).toHaveLength(1)
    expect((await ask(volume, aWrite(0, 0x22))).result).toBe(0)
    machine.backing.letGo()
    expect(machine.backing.bytes[0]).toBe(0x11)
    expect(await contentOf(volume, 0)).toEqual(Buffer.alloc(4096, 0x22))
    await during(machine.time, volume.drain())
    expect(machine.backing.bytes[0]).toBe(0x22)
  })

  test('a zero over it wins, and a write over the zero wins again', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11, 8192))
    machine.backing.hold('write')
    await machine.time.advance(1_000)
    expect(machine.backing.held).toHaveLength(1)
    submit(volume, aZero(0, 8192), aWrite(4096, 0x33, 512))
    machine.backing.letGo()
    await settle()
    expect(await contentOf(volume, 0)).toEqual(Buffer.alloc(4096))
    await during(machine.time, volume.drain())
    expect(machine.backing.bytes.subarray(0, 4096)).toEqual(Buffer.alloc(4096))
    expect(machine.backing.bytes.subarray(4096, 4608)).toEqual(Buffer.alloc(512, 0x33))
    expect(machine.backing.bytes.subarray(4608, 8192)).toEqual(Buffer.alloc(3584))
  })
})
