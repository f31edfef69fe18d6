// When a generation begins, what ends it, and how it stops.
import { ask, aWrite, contentOf, during, settle, submit, TestMachine } from './harness.ts'

describe('drain under load', () => {
  test('ends although somebody goes on writing', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    let stop = false
    let written = 0
    const writeAgain = (): void => {
      if (stop) return
      const write = aWrite((written++ % 32) * 4096, written & 0xff)
      // As a program does that has several writes in flight: the next one follows the answer.
      write.onComplete = () => void machine.time.after(1, writeAgain)
      submit(volume, write)
    }
    writeAgain()
    // A backing that needs as long as the writer's pause: something is dirty whenever a generation ends.
    machine.backing.hold('flush')
    const answer = (): void => {
      machine.backing.completeAll()
      machine.time.after(1, answer)
    }
    answer()
    await during(machine.time, volume.drain(), 5_000)
    stop = true
    expect(written).toBeGreaterThan(3)
  })
})

describe('suspend', () => {
  test('waits for the destage I/O in flight and begins none', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.cache.hold('read')
    const drained = volume.drain().catch((error: unknown) => error)
    await settle()
    expect(machine.cache.held).toHaveLength(1)
    const suspended = volume.suspend()
    await settle()
    machine.cache.letGo()
    await during(machine.time, suspended)
    await drained
    expect(machine.backing.count('write')).toBe(0)
    const next = await machine.restart()
    expect(await contentOf(next, 0)).toEqual(Buffer.alloc(4096, 0x11))
  })

  test('does not wait for the next attempt of a failing backing', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.backing.fail('write', Infinity)
    const drained = volume.drain().catch((error: unknown) => error)
    await machine.time.advance(15_000)
    await during(machine.time, volume.suspend(), 100)
    await drained
    expect(machine.backing.closed).toBe(true)
  })

  test('waits for a backing write in flight', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.backing.hold('write')
    const drained = volume.drain().catch((error: unknown) => error)
    await settle()
    let over = false
    const suspended = volume.suspend().then(() => void (over = true))
    await machine.time.advance(1_000)
    expect(over).toBe(false)
    machine.backing.letGo()
    await during(machine.time, suspended)
    await drained
  })
})

describe('dirty data that cannot be read', () => {
  test('ends a drain with a message that says what the user can do', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 0x11))
    machine.cache.fail('read', Infinity)
    await expect(during(machine.time, volume.drain(), 60_000)).rejects.toMatchObject({
      kind: 'corrupt',
      code: 'CACHE_BLOCKED',
      remedy: expect.stringContaining('--accept-data-loss'),
    })
  })
})
