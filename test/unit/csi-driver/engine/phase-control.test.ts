// Phases of an open volume: what is frozen while the register settles, what is promised in each, and what happens when
// something fails on the way.
import { IoError } from '../../../../base/errors.ts'
import { KIB } from '../../../../base/units.ts'
import { NoDeviceYet } from '../../../../csi-driver/engine/volume-settings.ts'
import { PhaseControl, type PhaseHost } from '../../../../csi-driver/engine/phase-control.ts'
import {
  aFlush,
  aRead,
  ask,
  aWrite,
  aZero,
  contentOf,
  during,
  makeCore,
  settle,
  submit,
  TestMachine,
} from './harness.ts'

async function writeThrough(machine = new TestMachine()) {
  const volume = await machine.open({ writePolicy: 'write-through' })
  await volume.attached()
  return { machine, volume }
}

describe('write-through', () => {
  test('a fresh volume is clean and serves from the backing', async () => {
    const { machine, volume } = await writeThrough()
    expect(machine.register.current).toMatchObject({ phase: 'WriteThrough', dirty: false })
    expect(machine.writeCache).toEqual(['write-back'])
    const write = await ask(volume, aWrite(0, 1))
    expect(write.result).toBe(0)
    expect(machine.backing.bytes[0]).toBe(1)
    expect(machine.backing.count('flush')).toBe(1)
    await ask(volume, aFlush())
    expect(machine.backing.count('flush')).toBe(2)
    expect(volume.status()).toMatchObject({ dirtyBytes: 0, logUsedBytes: 0, effectiveWritePolicy: 'write-through' })
  })

  test('each write is flushed before its answer while the device cannot be told to pass flushes on', async () => {
    const machine = new TestMachine()
    machine.writeCacheError = new Error('ioctl failed')
    const volume = await machine.open({ writePolicy: 'write-through' })
    await volume.attached()
    expect(machine.log.events.map(({ name }) => name)).toContain('engine.write_cache_switch_failed')
    const flushes = machine.backing.count('flush')
    await ask(volume, aWrite(0, 1))
    expect(machine.backing.count('flush')).toBe(flushes + 1)
  })

  test('a device that is not there yet is no failure, and is told as soon as it is', async () => {
    const machine = new TestMachine()
    machine.writeCacheError = new NoDeviceYet()
    const volume = await machine.open({ writePolicy: 'write-through' })
    expect(machine.log.events.map(({ name }) => name)).not.toContain('engine.write_cache_switch_failed')
    machine.writeCacheError = null
    await volume.attached()
    expect(machine.writeCache).toEqual(['write-back'])
  })

  test('errors of the backing are the user’s', async () => {
    const { machine, volume } = await writeThrough()
    machine.backing.fail('write', 1)
    expect((await ask(volume, aWrite(0, 1))).result).toBe(5)
    machine.backing.fail('write', 1, { code: 'ENOSPC' })
    expect((await ask(volume, aWrite(0, 1))).result).toBe(28)
    machine.backing.fail('flush', 1)
    expect((await ask(volume, aFlush())).result).toBe(5)
    expect((await ask(volume, aFlush())).result).toBe(0)
  })

  test('cached blocks do not survive a write or a zero of them', async () => {
    const { machine, volume } = await writeThrough()
    machine.backing.bytes.fill(0x44, 0, 16 * KIB)
    await ask(volume, aRead(0, 16 * KIB))
    await ask(volume, aRead(0, 16 * KIB))
    expect(volume.status().counters.readHits).toBe(1)
    await ask(volume, aWrite(512, 1, 512))
    await ask(volume, aZero(8192))
    expect(await contentOf(volume, 0, 512)).toEqual(Buffer.alloc(512, 0x44))
    expect(await contentOf(volume, 512, 512)).toEqual(Buffer.alloc(512, 1))
    expect(await contentOf(volume, 8192)).toEqual(Buffer.alloc(4096))
  })

  test('a fill between a queued write and its start does not serve old data', async () => {
    const { machine, volume } = await writeThrough()
    machine.backing.bytes.fill(0x44, 0, 8192)
    machine.backing.hold('write')
    // The second write waits for the first one's block; the block beside it is free.
    const first = aWrite(0, 1)
    const second = aWrite(0, 2, 8192)
    submit(volume, first, second)
    const read = aRead(4096)
    submit(volume, read)
    await settle()
    machine.backing.letGo()
    await settle()
    expect([first.result, second.result, read.result]).toEqual([0, 0, 0])
    expect(await contentOf(volume, 4096)).toEqual(Buffer.alloc(4096, 2))
  })
})

