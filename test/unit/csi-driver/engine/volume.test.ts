// One volume from the front end's point of view: what is acknowledged is read back and survives, in every phase.
import { KIB } from '../../../../base/units.ts'
import {
  aRead,
  ask,
  aWrite,
  aZero,
  contentOf,
  during,
  settle,
  submit,
  TestMachine,
  type TestRequest,
} from './harness.ts'

describe('write-back', () => {
  test('an acknowledged write is read back and survives a crash of the engine', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    const write = await ask(volume, aWrite(8192, 0xaa))
    expect(write.result).toBe(0)
    expect(machine.backing.count('write')).toBe(0)
    expect(await contentOf(volume, 8192)).toEqual(Buffer.alloc(4096, 0xaa))
    const next = await machine.restart()
    expect(await contentOf(next, 8192)).toEqual(Buffer.alloc(4096, 0xaa))
    expect(next.status().run).toBe(2)
  })

  test('drain brings everything to the backing', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1, 512))
    await ask(volume, aWrite(4096 + 512, 2, 1024))
    await ask(volume, aZero(4096 + 1024, 512))
    await during(machine.time, volume.drain())
    expect(volume.status()).toMatchObject({ dirtyBytes: 0, logUsedBytes: 0, phase: 'WriteBack' })
    expect(machine.backing.bytes.subarray(0, 512)).toEqual(Buffer.alloc(512, 1))
    expect(machine.backing.bytes.subarray(4608, 5120)).toEqual(Buffer.alloc(512, 2))
    expect(machine.backing.bytes.subarray(5120, 5632)).toEqual(Buffer.alloc(512, 0))
    expect((await ask(volume, aRead(4096))).bytes.subarray(512, 1024)).toEqual(Buffer.alloc(512, 2))
  })
})

describe('waiting requests', () => {
  test('a read that waited for a change of phase does not stand behind a write that has no space', async () => {
    const machine = new TestMachine()
    const volume = await machine.open({ dirtyLimitBytes: 64 * KIB })
    machine.backing.hold('write')
    for (let i = 0; i < 16; i += 1) await ask(volume, aWrite(i * 4096, i + 1))
    machine.register.holding = true
    const moved = volume.setPolicy('write-through')
    await settle()
    expect(machine.register.waitingChanges).toBe(1)
    const write = aWrite(0, 0x77)
    const read = aRead(4096)
    submit(volume, write, read)
    await settle()
    expect([write.result, read.result]).toEqual([null, null])
    machine.register.letGo()
    await settle()
    expect([write.result, read.result]).toEqual([null, 0])
    machine.backing.letGo()
    await during(machine.time, moved)
    expect(write.result).toBe(0)
    expect(machine.backing.bytes[0]).toBe(0x77)
  })

  test('writes go on in the order of their arrival', async () => {
    const machine = new TestMachine()
    const volume = await machine.open({ dirtyLimitBytes: 64 * KIB })
    machine.backing.hold('write')
    for (let i = 0; i < 16; i += 1) {
      await ask(volume, aWrite(i * 4096, i + 1))
      await machine.time.advance(100)
    }
    const writes = [aWrite(0, 0x71), aWrite(0, 0x72), aZero(4096), aWrite(4096, 0x73, 512)]
    submit(volume, ...writes)
    await settle()
    expect(writes.every((write) => write.result === null)).toBe(true)
    expect(volume.status()).toMatchObject({ parkedRequests: 4 })
    machine.backing.letGo()
    await machine.time.advance(2_000)
    expect(writes.every((write) => write.result === 0)).toBe(true)
    expect((await contentOf(volume, 0))[0]).toBe(0x72)
    expect((await contentOf(volume, 4096)).subarray(0, 1024)).toEqual(
      Buffer.concat([Buffer.alloc(512, 0x73), Buffer.alloc(512)]),
    )
  })

  test('a write larger than the dirty limit passes alone', async () => {
    const machine = new TestMachine()
    const volume = await machine.open({ dirtyLimitBytes: 16 * KIB })
    await ask(volume, aWrite(0, 1, 512))
    const large = await ask(volume, aWrite(64 * KIB, 2, 64 * KIB))
    // Reads keep the backing from being idle; the writer must not wait for the dirty age.
    for (let i = 0; i < 20 && large.result === null; i += 1) {
      await ask(volume, aRead(128 * KIB))
      await machine.time.advance(100)
    }
    expect(large.result).toBe(0)
  })
})

