// Proves the simulated disk: what is durable when, what a dead process and a power cut leave, and every fault.
import { SECTOR_BYTES } from '../../base/units.ts'
import type { BackingStorage } from '../../csi-driver/io/storage.ts'
import { type DiskSettings, SimulatedDisk } from './disk.ts'
import { Process, World } from './world.ts'

const SECTORS = 64

function setUp(
  changes: Partial<DiskSettings> = {},
  seed = 'disk',
): { world: World; disk: SimulatedDisk; process: Process; port: BackingStorage } {
  const world = new World(seed)
  const disk = new SimulatedDisk(world, {
    name: 'disk',
    sizeBytes: SECTORS * SECTOR_BYTES,
    alignmentBytes: SECTOR_BYTES,
    volatileCache: true,
    canZero: true,
    latencyMs: 1,
    megabytesPerSecond: 100,
    synchronousShare: 0,
    ...changes,
  })
  const process = new Process(world, 'engine', { monotonicMs: 0, bootMs: 0, wallMs: 0 }, () =>
    disk.processDied(process),
  )
  return { world, disk, process, port: disk.attach(process) }
}

function filled(byte: number, sectors = SECTORS): Buffer {
  return Buffer.from(new ArrayBuffer(sectors * SECTOR_BYTES)).fill(byte)
}

async function run(world: World, call: (done: (error: Error | null) => void) => void): Promise<Error | null> {
  let result: Error | null | undefined
  call((error) => {
    result = error
  })
  await world.run(() => result !== undefined, 100_000)
  return result ?? null
}

/** Sectors of the image that hold this byte, and nothing torn inside a sector. */
function sectorsOf(image: Buffer, byte: number): number {
  let count = 0
  for (let at = 0; at < image.length; at += SECTOR_BYTES) {
    const sector = image.subarray(at, at + SECTOR_BYTES)
    expect(sector.every((one) => one === sector[0])).toBe(true)
    if (sector[0] === byte) count++
  }
  return count
}

describe('durability', () => {
  test('comes with the flush that is submitted after the write has ended', async () => {
    const { world, disk, port } = setUp()
    await run(world, (done) => port.write(filled(1), 0, 8192, 0, done))
    expect(sectorsOf(disk.visible, 1)).toBe(16)
    expect(sectorsOf(disk.durable, 1)).toBe(0)
    await run(world, (done) => port.flush(done))
    expect(sectorsOf(disk.durable, 1)).toBe(16)
  })

  test('does not come from a flush that was submitted before the write ended', async () => {
    const { world, disk, port } = setUp()
    let flushed = false
    disk.faults.hungUntilMs = 50
    port.write(filled(1), 0, 4096, 0, () => undefined)
    port.flush(() => (flushed = true))
    await world.run(() => flushed && disk.inFlight.size === 0, 1000)
    expect(sectorsOf(disk.visible, 1)).toBe(8)
    expect(sectorsOf(disk.durable, 1)).toBe(0)
  })

  test('comes with the end of the write where there is no volatile cache', async () => {
    const { world, disk, port } = setUp({ volatileCache: false })
    await run(world, (done) => port.write(filled(1), 0, 4096, 0, done))
    disk.powerCut()
    expect(sectorsOf(disk.durable, 1)).toBe(8)
  })

  test('is refused by a flush that fails, for good if it drops what it covers', async () => {
    const { world, disk, port } = setUp()
    await run(world, (done) => port.write(filled(1), 0, 4096, 0, done))
    disk.faults.failFlushes = 1
    disk.faults.failedFlushDrops = true
    expect(await run(world, (done) => port.flush(done))).not.toBeNull()
    expect(await run(world, (done) => port.flush(done))).toBeNull()
    expect(sectorsOf(disk.visible, 1)).toBe(8)
    disk.powerCut()
    expect(sectorsOf(disk.visible, 1)).toBe(0)
  })
})