describe('a change of policy', () => {
  test('to write-through drains, and is in force when nothing is dirty', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await volume.attached()
    await ask(volume, aWrite(0, 1))
    await during(machine.time, volume.setPolicy('write-through'))
    expect(machine.register.phases.slice(-3)).toEqual(['WriteBack', 'DrainWT', 'WriteThrough'])
    expect(machine.register.current).toMatchObject({ dirty: false, lastSeq: 1 })
    expect(machine.writeCache).toEqual(['write-through', 'write-back'])
    expect(machine.backing.bytes[0]).toBe(1)
  })

  test('and back flushes the backing before the device stops passing flushes on', async () => {
    const { machine, volume } = await writeThrough()
    await ask(volume, aWrite(0, 1))
    const flushes = machine.backing.count('flush')
    await during(machine.time, volume.setPolicy('write-back'))
    expect(machine.backing.count('flush')).toBe(flushes + 1)
    expect(machine.writeCache.at(-1)).toBe('write-through')
    expect(machine.register.current).toMatchObject({ phase: 'WriteBack', dirty: true })
    await ask(volume, aWrite(0, 2))
    expect(machine.backing.bytes[0]).toBe(1)
    await ask(volume, aFlush())
    expect(machine.backing.count('flush')).toBe(flushes + 1)
  })

  test('dirty=true is settled before the first write-back answer', async () => {
    const { machine, volume } = await writeThrough()
    machine.register.holding = true
    const moved = volume.setPolicy('write-back')
    await settle()
    const [write, read] = [aWrite(0, 1), aRead(0)]
    submit(volume, write, read)
    await machine.time.advance(1_000)
    expect([write.result, read.result]).toEqual([null, null])
    machine.register.letGo()
    await during(machine.time, moved)
    expect([write.result, read.result]).toEqual([0, 0])
  })

  test('no batch is in flight and nothing is answered while the phase is open', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    machine.cache.hold('write')
    const write = aWrite(0, 1)
    submit(volume, write)
    machine.register.holding = true
    const moved = volume.setPolicy('write-through')
    await machine.time.advance(100)
    expect(machine.register.waitingChanges).toBe(0)
    machine.cache.letGo()
    await machine.time.advance(100)
    expect(write.result).toBe(0)
    expect(machine.register.waitingChanges).toBe(1)
    machine.register.letGo()
    await during(machine.time, moved)
  })

  test('an unreachable register holds the change up and nothing is lost', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.register.unreachable = true
    const moved = volume.setPolicy('write-through')
    const write = aWrite(4096, 2)
    await machine.time.advance(10_000)
    submit(volume, write)
    await machine.time.advance(10_000)
    expect(write.result).toBeNull()
    machine.register.unreachable = false
    await during(machine.time, moved)
    expect(write.result).toBe(0)
  })
})

