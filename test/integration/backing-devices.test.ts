// Proves on the real kernel: what the backing adapters write is there, zeroes read as zeros through O_DIRECT and for
// everybody else, a claim keeps others out and outlives a crashed engine while its child runs, sizes follow the device,
// and whatever is not a usable backing is refused by name with nothing changed. Loop device over ext4, file on ext4,
// file on tmpfs. Needs root.
import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CacheError } from '../../base/errors.ts'
import type { IoError } from '../../base/errors.ts'
import { SystemAlignedMemory } from '../../csi-driver/io/real/aligned-memory.ts'
import type { OpenBackingOptions, OpenedBacking } from '../../csi-driver/io/real/block-device.ts'
import { RealProcesses } from '../../csi-driver/io/real/exec.ts'
import { openBacking } from '../../csi-driver/io/real/open-backing.ts'
import type { BackingStorage, IoDone } from '../../csi-driver/io/storage.ts'

const SIZE = 8 * 1024 * 1024
const memory = new SystemAlignedMemory()
const processes = new RealProcesses()
const cleanUps: (() => void)[] = []

function directory(parent = tmpdir()): string {
  const path = mkdtempSync(join(parent, 'forebay-backing-'))
  cleanUps.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function image(parent?: string, size = SIZE): string {
  const path = join(directory(parent), 'image')
  writeFileSync(path, Buffer.alloc(size, 0xaa))
  return path
}

function loop(path: string, ...options: string[]): string {
  const device = run('losetup', '--find', '--show', ...options, path)
  cleanUps.push(() => run('losetup', '-d', device))
  return device
}

const run = (program: string, ...words: string[]): string => execFileSync(program, words, { encoding: 'utf8' }).trim()

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) {
    try {
      cleanUp()
    } catch {
      // Undone by the test itself.
    }
  }
})

const opened = (path: string, options: Partial<OpenBackingOptions> = {}): Promise<OpenedBacking> =>
  openBacking({ path, processes, ...options })

function outcome(call: (done: IoDone) => void): Promise<IoError | null> {
  return new Promise((resolve) => call(resolve))
}

async function must(call: (done: IoDone) => void): Promise<void> {
  expect(await outcome(call)).toBeNull()
}

const closeDevice = (device: BackingStorage): Promise<void> => must((done) => device.close(done))

async function refusalOf(promise: Promise<unknown>): Promise<CacheError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(CacheError)
  expect((error as CacheError).remedy).toMatch(/\.$/)
  return error as CacheError
}

const KINDS: readonly [string, () => { path: string; content: string }][] = [
  [
    'block device',
    () => {
      const content = image()
      const path = loop(content)
      return { path, content: path }
    },
  ],
  ['file on a disk', () => same(image())],
  ['file in memory', () => same(image('/dev/shm'))],
]
const same = (path: string): { path: string; content: string } => ({ path, content: path })

