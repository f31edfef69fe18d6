// Opening and restarting: what is gone on with, what is begun anew, what is refused, and that a refusal changes nothing.
import { KIB, MIB } from '../../../../../base/units.ts'
import { ask, aWrite, contentOf, during, LOG_BYTES, TestMachine } from '../harness.ts'

const LOG_START = 32 * KIB

/** Flips a byte in the middle of the log's n-th 4 KiB block. */
function damageLog(machine: TestMachine, block: number): void {
  const at = LOG_START + block * 4096 + 100
  machine.cache.bytes[at] = 0xff ^ (machine.cache.bytes[at] as number)
}

describe('a new holder', () => {
  test('creates a volume that has none', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    expect(machine.register.current).toMatchObject({
      volume: 'data',
      epoch: 1,
      phase: 'WriteBack',
      dirty: true,
      owner: 'node-1',
    })
    expect(volume.status()).toMatchObject({ epoch: 1, run: 1, phase: 'WriteBack', writePolicy: 'write-back' })
    expect(volume.record?.members).toHaveLength(1)
  })

  test('adopts the log of one that died, under the next epoch', async () => {
    const machine = new TestMachine()
    await ask(await machine.open(), aWrite(0, 1))
    machine.crash()
    const next = await machine.open()
    expect(next.status()).toMatchObject({ epoch: 2, run: 1, dirtyBytes: 4096 })
    await ask(next, aWrite(0, 2))
    machine.crash()
    const third = await machine.open()
    expect((await contentOf(third, 0))[0]).toBe(2)
    expect(third.status().epoch).toBe(3)
  })

  test('drains a dirty log when the policy is write-through', async () => {
    const machine = new TestMachine()
    await ask(await machine.open(), aWrite(0, 1))
    machine.crash()
    const next = await machine.open({ writePolicy: 'write-through' })
    await machine.time.advance(2_000)
    expect(next.status()).toMatchObject({ phase: 'WriteThrough', dirtyBytes: 0 })
    expect(machine.backing.bytes[0]).toBe(1)
  })

  test('keeps the age of what is dirty', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.crash()
    machine.backing.hold('write')
    machine.time.nowMs += 20_000
    const next = await machine.open()
    expect(next.status().oldestDirtyMs).toBeGreaterThanOrEqual(20_000)
  })

  test.each([
    [
      'another backing',
      { backingIdentity: { kind: 'file' as const, id: 'another', sizeBytes: MIB } },
      'CACHE_BACKING_OTHER',
    ],
    ['loss accepted for another volume', { acceptDataLoss: 'other' }, ''],
  ])('refuses %s and changes nothing', async (_name, settings, code) => {
    const machine = new TestMachine()
    await ask(await machine.open(), aWrite(0, 1))
    machine.crash()
    const before = Buffer.from(machine.cache.bytes)
    const versions = machine.register.inner.history().length
    const opened = machine.open(settings)
    await expect(opened).rejects.toMatchObject(code === '' ? { kind: 'invalid' } : { kind: 'invalid', code })
    expect(machine.cache.bytes.equals(before)).toBe(true)
    expect(machine.register.inner.history()).toHaveLength(versions)
    expect(machine.backing.count('write')).toBe(0)
  })
})

test.each([
  ['dirty data of another volume', { volume: 'other' }, 'CACHE_OF_OTHER_VOLUME_DIRTY'],
  ['dirty data without its register', {}, 'CACHE_REGISTER_MISSING'],
])('a cache with %s is refused', async (_name, settings, code) => {
  const machine = new TestMachine()
  await ask(await machine.open(), aWrite(0, 1))
  const other = new TestMachine()
  machine.cache.bytes.copy(other.cache.bytes)
  await expect(other.open({ formatCache: true, ...settings })).rejects.toMatchObject({ code })
  expect(other.cache.bytes.equals(machine.cache.bytes)).toBe(true)
})