describe('DrainWT', () => {
  async function draining() {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    await ask(volume, aZero(64 * KIB))
    machine.backing.hold('zero')
    const moved = volume.setPolicy('write-through')
    await settle()
    expect(volume.status().phase).toBe('DrainWT')
    return { machine, volume, moved }
  }

  test('an engine that finds it unfinished goes on by itself', async () => {
    const { machine } = await draining()
    const next = await machine.restart()
    next.resendDrained()
    await machine.time.advance(2_000)
    expect(next.status()).toMatchObject({ phase: 'WriteThrough', writePolicy: 'write-through', dirtyBytes: 0 })
    expect(machine.register.current).toMatchObject({ phase: 'WriteThrough', dirty: false })
  })

  test('an attach does not wait for the drain', async () => {
    const { machine } = await draining()
    const next = await machine.restart()
    machine.backing.hold('zero', 'write', 'flush')
    await expect(during(machine.time, next.attached(), 100)).resolves.toBeUndefined()
  })
})

describe('a failed cache device', () => {
  test('drains what can be read and goes on in write-through', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.cache.fail('write', Infinity)
    const write = aWrite(4096, 2)
    submit(volume, write)
    await machine.time.advance(5_000)
    expect(write.result).toBe(0)
    expect(volume.status()).toMatchObject({ phase: 'WriteThrough', writePolicy: 'write-back', dirtyBytes: 0 })
    expect(volume.status().reason).toMatch(/cache device failed/)
    expect(machine.register.current).toMatchObject({ phase: 'WriteThrough', dirty: false })
    expect([machine.backing.bytes[0], machine.backing.bytes[4096]]).toEqual([1, 2])
    await expect(volume.setPolicy('write-back')).rejects.toMatchObject({ code: 'CACHE_DEVICE_FAILED' })
    expect((await ask(volume, aWrite(0, 3))).result).toBe(0)
    expect((await contentOf(volume, 0))[0]).toBe(3)
  })

  test('what it still holds is void for the next engine', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.cache.fail('write', Infinity)
    submit(volume, aWrite(4096, 2))
    await machine.time.advance(5_000)
    // Newer than the record in the log, which could not be trimmed.
    await ask(volume, aWrite(0, 3))
    const next = await machine.restart()
    next.resendDrained()
    expect((await contentOf(next, 0))[0]).toBe(3)
    await machine.time.advance(5_000)
    expect(machine.backing.bytes[0]).toBe(3)
  })

  test('the next engine does not go on without the register, which alone knows that', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.cache.fail('write', Infinity)
    submit(volume, aWrite(4096, 2))
    await machine.time.advance(5_000)
    await ask(volume, aWrite(0, 3))
    machine.register.unreachable = true
    await expect(machine.restart()).rejects.toMatchObject({ kind: 'retry' })
    machine.register.unreachable = false
    const next = await machine.restart()
    next.resendDrained()
    await machine.time.advance(5_000)
    expect((await contentOf(next, 0))[0]).toBe(3)
    expect(machine.backing.bytes[0]).toBe(3)
    expect(machine.doubts.has('superblock')).toBe(false)
  })

  test('a flush that fails while the next engine opens anew is told to the users all the same', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    machine.cache.fail('write', Infinity)
    submit(volume, aWrite(4096, 2))
    await machine.time.advance(5_000)
    expect((await ask(volume, aWrite(0, 3))).result).toBe(0)
    machine.crash()
    machine.backing.fail('flush', 1)
    await expect(machine.open({ start: 'restart' })).rejects.toMatchObject({ code: 'EIO' })
    const next = await machine.restart()
    next.resendDrained()
    expect((await ask(next, aFlush())).result).not.toBe(0)
    expect((await ask(next, aFlush())).result).toBe(0)
  })

  test('the same when it fails in the middle of a drain', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.backing.hold('write')
    const moved = volume.setPolicy('write-through').catch((error: unknown) => error)
    await settle()
    expect(volume.status().phase).toBe('DrainWT')
    // The register says DrainWT, durably in the superblock; the checkpoint that follows fails.
    machine.cache.fail('write', Infinity)
    machine.backing.letGo()
    await during(machine.time, moved)
    await machine.time.advance(5_000)
    expect(machine.register.current).toMatchObject({ phase: 'WriteThrough', dirty: false })
    await ask(volume, aWrite(0, 3))
    const next = await machine.restart()
    next.resendDrained()
    await machine.time.advance(5_000)
    expect(machine.backing.bytes[0]).toBe(3)
  })

  test('a superblock that cannot take the intent of a change sends nothing and leaves the cache', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.cache.fail('write', 1, { to: 32 * KIB })
    const moved = during(
      machine.time,
      volume.setPolicy('write-through').catch((error: unknown) => error),
    )
    expect(await moved).toBeInstanceOf(IoError)
    await machine.time.advance(5_000)
    expect(volume.status()).toMatchObject({ phase: 'WriteThrough', dirtyBytes: 0 })
    expect((await ask(volume, aWrite(0, 2))).result).toBe(0)
  })

  test('a superblock that cannot take the outcome of a change does not stop the volume', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.register.holding = true
    const moved = volume.setPolicy('write-through')
    await settle()
    machine.cache.fail('write', 1, { to: 32 * KIB })
    machine.register.letGo()
    await during(machine.time, moved)
    await machine.time.advance(5_000)
    expect(volume.status()).toMatchObject({ phase: 'WriteThrough', dirtyBytes: 0 })
    expect((await ask(volume, aWrite(0, 2))).result).toBe(0)
  })
})