describe('a power cut', () => {
  test('leaves any subset of the sectors that are not durable, whole sectors each', async () => {
    const left = new Set<number>()
    for (let seed = 0; seed < 60; seed++) {
      const { world, disk, port } = setUp({}, `cut ${seed}`)
      await run(world, (done) => port.write(filled(1), 0, 8192, 0, done))
      port.write(filled(2), 0, 8192, 16384, () => undefined)
      disk.powerCut()
      left.add(sectorsOf(disk.visible, 1) * 100 + sectorsOf(disk.visible, 2))
      expect(disk.inFlight.size).toBe(0)
      expect(disk.durable.equals(disk.visible)).toBe(true)
    }
    expect(left.size).toBeGreaterThan(10)
    expect(left.has(0)).toBe(true)
    expect(left.has(1616)).toBe(true)
  })
})

describe('a dead process', () => {
  test('has its I/O ended wholly, in part or not at all, and never hears of it', async () => {
    const left = new Set<number>()
    for (let seed = 0; seed < 60; seed++) {
      const { world, disk, process, port } = setUp({}, `death ${seed}`)
      let heard = false
      port.write(filled(1), 0, 4096, 0, () => (heard = true))
      process.die()
      expect(disk.hasInFlight(process)).toBe(true)
      await world.run(() => !disk.hasInFlight(process), 1000)
      expect(heard).toBe(false)
      left.add(sectorsOf(disk.visible, 1))
    }
    expect(left.has(0)).toBe(true)
    expect(left.has(8)).toBe(true)
    expect(left.size).toBeGreaterThan(2)
  })

  test('submits nothing', async () => {
    const { world, disk, process, port } = setUp()
    process.die()
    port.write(filled(1), 0, 4096, 0, () => undefined)
    await world.run(() => false, 100)
    expect(disk.operations).toBe(0)
  })
})

describe('faults', () => {
  test('fail so many operations, with the code that was set, and tear the write', async () => {
    const { world, disk, port } = setUp()
    disk.faults.failWrites = 1
    disk.faults.code = 'ENOSPC'
    const error = await run(world, (done) => port.write(filled(1), 0, 4096, 0, done))
    expect((error as { code?: string } | null)?.code).toBe('ENOSPC')
    expect(await run(world, (done) => port.write(filled(1), 0, 4096, 0, done))).toBeNull()
    expect(disk.faults.injected.errors).toBe(1)
  })

  test('let nothing end while the disk hangs', async () => {
    const { world, disk, port } = setUp()
    disk.faults.hungUntilMs = 500
    await run(world, (done) => port.write(filled(1), 0, 4096, 0, done))
    expect(world.nowMs).toBeGreaterThan(500)
  })

  test('lose a write or do it elsewhere', async () => {
    const lost = setUp()
    lost.disk.faults.loseWrites = 1
    await run(lost.world, (done) => lost.port.write(filled(1), 0, 4096, 0, done))
    expect(sectorsOf(lost.disk.visible, 1)).toBe(0)
    const misdirected = setUp({}, 'misdirected')
    misdirected.disk.faults.misdirectWrites = 1
    await run(misdirected.world, (done) => misdirected.port.write(filled(1), 0, 4096, 0, done))
    expect(sectorsOf(misdirected.disk.visible, 1)).toBe(8)
  })

  test('end with heal', () => {
    const { disk } = setUp()
    disk.faults.allWritesFail = true
    disk.faults.failReads = 3
    disk.faults.slowFactor = 9
    disk.faults.heal()
    expect([disk.faults.isFailing, disk.faults.slowFactor]).toEqual([false, 1])
  })
})

describe('bad calls', () => {
  test.each([
    ['beyond the end', 0, 4096, SECTORS * SECTOR_BYTES],
    ['not aligned', 0, 100, 0],
    ['from memory that is not aligned', 8, 512, 0],
  ])('%s are refused', async (_name, start, length, position) => {
    const { world, port } = setUp()
    const error = await run(world, (done) => port.write(filled(1), start, length, position, done))
    expect((error as { code?: string } | null)?.code).toBe('EINVAL')
  })
})
