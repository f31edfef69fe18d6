// Writes acknowledged from the backing: flushed when they must be, in order per block, beside the log only where the
// log holds nothing of their blocks.
import { IoError } from '../../../../base/errors.ts'
import { KIB, MIB } from '../../../../base/units.ts'
import { resultOf, THROUGH_BYTES_MAX, ThroughPath } from '../../../../csi-driver/engine/through-path.ts'
import { ask, aWrite, aZero, contentOf, during, makeCore, settle, submit, TestMachine } from './harness.ts'

async function make() {
  const machine = new TestMachine()
  const core = await makeCore(machine)
  core.phase = 'WriteThrough'
  let rooms = 0
  const path = new ThroughPath(core, () => void (rooms += 1))
  return { machine, core, path, rooms: () => rooms }
}

test.each([
  [null, 0],
  [new IoError('EIO', 'x'), 5],
  [new IoError('ENOSPC', 'x'), 28],
  [new IoError('EDQUOT', 'x'), 28],
  [new IoError('ETIMEDOUT', 'x'), 5],
])('an error of the backing becomes the user’s result (%#)', (error, result) => {
  expect(resultOf(error)).toBe(result)
})

describe('acknowledgement', () => {
  test('after a flush until the device passes flushes on, afterwards at once', async () => {
    const { machine, core, path } = await make()
    machine.backing.hold('flush')
    const first = aWrite(0, 1)
    path.start(first, first.data, 0)
    expect([first.result, path.active]).toEqual([null, 1])
    machine.backing.letGo()
    expect([first.result, path.active]).toEqual([0, 0])
    core.flushBeforeAck = false
    const second = aWrite(0, 2)
    path.start(second, second.data, 0)
    expect(second.result).toBe(0)
    expect(core.unflushed.any).toBe(true)
    expect(machine.backing.count('flush')).toBe(1)
  })

  test('a forced write is always flushed', async () => {
    const { machine, core, path } = await make()
    core.flushBeforeAck = false
    const write = aWrite(0, 1)
    write.forceUnitAccess = true
    path.start(write, write.data, 0)
    expect(machine.backing.count('flush')).toBe(1)
  })

  test('a flush that fails is an error of every write that waited for it', async () => {
    const { machine, path } = await make()
    const [first, second] = [aWrite(0, 1), aWrite(4096, 1)]
    machine.backing.hold('write')
    machine.backing.fail('flush', 1)
    path.start(first, first.data, 0)
    path.start(second, second.data, 0)
    machine.backing.letGo()
    expect([first.result, second.result]).toContain(5)
    expect(path).toMatchObject({ active: 0, atBacking: 0 })
  })

  test('the payload is copied', async () => {
    const { machine, path } = await make()
    const write = aWrite(0, 7)
    machine.backing.hold('write')
    path.start(write, write.data, 0)
    write.data.fill(0)
    machine.backing.letGo()
    expect(machine.backing.bytes[0]).toBe(7)
  })
})

describe('order and room', () => {
  test('writes of one block follow one another', async () => {
    const { machine, path } = await make()
    machine.backing.hold('write')
    for (let i = 1; i <= 5; i += 1) {
      const write = aWrite(0, i)
      path.start(write, write.data, 0)
    }
    expect(machine.backing.held).toHaveLength(1)
    machine.backing.letGo()
    expect(machine.backing.bytes[0]).toBe(5)
  })

  test('a bounded amount is under way; one of any size always may', async () => {
    const { machine, path, rooms } = await make()
    machine.backing.hold('zero')
    expect(path.hasRoom(10 * THROUGH_BYTES_MAX)).toBe(true)
    const zero = aZero(0, 4096)
    zero.length = 1024 * 1024
    path.start(zero, zero.data, 0)
    expect(path.hasRoom(THROUGH_BYTES_MAX)).toBe(false)
    expect(path.touches(4096, 512)).toBe(true)
    expect(path.touches(1024 * 1024, 512)).toBe(false)
    machine.backing.letGo()
    expect(zero.result).toBe(0)
    expect(rooms()).toBe(1)
    expect(path.hasRoom(THROUGH_BYTES_MAX)).toBe(true)
  })
})