describe('another owner', () => {
  test('nothing is answered once a newer epoch was seen', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    await ask(volume, aWrite(8192, 1))
    const record = machine.register.current
    if (record === null) throw new Error('the volume is registered')
    await machine.register.compareAndSwap(record.rv, {
      ...record,
      rv: record.rv + 1,
      epoch: record.epoch + 1,
      phase: 'Opening',
    })
    await expect(during(machine.time, volume.setPolicy('write-through'))).rejects.toMatchObject({ kind: 'fenced' })
    const [write, read] = [aWrite(0, 2), aRead(0)]
    submit(volume, write, read)
    await machine.time.advance(10_000)
    expect([write.result, read.result]).toEqual([null, null])
    expect(machine.backing.count('write')).toBe(0)
    await during(machine.time, volume.suspend())
  })
})

describe('close', () => {
  test('ends the ownership clean, with everything on the backing', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    await during(machine.time, volume.prepareClose())
    await during(machine.time, volume.close())
    expect(machine.register.current).toMatchObject({ phase: 'Detached', dirty: false })
    expect(machine.backing).toMatchObject({ closed: true })
    expect(machine.backing.bytes[0]).toBe(1)
    machine.crash()
    const next = await machine.open()
    expect((await contentOf(next, 0))[0]).toBe(1)
    expect(next.status().epoch).toBe(2)
  })

  test('a backing that cannot be flushed keeps it open, and it can be tried again', async () => {
    const { machine, volume } = await writeThrough()
    await ask(volume, aWrite(0, 1))
    machine.backing.fail('flush', 1)
    await expect(during(machine.time, volume.close())).rejects.toMatchObject({ kind: 'retry' })
    expect((await ask(volume, aWrite(0, 2))).result).toBe(0)
    await during(machine.time, volume.close())
    expect(machine.register.current).toMatchObject({ phase: 'Detached' })
  })
})

test('what the membership asks for again and again while a drain waits for its backing waits once', async () => {
  const core = await makeCore(new TestMachine())
  core.phase = 'DrainWT'
  const destager = { hurry: () => () => {}, logInUse: false }
  const host = {
    core,
    client: { record: null },
    destager,
    holdWrites: () => () => {},
    writesQuiet: () => new Promise(() => {}),
  }
  const phases = new PhaseControl(host as unknown as PhaseHost, 'write-back')
  void phases.drain()
  let ended = 0
  for (let i = 0; i < 100; i += 1) {
    void phases.restore().then(() => (ended += 1))
    phases.tooFewCopies('too few')
    void phases.degrade().then(() => (ended += 1))
  }
  await settle()
  expect(ended).toBe(198)
})