describe.each(KINDS)('%s', (kind, make) => {
  test('writes, reads, flushes and zeroes in 512-byte steps where it says so', async () => {
    const { path, content } = make()
    const { device, identity, directIo } = await opened(path)
    expect([device.sizeBytes, device.alignmentBytes, device.canZero]).toEqual([SIZE, 512, true])
    expect(identity).toMatchObject({ kind: kind === 'block device' ? 'block' : 'file', sizeBytes: SIZE })
    if (kind !== 'file in memory') expect(directIo).toBe(true)

    const out = memory.allocate(64 * 1024).fill(0x5b)
    await must((done) => device.write(out, 4096, 512, 512, done))
    await must((done) => device.write(out, 0, 65_536, 1024 * 1024, done))
    await must((done) => device.flush(done))
    await must((done) =>
      device.zero(
        [
          { position: 1024 * 1024 + 4096, length: 8192 },
          { position: 4 * 1024 * 1024, length: 2 * 1024 * 1024 },
        ],
        done,
      ),
    )
    await must((done) => device.flush(done))
    const back = memory.allocate(64 * 1024)
    await must((done) => device.read(back, 0, 65_536, 1024 * 1024, done))
    const expected = Buffer.alloc(65_536, 0x5b).fill(0, 4096, 12_288)
    expect(back.equals(expected)).toBe(true)
    await must((done) => device.read(back, 0, 4096, 0, done))
    expect(back.subarray(0, 4096).equals(Buffer.alloc(4096, 0xaa).fill(0x5b, 512, 1024))).toBe(true)
    await closeDevice(device)

    const all = Buffer.alloc(SIZE)
    const fd = openSync(content, 'r')
    expect(readSync(fd, all, 0, SIZE, 0)).toBe(SIZE)
    closeSync(fd)
    const model = Buffer.alloc(SIZE, 0xaa).fill(0x5b, 512, 1024)
    expected.copy(model, 1024 * 1024)
    model.fill(0, 4 * 1024 * 1024, 6 * 1024 * 1024)
    expect(all.equals(model)).toBe(true)
  })

  test('zeroes and writes of neighbouring blocks in flight together do not disturb each other', async () => {
    const { path } = make()
    const { device } = await opened(path)
    const out = memory.allocate(4096).fill(0x77)
    const calls: Promise<void>[] = []
    for (let i = 0; i < 64; i++) {
      const position = i * 8192
      calls.push(must((done) => device.write(out, 0, 4096, position, done)))
      if (i % 16 === 0) {
        const ranges = Array.from({ length: 16 }, (_, j) => ({ position: position + j * 8192 + 4096, length: 4096 }))
        calls.push(must((done) => device.zero(ranges, done)))
      }
    }
    await Promise.all(calls)
    const back = memory.allocate(64 * 8192)
    await must((done) => device.read(back, 0, back.length, 0, done))
    for (let i = 0; i < 128; i++) expect(back[i * 4096 + 99]).toBe(i % 2 === 0 ? 0x77 : 0)
    await closeDevice(device)
  })

  test('beyond the end is EINVAL and changes nothing', async () => {
    const { path, content } = make()
    const { device } = await opened(path)
    const buffer = memory.allocate(8192)
    for (const call of [
      (done: IoDone) => device.read(buffer, 0, 8192, SIZE - 4096, done),
      (done: IoDone) => device.write(buffer, 0, 8192, SIZE - 4096, done),
      (done: IoDone) => device.zero([{ position: SIZE - 4096, length: 8192 }], done),
    ]) {
      expect((await outcome(call))?.code).toBe('EINVAL')
    }
    await closeDevice(device)
    expect(readFileSync(content).every((byte) => byte === 0xaa)).toBe(true)
  })

  test('a second opener is kept out until the first one has closed', async () => {
    const { path } = make()
    const first = await opened(path)
    const second = opened(path)
    let secondIsOpen = false
    void second.then(() => (secondIsOpen = true))
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(secondIsOpen).toBe(false)
    await closeDevice(first.device)
    await closeDevice((await second).device)
  })

  test('whoever only looks is told at once that it is claimed', async () => {
    const { path } = make()
    const first = await opened(path)
    expect((await refusalOf(opened(path, { claimWaitMs: 0 }))).code).toBe('CACHE_BACKING_CLAIMED')
    await closeDevice(first.device)
  })

  test('a child that still holds the descriptor keeps the successor out', async () => {
    const { path } = make()
    const { device } = await opened(path)
    const fd = (device as unknown as { fd: number }).fd
    const child = spawn('sleep', ['1'], { stdio: ['ignore', 'ignore', 'ignore', fd] })
    const ended = new Promise((resolve) => child.on('exit', resolve))
    await closeDevice(device)
    let childEnded = false
    void ended.then(() => (childEnded = true))
    const successor = await opened(path)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(childEnded).toBe(true)
    await closeDevice(successor.device)
  })

  test('the identity is the same at every open and differs from another one', async () => {
    const [one, other] = [make(), make()]
    const identities = []
    for (const path of [one.path, one.path, other.path]) {
      const { device, identity } = await opened(path)
      identities.push(identity)
      await closeDevice(device)
    }
    expect(identities[0]).toEqual(identities[1])
    expect(identities[0]?.id).not.toBe(identities[2]?.id)
    expect(identities[0]?.id.length).toBeLessThanOrEqual(128)
  })

  test('read-only opens beside a claim and cannot write', async () => {
    const { path } = make()
    const writer = await opened(path)
    const { device } = await opened(path, { readOnly: true })
    const buffer = memory.allocate(4096)
    await must((done) => device.read(buffer, 0, 4096, 0, done))
    expect((await outcome((done) => device.write(buffer, 0, 4096, 0, done)))?.code).toBe('EBADF')
    await closeDevice(device)
    await closeDevice(writer.device)
  })
})

