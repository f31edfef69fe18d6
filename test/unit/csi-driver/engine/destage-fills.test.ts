// Recently written blocks stay hits after they left the log, unless they were written again or the slot was lost.
import fc from 'fast-check'
import { KIB, MIB } from '../../../../base/units.ts'
import { ScratchPool } from '../../../../csi-driver/engine/cache-reader.ts'
import { DestageFills, FILLS_MAX, WRITE_BLOCKS_MAX } from '../../../../csi-driver/engine/destage-fills.ts'
import { DestageRun } from '../../../../csi-driver/engine/destage-run.ts'
import {
  ask,
  aWrite,
  CACHE_BYTES,
  contentOf,
  during,
  heapMemory,
  makeCore,
  SLOTS,
  SLOTS_START,
  submit,
  TestMachine,
} from './harness.ts'

const slotWrites = (machine: TestMachine): number =>
  machine.cache.begun.filter((line) => line.startsWith('write') && Number(line.slice(6).split('+')[0]) >= SLOTS_START)
    .length

test('whole blocks that were destaged are read from their slots', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  await ask(volume, aWrite(0, 1, 3 * 4096))
  await during(machine.time, volume.drain())
  expect(volume.status()).toMatchObject({ dirtyBytes: 0, cachedBlocks: 3 })
  expect(await contentOf(volume, 0, 3 * 4096)).toEqual(Buffer.alloc(3 * 4096, 1))
  expect(machine.backing.count('read') - machine.backing.begun.filter((line) => line === 'read 0+1048576').length).toBe(
    0,
  )
})

test('parts of blocks are not kept', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  await ask(volume, aWrite(512, 1, 4096))
  await during(machine.time, volume.drain())
  expect(volume.status().cachedBlocks).toBe(0)
  expect((await contentOf(volume, 512, 512))[0]).toBe(1)
})

test('a block that is written again while it is destaged keeps the newer data', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  await ask(volume, aWrite(0, 1))
  machine.backing.hold('flush')
  await machine.time.advance(1_000)
  expect(slotWrites(machine)).toBe(1)
  await ask(volume, aWrite(0, 2, 512))
  machine.backing.letGo()
  await machine.time.advance(50)
  expect((await contentOf(volume, 0))[0]).toBe(2)
  expect((await contentOf(volume, 512, 512))[0]).toBe(1)
  await during(machine.time, volume.drain())
  expect((await contentOf(volume, 0))[0]).toBe(2)
})

test('a slot that cannot be written costs the hit only', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  await ask(volume, aWrite(0, 1))
  machine.cache.fail('write', 1, { from: SLOTS_START })
  await during(machine.time, volume.drain())
  expect(volume.status()).toMatchObject({ cachedBlocks: 0, cacheFailure: '' })
  expect((await contentOf(volume, 0))[0]).toBe(1)
})

test('a slot that is filled after its block has settled is given back', async () => {
  const machine = new TestMachine()
  const core = await makeCore(machine)
  core.index.putDirty(5, 0xff, 64, 0)
  const snapshot = core.index.freeze(core.zeros)
  const fills = new DestageFills(core)
  const run = new DestageRun(core, new ScratchPool(heapMemory))
  Object.assign(run, { startSector: 5 * 8, firstEntry: 0, endEntry: 1 })
  fills.begin(snapshot)
  fills.offer(snapshot, run)
  machine.cache.hold('write')
  fills.send()
  fills.settle(snapshot, 0)
  expect([core.index.find(5), core.readCache.used]).toEqual([0, 1])
  machine.cache.letGo()
  expect([core.index.find(5), core.readCache.used]).toEqual([0, 0])
})

test('a generation waits for its slots before the log may be written again', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  await ask(volume, aWrite(0, 1))
  machine.cache.hold('write')
  await machine.time.advance(1_000)
  const slot = machine.cache.held.find(({ position }) => position >= SLOTS_START)
  expect(slot).toBeDefined()
  expect(volume.status().logUsedBytes).toBeGreaterThan(0)
  machine.cache.letGo()
  await machine.time.advance(1_000)
  expect(volume.status().logUsedBytes).toBeLessThanOrEqual(4096)
})