describe('a damaged log', () => {
  test('is refused, and the loss can only be accepted by name', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    for (let i = 0; i < 3; i += 1) await ask(volume, aWrite(i * 4096, i + 1))
    machine.crash()
    // Header and data of the second batch.
    damageLog(machine, 3)
    await expect(machine.open()).rejects.toMatchObject({ kind: 'corrupt', code: 'CACHE_BLOCKED' })
    const next = await machine.open({ acceptDataLoss: 'data' })
    expect([(await contentOf(next, 0))[0], (await contentOf(next, 4096))[0]]).toEqual([1, 0])
  })

  test('a volume whose loss was accepted works on, through every phase and the next open', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    for (let i = 0; i < 3; i += 1) await ask(volume, aWrite(i * 4096, i + 1))
    // The register knows three records as acknowledged.
    machine.backing.hold('write')
    void volume.setPolicy('write-through').catch(() => undefined)
    await machine.time.advance(100)
    expect(machine.register.current).toMatchObject({ phase: 'DrainWT', lastSeq: 3 })
    machine.crash()
    damageLog(machine, 3)
    const next = await machine.open({ acceptDataLoss: 'data' })
    await ask(next, aWrite(0, 9))
    machine.crash()
    const third = await machine.open()
    expect((await contentOf(third, 0))[0]).toBe(9)
    await during(machine.time, third.setPolicy('write-through'))
    await during(machine.time, third.close())
    expect(machine.register.current).toMatchObject({ phase: 'Detached', dirty: false })
  })
})

describe('a restart', () => {
  test('goes on in the same epoch without the register', async () => {
    const machine = new TestMachine()
    await ask(await machine.open(), aWrite(0, 1))
    machine.register.unreachable = true
    const next = await machine.restart()
    expect(next.status()).toMatchObject({ epoch: 1, run: 2, phase: 'WriteBack' })
    expect((await contentOf(next, 0))[0]).toBe(1)
  })

  test('settles a change that was open, whether it had landed or not', async () => {
    for (const landed of [true, false]) {
      const machine = new TestMachine()
      const volume = await machine.open()
      await ask(volume, aWrite(0, 1))
      machine.register.holding = true
      void volume.setPolicy('write-through').catch(() => undefined)
      await machine.time.advance(100)
      if (landed) machine.register.letGo()
      machine.crash()
      machine.register.holding = false
      const next = await during(machine.time, machine.open({ start: 'restart' }))
      expect(next.status().epoch).toBe(1)
      next.resendDrained()
      expect((await contentOf(next, 0))[0]).toBe(1)
      machine.register.letGo()
      await machine.time.advance(2_000)
      const again = await ask(next, aWrite(0, 2))
      expect(again.result).toBe(0)
      await during(machine.time, next.setPolicy('write-through'))
      expect(machine.backing.bytes[0]).toBe(2)
    }
  })

  test('keeps a policy that was changed online', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await during(machine.time, volume.setPolicy('write-through'))
    const next = await machine.restart()
    expect(next.status()).toMatchObject({ phase: 'WriteThrough', writePolicy: 'write-through', epoch: 1 })
  })

  test('makes what was acknowledged from the backing durable before anything else', async () => {
    const machine = new TestMachine()
    const volume = await machine.open({ writePolicy: 'write-through' })
    await volume.attached()
    await ask(volume, aWrite(0, 1))
    machine.crash()
    await machine.open({ start: 'restart', writePolicy: 'write-through' })
    expect(machine.backing.begun[0]).toMatch(/^flush/)
  })

  test('after an opening that did not get as far as the superblock opens anew', async () => {
    const machine = new TestMachine()
    await ask(await machine.open(), aWrite(0, 1))
    machine.crash()
    // The next holder's engine claims, and its cache takes no write.
    machine.cache.fail('write', Infinity)
    await expect(machine.open()).rejects.toBeDefined()
    expect(machine.register.current).toMatchObject({ epoch: 2, phase: 'Opening' })
    const next = await machine.restart()
    expect(next.status().epoch).toBe(3)
    expect((await contentOf(next, 0))[0]).toBe(1)
    next.resendDrained()
    await during(machine.time, next.setPolicy('write-through'))
    expect(machine.register.current).toMatchObject({ epoch: 3, phase: 'WriteThrough' })
  })

  test('of a volume that was closed opens it', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await during(machine.time, volume.prepareClose())
    await during(machine.time, volume.close())
    const next = await machine.restart()
    expect(next.status()).toMatchObject({ epoch: 2, phase: 'WriteBack' })
  })
})

