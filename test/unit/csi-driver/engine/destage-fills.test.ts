// Recently written blocks stay hits after they left the log, unless they were written again or the slot was lost.
import { ask, aWrite, contentOf, during, SLOTS, SLOTS_START, submit, TestMachine } from './harness.ts'

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

test('a slot that cannot be written, or comes too late, costs the hit only', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  await ask(volume, aWrite(0, 1))
  machine.cache.fail('write', 1, { from: SLOTS_START })
  await during(machine.time, volume.drain())
  expect(volume.status()).toMatchObject({ cachedBlocks: 0, cacheFailure: '' })
  expect((await contentOf(volume, 0))[0]).toBe(1)
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