describe('slots that follow each other', () => {
  test('are written together, of several runs too', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    const blocks = WRITE_BLOCKS_MAX + 4
    for (let i = 0; i < blocks; i += 1) submit(volume, aWrite(i * 2 * 4096, i))
    await during(machine.time, volume.drain())
    expect(slotWrites(machine)).toBe(2)
    expect(volume.status().cachedBlocks).toBe(blocks)
    machine.backing.bytes.fill(0xdd)
    for (let i = 0; i < blocks; i += 1) expect((await contentOf(volume, i * 2 * 4096))[0]).toBe(i)
  })

  test('are lost together where they cannot be written, and no others', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    const blocks = WRITE_BLOCKS_MAX + 4
    machine.cache.fail('write', 1, { from: SLOTS_START })
    for (let i = 0; i < blocks; i += 1) submit(volume, aWrite(i * 4096, i))
    await during(machine.time, volume.drain())
    expect(volume.status().cachedBlocks).toBe(blocks - WRITE_BLOCKS_MAX)
    for (let i = 0; i < blocks; i += 1) expect((await contentOf(volume, i * 4096))[0]).toBe(i)
  })

  test('are filled before the last flush, so that what it settles is kept', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.cache.hold('write')
    const flushes = machine.backing.count('flush')
    const drained = volume.drain()
    await machine.time.advance(50)
    expect(machine.backing.count('flush')).toBe(flushes)
    machine.cache.letGo()
    await during(machine.time, drained)
    expect(volume.status().cachedBlocks).toBe(1)
  })
})

test('a copy stays until its slot is written; what finds no place is not kept', async () => {
  const cacheBytes = CACHE_BYTES + MIB
  const machine = new TestMachine({ cacheBytes })
  const core = await makeCore(machine, { cacheBytes })
  const blocks = 3 * FILLS_MAX
  for (let i = 0; i < blocks; i += 1) core.index.putDirty(i, 0xff, 64, 0)
  const snapshot = core.index.freeze(core.zeros)
  const fills = new DestageFills(core)
  const run = new DestageRun(core, new ScratchPool(heapMemory))
  const offer = (first: number, count: number): void => {
    Object.assign(run, { startSector: first * 8, firstEntry: first, endEntry: first + count })
    run.buffer.fill(first)
    fills.offer(snapshot, run)
  }
  fills.begin(snapshot)
  machine.cache.hold('write')
  for (let first = 0; first < blocks; first += 32) offer(first, 32)
  expect(machine.cache.held.map(({ length }) => length / 4096)).toEqual(
    Array.from({ length: FILLS_MAX / WRITE_BLOCKS_MAX }, () => WRITE_BLOCKS_MAX),
  )
  machine.cache.held[1]?.complete()
  offer(FILLS_MAX, 32)
  expect(core.readCache.used).toBe(FILLS_MAX)
  machine.cache.held[0]?.complete()
  offer(FILLS_MAX, 32)
  expect(core.readCache.used).toBe(FILLS_MAX + 32)
  machine.cache.letGo()
  await fills.quiesce()
  expect(core.readCache.used).toBe(FILLS_MAX + 32)
  for (let slot = 0; slot < core.readCache.used; slot += 1) {
    expect(machine.cache.bytes[core.slotSector(slot) * 512]).toBe(
      Math.floor((core.readCache.blockOf(slot) >> 5) * 32) & 0xff,
    )
  }
})

test('property: whatever is written and destaged in whatever order, every hit is what was written', async () => {
  const step = fc.array(fc.tuple(fc.nat(3 * SLOTS - 1), fc.integer({ min: 1, max: 12 })), {
    minLength: 1,
    maxLength: 12,
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const machine = new TestMachine()
      const volume = await machine.open()
      const expected = new Map<number, number>()
      let fill = 0
      for (const writes of steps) {
        for (const [first, count] of writes) {
          const blocks = Math.min(count, MIB / 4 / KIB - first)
          fill = (fill % 255) + 1
          submit(volume, aWrite(first * 4096, fill, blocks * 4096))
          for (let block = first; block < first + blocks; block += 1) expected.set(block, fill)
        }
        await during(machine.time, volume.drain())
        for (const [block, byte] of expected) {
          if ((await contentOf(volume, block * 4096)).some((found) => found !== byte)) return false
        }
      }
      return volume.status().counters.cleanMismatches === 0
    }),
    { numRuns: 40 },
  )
})

test('more blocks than slots leave every block readable', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  for (let i = 0; i < 3 * SLOTS; i += 1) {
    submit(volume, aWrite(i * 4096, i & 0xff))
    if (i % 16 === 0) await machine.time.advance(1_000)
  }
  await machine.time.advance(5_000)
  for (let i = 0; i < 3 * SLOTS; i += 1) expect((await contentOf(volume, i * 4096, 512))[0]).toBe(i & 0xff)
  expect(volume.status().cachedBlocks).toBeLessThanOrEqual(SLOTS)
})