describe('a backing that grew', () => {
  test('is used after resize, and the volume can be opened after a crash', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    await during(machine.time, volume.drain())
    await ask(volume, aWrite(8192, 2))
    machine.backing.bytes.fill(0x33, 600 * KIB)
    machine.backing.grownBytes = 2 * MIB
    expect(await during(machine.time, volume.resize())).toBe(2 * MIB)
    expect(volume.sizeBytes).toBe(2 * MIB)
    expect(machine.register.current?.backing.sizeBytes).toBe(2 * MIB)
    expect((await ask(volume, aWrite(2 * MIB - 4096, 3))).result).toBe(0)
    machine.crash()
    const next = await machine.open()
    expect((await contentOf(next, 2 * MIB - 4096))[0]).toBe(3)
    expect((await contentOf(next, 8192))[0]).toBe(2)
  })

  test('a smaller one is refused', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    machine.backing.bytes = machine.backing.bytes.subarray(0, 512 * KIB)
    await expect(volume.resize()).rejects.toMatchObject({ code: 'CACHE_BACKING_SMALLER' })
    expect(volume.sizeBytes).toBe(MIB)
  })
})

describe('the bare backing', () => {
  test('is noticed when somebody changed its first blocks while the cache was dirty', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    await during(machine.time, volume.drain())
    await ask(volume, aWrite(512 * KIB, 2))
    machine.crash()
    machine.backing.bytes.fill(0x66, 4096, 8192)
    await expect(machine.open()).rejects.toMatchObject({ kind: 'invalid', code: 'CACHE_BACKING_CHANGED' })
    const next = await machine.open({ backingChanged: 'replay' })
    expect((await contentOf(next, 512 * KIB))[0]).toBe(2)
    expect((await contentOf(next, 4096))[0]).toBe(0x66)
  })

  test('discard-cache drops what is dirty and takes the backing as it is', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    await during(machine.time, volume.drain())
    await ask(volume, aWrite(512 * KIB, 2))
    machine.crash()
    machine.backing.bytes.fill(0x66, 4096, 8192)
    const next = await machine.open({ backingChanged: 'discard-cache' })
    expect((await contentOf(next, 512 * KIB))[0]).toBe(0)
    expect((await contentOf(next, 4096))[0]).toBe(0x66)
  })

  test('blocks that the log still holds are not compared', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    await during(machine.time, volume.drain())
    // Destaged, but not yet trimmed.
    await ask(volume, aWrite(0, 2))
    machine.cache.fail('write', Infinity, { to: LOG_START })
    machine.crash()
    machine.backing.bytes.fill(2, 0, 4096)
    const next = await machine.open()
    expect((await contentOf(next, 0))[0]).toBe(2)
  })
})

test('a log that wrapped many times is replayed whole', async () => {
  const machine = new TestMachine()
  let volume = await machine.open()
  for (let i = 0; i < 5 * (LOG_BYTES / (64 * KIB)); i += 1) {
    await ask(volume, aWrite((i % 8) * 64 * KIB, i & 0xff, 64 * KIB))
    await machine.time.advance(300)
    if (i % 17 === 0) {
      volume = await machine.restart()
      volume.resendDrained()
    }
  }
  const last = 5 * Math.floor(LOG_BYTES / (64 * KIB)) - 1
  for (let i = last - 6; i <= last; i += 1) expect((await contentOf(volume, (i % 8) * 64 * KIB))[0]).toBe(i & 0xff)
})