describe('while the log is drained', () => {
  /** More is dirty than a drain holds writers for, and the backing does not flush. */
  async function draining() {
    const logBytes = 4 * MIB
    const cacheBytes = 32 * KIB + logBytes + 64 * KIB
    const machine = new TestMachine({ backingBytes: 4 * MIB, cacheBytes })
    const volume = await machine.open({ dirtyLimitBytes: 4 * MIB, cacheBytes, logBytes })
    machine.backing.hold('flush')
    for (let i = 0; i < 24; i += 1) await ask(volume, aWrite(i * 64 * KIB, i + 1, 64 * KIB))
    const moved = volume.setPolicy('write-through')
    await settle()
    expect(volume.status().phase).toBe('DrainWT')
    return { machine, volume, moved }
  }

  test('a write of what the log holds is logged and on the backing before its answer', async () => {
    const { machine, volume, moved } = await draining()
    const log = volume.status().logUsedBytes
    const write = aWrite(4096, 0x91)
    let onBacking = -1
    write.onComplete = () => void (onBacking = machine.backing.bytes[4096] as number)
    submit(volume, write)
    await settle()
    expect(write.result).toBeNull()
    expect(volume.status().logUsedBytes).toBeGreaterThan(log)
    expect(volume.status().phase).toBe('DrainWT')
    machine.backing.letGo()
    await settle()
    expect([write.result, onBacking]).toEqual([0, 0x91])
    await during(machine.time, moved)
    expect((await contentOf(volume, 4096))[0]).toBe(0x91)
    expect(machine.backing.bytes[4096]).toBe(0x91)
  })

  test('any other goes past the log', async () => {
    const { machine, volume, moved } = await draining()
    const log = volume.status().logUsedBytes
    const write = aWrite(3 * MIB, 0x92)
    submit(volume, write)
    await settle()
    expect(volume.status().logUsedBytes).toBe(log)
    expect(machine.backing.bytes[3 * MIB]).toBe(0x92)
    machine.backing.letGo()
    await during(machine.time, moved)
    expect(write.result).toBe(0)
  })

  test('writes to one block that go both ways end in their order, also after a crash', async () => {
    const { machine, volume } = await draining()
    for (let i = 0; i < 20; i += 1)
      submit(volume, aWrite(3 * MIB + (i % 3) * 4096, i, 8192), aWrite(4096 * (i % 2), 100 + i))
    machine.backing.letGo()
    await settle()
    const expected = await contentOf(volume, 3 * MIB, 16 * KIB)
    const next = await machine.restart({ cacheBytes: machine.cache.sizeBytes, logBytes: 4 * MIB })
    next.resendDrained()
    expect(await contentOf(next, 3 * MIB, 16 * KIB)).toEqual(expected)
    await machine.time.advance(5_000)
    expect(machine.backing.bytes.subarray(3 * MIB, 3 * MIB + 16 * KIB)).toEqual(expected)
    expect((await contentOf(next, 4096))[0]).toBe(119)
  })
})

describe('an operation that could not be logged', () => {
  test('gives the user’s request back with its data', async () => {
    const { path } = await make()
    const write = aWrite(0, 3)
    const logged = path.startLogged(write, write.data, 0)
    expect(path.active).toBe(1)
    write.data.fill(0)
    const back = path.reclaim(logged)
    expect(back?.request).toBe(write)
    expect(back?.data.subarray(0, 4096)).toEqual(Buffer.alloc(4096, 3))
    expect(path).toMatchObject({ active: 0, atBacking: 0 })
    expect(path.reclaim(write)).toBeNull()
  })

  test('is none at the backing while it waits in a batch, and holds the trim back once it is durable', async () => {
    const { machine, core, path } = await make()
    machine.backing.hold('write')
    const write = aWrite(0, 3)
    const logged = path.startLogged(write, write.data, 0)
    expect(path).toMatchObject({ active: 1, atBacking: 0 })
    expect(path.unrepliedSeq()).toBe(Infinity)
    core.journal.lastAppend.firstSeq = 42
    logged.complete(0)
    expect(path).toMatchObject({ active: 1, atBacking: 1 })
    expect(path.unrepliedSeq()).toBe(42)
    machine.backing.letGo()
    expect(path.unrepliedSeq()).toBe(Infinity)
    expect(write.result).toBe(0)
  })

  test('is given back without an answer', async () => {
    const { path } = await make()
    const write = aWrite(0, 3)
    path.giveBack(path.startLogged(write, write.data, 0))
    expect([path.active, write.result]).toEqual([0, null])
  })
})