test('sizes follow the device', async () => {
  const content = image()
  const path = loop(content)
  const onBlock = await opened(path)
  truncateSync(content, SIZE * 2)
  run('losetup', '-c', path)
  await must((done) => onBlock.device.refreshSize(done))
  expect(onBlock.device.sizeBytes).toBe(SIZE * 2)
  await closeDevice(onBlock.device)
  const file = image()
  const onFile = await opened(file)
  truncateSync(file, SIZE + 1000)
  await must((done) => onFile.device.refreshSize(done))
  expect(onFile.device.sizeBytes).toBe(SIZE + 512)
  await closeDevice(onFile.device)
})

test('a device with 4096-byte sectors says so', async () => {
  const { device } = await opened(loop(image(), '--sector-size', '4096'))
  expect(device.alignmentBytes).toBe(4096)
  await closeDevice(device)
})

test('a mounted device is refused with its mount point', async () => {
  const device = loop(image())
  run('mkfs.ext4', '-q', device)
  const mountPoint = directory()
  run('mount', device, mountPoint)
  cleanUps.push(() => run('umount', mountPoint))
  const error = await refusalOf(opened(device))
  expect([error.code, error.message]).toEqual([
    'CACHE_BACKING_IN_USE',
    expect.stringContaining(`mounted on ${mountPoint}`),
  ])
})

test('what we hold cannot be mounted', async () => {
  const device = loop(image())
  run('mkfs.ext4', '-q', device)
  const backing = await opened(device)
  const mountPoint = directory()
  expect(() => run('mount', device, mountPoint)).toThrow('mount')
  await closeDevice(backing.device)
})

test('a file or device under a loop device is refused with its name', async () => {
  const file = image()
  const device = loop(file)
  const above = loop(device)
  for (const [path, name] of [
    [file, device],
    [device, above],
  ] as const) {
    const error = await refusalOf(opened(path))
    expect([error.code, error.message]).toEqual(['CACHE_BACKING_IN_USE', expect.stringContaining(name)])
  }
})

test('a read-only device is refused', async () => {
  expect((await refusalOf(opened(loop(image(), '--read-only')))).code).toBe('CACHE_BACKING_READ_ONLY')
})

test('the accelerated device of a volume is refused with the name of the volume', async () => {
  const device = loop(image())
  const names = directory()
  symlinkSync(device, join(names, 'orders'))
  const error = await refusalOf(opened(device, { deviceDirectory: names }))
  expect([error.code, error.message]).toEqual([
    'CACHE_BACKING_IS_ACCELERATED',
    expect.stringContaining('volume=orders'),
  ])
})

test.each([
  ['missing', () => join(directory(), 'nothing'), 'CACHE_BACKING_MISSING'],
  ['below a file', () => join(image(), 'x'), 'CACHE_BACKING_MISSING'],
  ['directory', () => directory(), 'CACHE_BACKING_KIND'],
  ['character device', () => '/dev/null', 'CACHE_BACKING_KIND'],
  ['empty file', () => image(undefined, 0), 'CACHE_BACKING_EMPTY'],
])('%s is refused', async (_, make, code) => {
  expect((await refusalOf(opened(make()))).code).toBe(code)
})

test('the probe for holes changes neither size nor content', async () => {
  const file = image(undefined, 8192 + 100)
  const { device } = await opened(file)
  expect(device.sizeBytes).toBe(8192)
  await closeDevice(device)
  expect(readFileSync(file).equals(Buffer.alloc(8292, 0xaa))).toBe(true)
})
