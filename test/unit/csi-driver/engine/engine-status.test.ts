// What a volume tells about itself, as values.
import { ask, aRead, aWrite, aZero, during, LOG_BYTES, SLOTS, TestMachine } from './harness.ts'

test('a healthy volume', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  expect(volume.status()).toMatchObject({
    phase: 'WriteBack',
    epoch: 1,
    run: 1,
    writePolicy: 'write-back',
    effectiveWritePolicy: 'write-back',
    reason: '',
    dirtyBytes: 0,
    dirtyZeroedBytes: 0,
    oldestDirtyMs: 0,
    logUsedBytes: 0,
    cachedBlocks: 0,
    cacheSlots: SLOTS,
    parkedRequests: 0,
    backingFailingSinceMs: null,
    backingError: '',
    backingFull: false,
    cacheFailure: '',
    registerError: '',
  })
  expect(volume.status().logBytes).toBeLessThan(LOG_BYTES)
})

test('dirty data, its age, and the counters', async () => {
  const machine = new TestMachine()
  machine.backing.fail('write', Infinity)
  const volume = await machine.open()
  await ask(volume, aWrite(0, 1, 1024))
  await ask(volume, aZero(65_536, 8192))
  await ask(volume, aRead(0, 512))
  await machine.time.advance(5_000)
  const status = volume.status()
  expect(status).toMatchObject({ dirtyBytes: 1024, dirtyZeroedBytes: 8192 })
  expect(status.oldestDirtyMs).toBeGreaterThanOrEqual(5_000)
  expect(status.backingFailingSinceMs).not.toBeNull()
  expect(status.backingError).toMatch(/write failed/)
  expect(status.counters).toMatchObject({ writes: 1, writtenBytes: 1024, zeroes: 1, readHits: 1, readBytes: 512 })
  machine.backing.heal()
  await during(machine.time, volume.drain())
  expect(volume.status()).toMatchObject({ oldestDirtyMs: 0, backingError: '', backingFailingSinceMs: null })
})

test('a policy that is asked for, the one in force, and why they differ', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  await ask(volume, aWrite(0, 1))
  machine.cache.fail('write', Infinity)
  await ask(volume, aWrite(0, 2))
  await machine.time.advance(5_000)
  expect(volume.status()).toMatchObject({
    writePolicy: 'write-back',
    effectiveWritePolicy: 'write-through',
    cacheFailure: expect.stringMatching(/write failed/),
  })
  expect(volume.status().reason).toMatch(/cache device failed/)
})