describe('suspend', () => {
  test('ends although a write waits in a batch that never starts', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.backing.hold('write')
    const moved = volume.setPolicy('write-through').catch((error: unknown) => error)
    await settle()
    machine.cache.hold('write')
    // Both blocks are in the log: logged first. The second one waits behind the batch in flight.
    const first = aWrite(0, 2)
    const second = aWrite(0, 3)
    submit(volume, first)
    submit(volume, second)
    const suspended = volume.suspend()
    await settle()
    machine.cache.letGo()
    machine.backing.letGo()
    await during(machine.time, suspended, 1_000)
    await moved
    expect(second.result).toBeNull()
  })
})

describe('requests sent again after a restart', () => {
  const named = (request: TestRequest, unique: number, resent = false): TestRequest => {
    request.uniqueLow = unique
    request.resent = resent
    return request
  }

  test('a write whose record is in the log is answered, not carried out again', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, named(aWrite(0, 1), 10))
    const next = await machine.restart()
    await ask(next, named(aWrite(0, 2), 12))
    const again = await ask(next, named(aWrite(0, 1), 10, true))
    next.resendDrained()
    expect(again.result).toBe(0)
    expect((await contentOf(next, 0))[0]).toBe(2)
  })

  test('also when it comes during a change of phase', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, named(aWrite(0, 1), 10))
    const next = await machine.restart()
    await ask(next, named(aWrite(0, 2), 12))
    machine.register.holding = true
    const moved = next.setPolicy('write-through')
    await settle()
    expect(machine.register.waitingChanges).toBe(1)
    const again = await ask(next, named(aWrite(0, 1), 10, true))
    next.resendDrained()
    machine.register.letGo()
    await during(machine.time, moved)
    expect(again.result).toBe(0)
    expect(machine.backing.bytes[0]).toBe(2)
  })

  test('a second restart still recognises what the first engine did not answer', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, named(aWrite(0, 1), 10))
    const second = await machine.restart()
    // Its frames must not say that request 10 was answered.
    await ask(second, named(aWrite(0, 2), 12))
    await machine.time.advance(2_000)
    const third = await machine.restart()
    const again = await ask(third, named(aWrite(0, 1), 10, true))
    expect(again.result).toBe(0)
    expect((await contentOf(third, 0))[0]).toBe(2)
  })

  test('in a drain it is answered when the backing has it, however late it comes', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, named(aWrite(0, 1), 10))
    machine.backing.hold('write')
    void volume.setPolicy('write-through').catch(() => undefined)
    await settle()
    expect(volume.status().phase).toBe('DrainWT')
    const next = await machine.restart()
    await machine.time.advance(5_000)
    expect(machine.backing.bytes[0]).toBe(1)
    expect(next.status()).toMatchObject({ phase: 'DrainWT', dirtyBytes: 0 })
    const again = await ask(next, named(aWrite(0, 1), 10, true))
    expect(again.result).toBe(0)
    next.resendDrained()
    await machine.time.advance(5_000)
    expect(next.status()).toMatchObject({ phase: 'WriteThrough' })
  })

  test('nothing is trimmed before all of them have been read', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, named(aWrite(0, 1), 10))
    const next = await machine.restart()
    await machine.time.advance(5_000)
    expect(next.status().dirtyBytes).toBe(0)
    expect(next.status().logUsedBytes).toBeGreaterThan(0)
    next.resendDrained()
    await machine.time.advance(1_000)
    expect(next.status().logUsedBytes).toBe(0)
  })
})
