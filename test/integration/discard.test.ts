// Proves: what was discarded or zeroed reads as zeros, in any alignment that the kernel can ask for, beside and above
// older and newer writes, through a killed engine, and on the bare backing after the stop; and the backing is told
// about it instead of being written full of zeros.
import { readFileSync, writeFileSync } from 'node:fs'
import { createPrng } from '../../base/prng.ts'
import { testOn } from '../run/requires.ts'
import { Served } from './harness/served.ts'
import { command, MIB, obstacleOfHost, TestBed } from './harness/test-bed.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const VOLUME_BYTES = 32 * MIB
const onKernel = testOn(obstacleOfHost('blkdiscard', 'fstrim', 'mkfs.ext4'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('discard')
})
afterEach(() => bed.tearDown())

async function put(device: string, data: Buffer, position: number): Promise<void> {
  const file = bed.path('data')
  writeFileSync(file, data)
  const unit = [MIB, 65_536, 4096].find((size) => position % size === 0 && data.length % size === 0) ?? 512
  const words = [`bs=${unit}`, `seek=${position / unit}`, 'oflag=direct', 'conv=notrunc', 'status=none']
  await command('dd', `if=${file}`, `of=${device}`, ...words)
}

async function contentOf(device: string): Promise<Buffer> {
  const file = bed.path('content')
  await command('dd', `if=${device}`, `of=${file}`, 'bs=1M', 'iflag=direct', 'status=none')
  return readFileSync(file)
}

function firstDifference(found: Buffer, expected: Buffer): number {
  return found.equals(expected) ? -1 : found.findIndex((byte, i) => byte !== expected[i])
}

onKernel(`writes, zeroes and discards over each other (seed ${SEED})`, async () => {
  const prng = createPrng(SEED)
  const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
  const served = await Served.serve(bed, { backing: disk.device, flags: ['--dirty-age', '300ms'] })
  const model = Buffer.alloc(VOLUME_BYTES, 0x11)
  await put(served.device, model, 0)
  for (let step = 0; step < 90; step++) {
    const coarse = prng.chance(0.5)
    const unit = coarse ? 4096 : 512
    const length = unit * (1 + prng.below(coarse ? 600 : 40))
    const position = unit * prng.below((VOLUME_BYTES - length) / unit)
    const place = ['-f', '-o', String(position), '-l', String(length), served.device]
    const roll = prng.below(3)
    if (roll === 0) {
      const data = Buffer.alloc(length, 1 + prng.below(255))
      await put(served.device, data, position)
      data.copy(model, position)
    } else {
      await command('blkdiscard', ...(roll === 1 ? ['-z'] : []), ...place)
      model.fill(0, position, position + length)
    }
    if (step === 45) served.killEngine()
  }
  expect(firstDifference(await contentOf(served.device), model)).toBe(-1)
  await served.stop()
  expect(firstDifference(await contentOf(disk.device), model)).toBe(-1)
})

onKernel('the whole device at once, and written again', async () => {
  const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
  const served = await Served.serve(bed, { backing: disk.device })
  await put(served.device, Buffer.alloc(8 * MIB, 0x77), 0)
  await command('blkdiscard', '-f', served.device)
  await put(served.device, Buffer.alloc(4096, 0x55), MIB)
  const model = Buffer.alloc(VOLUME_BYTES).fill(0x55, MIB, MIB + 4096)
  expect(firstDifference(await contentOf(served.device), model)).toBe(-1)
  const before = await disk.status()
  await served.must('drain')
  const after = await disk.status()
  expect(after.zeroes).toBeGreaterThan(before.zeroes)
  expect(after.writtenBytes - before.writtenBytes).toBeLessThan(8 * MIB)
  await served.stop()
  expect(firstDifference(await contentOf(disk.device), model)).toBe(-1)
})

onKernel('fstrim of a file system passes through, and its files stay', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 64 * MIB })
  const served = await Served.serve(bed, { backing: disk.device })
  await command('mkfs.ext4', '-q', served.device)
  const mounted = await bed.mount(served.device)
  writeFileSync(`${mounted.path}/stays`, Buffer.alloc(MIB, 0x42))
  writeFileSync(`${mounted.path}/goes`, Buffer.alloc(16 * MIB, 0x43))
  await command('sync', '-f', mounted.path)
  await command('rm', `${mounted.path}/goes`)
  await command('sync', '-f', mounted.path)
  expect(await command('fstrim', '-v', mounted.path)).toMatch(/trimmed/)
  await mounted.unmount()
  await served.stop()
  expect((await disk.status()).zeroes).toBeGreaterThan(0)
  await command('e2fsck', '-fn', disk.device)
  const bare = await bed.mount(disk.device, '-o', 'ro')
  expect(readFileSync(`${bare.path}/stays`).equals(Buffer.alloc(MIB, 0x42))).toBe(true)
  await bare.unmount()
})
