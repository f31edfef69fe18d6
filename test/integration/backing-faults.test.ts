// Proves: a backing that fails, is full, is slow or hangs costs no acknowledged write. Dirty data stays in the cache, the
// status says since when and why, reads that hit go on, and when the backing is well again everything gets there by
// itself. Only what the backing alone could answer fails, with the backing's own error.
import { testOn } from '../run/requires.ts'
import { Oracle } from './harness/oracle.ts'
import { Served } from './harness/served.ts'
import { command, MIB, obstacleOfHost, pause, type Ran, TestBed, tryCommand, until } from './harness/test-bed.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHost('blkdiscard', 'fio'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('faults')
})
afterEach(() => bed.tearDown())

/** Everything is on the backing and nothing was lost. */
async function expectAllThere(served: Served, oracle: Oracle, backing: string): Promise<void> {
  const seen = await oracle.verify()
  await oracle.close()
  expect([seen.errors, seen.lost, seen.samples]).toEqual([0, 0, []])
  await served.stop()
  await oracle.open(backing)
  const bare = await oracle.verify()
  await oracle.close()
  expect([bare.errors, bare.lost, bare.samples]).toEqual([0, 0, []])
}

for (const [code, kinds] of [
  ['EIO', ['write', 'zero']],
  // Not the zeroes: the loop driver below turns their ENOSPC into EIO.
  ['ENOSPC', ['write']],
] as const) {
  onKernel(`writes to the backing fail with ${code} for a while`, async () => {
    const disk = await bed.slowDisk({ sizeBytes: 32 * MIB })
    const served = await Served.serve(bed, { backing: disk.device, flags: ['--dirty-age', '200ms'] })
    const oracle = new Oracle(bed, SEED)
    await oracle.open(served.device)
    await oracle.load(500)
    // From here on far less than the log holds: with it full, writers rightly wait for the backing.
    await served.must('drain')
    await disk.fail([...kinds], code)
    await oracle.load(200)
    await until('the status says so', async () => (await served.status()).backingHealth.failing)
    const failing = await served.status()
    expect(failing.dirtyBytes).toBeGreaterThan(0)
    expect(failing.backingHealth.reason).toMatch(code === 'ENOSPC' ? /full|ENOSPC/i : /EIO/)
    served.killEngine()
    await pause(500)
    await oracle.load(100)
    await disk.heal()
    await served.must('drain')
    await until('the backing counts as well again', async () => !(await served.status()).backingHealth.failing)
    await expectAllThere(served, oracle, disk.device)
  })
}

onKernel('the engine dies while nothing works at the backing: it serves again when that is well', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 32 * MIB })
  const served = await Served.serve(bed, { backing: disk.device, flags: ['--dirty-age', '200ms'] })
  const oracle = new Oracle(bed, SEED)
  await oracle.open(served.device)
  await oracle.load(500)
  await disk.fail(['write', 'zero', 'flush'], 'EIO')
  const load = oracle.load(1500)
  await pause(300)
  served.killEngine()
  await pause(2500)
  await disk.heal()
  const report = await load
  expect([report.errors, report.lost]).toEqual([0, 0])
  await expectAllThere(served, oracle, disk.device)
})

onKernel('the backing hangs for a while, with the dirty limit near', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 64 * MIB })
  const flags = ['--dirty-age', '200ms', '--dirty-limit', '8MiB']
  const served = await Served.serve(bed, { backing: disk.device, flags })
  const oracle = new Oracle(bed, SEED)
  await oracle.open(served.device)
  await disk.hang()
  const load = oracle.load(4000)
  await pause(3000)
  expect((await served.status()).dirtyBytes).toBeGreaterThan(0)
  await disk.heal()
  const report = await load
  expect([report.errors, report.lost]).toEqual([0, 0])
  await expectAllThere(served, oracle, disk.device)
})

onKernel('a backing that hangs keeps no thread from the log, and the status tells it', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 64 * MIB })
  // Slow enough that the engine writes to it by the pool of threads.
  const cache = await bed.slowDisk({ sizeBytes: 128 * MIB, latencyMs: 2 })
  const flags = ['--dirty-age', '100ms', '--dirty-limit', '32MiB']
  const served = await Served.serve(bed, { backing: disk.device, cache: cache.device, cacheSize: '', flags })
  const write = (kib: number): Promise<Ran> => {
    const job = ['--name=w', '--rw=randwrite', '--bs=4k', '--direct=1', '--ioengine=libaio', '--iodepth=64']
    return tryCommand('fio', [...job, `--filename=${served.device}`, '--size=32m', `--io_size=${kib}k`], 120_000)
  }
  expect((await write(4096)).status).toBe(0)
  await disk.hang()
  // The first write here sends whatever there is to the backing, on all its threads.
  expect((await write(4096)).status).toBe(0)
  await pause(1000)
  expect((await write(4096)).status).toBe(0)
  await until('the status says so', async () => (await served.status()).backingHealth.failing)
  expect((await served.status()).backingHealth.reason).toMatch(/does not answer/)
  await disk.heal()
  await served.must('drain')
  await until('the backing counts as well again', async () => !(await served.status()).backingHealth.failing)
  await served.stop()
})

onKernel('a backing that takes 30 ms holds writers back at the dirty limit', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 64 * MIB, latencyMs: 30 })
  const served = await Served.serve(bed, { backing: disk.device, flags: ['--dirty-limit', '4MiB'] })
  const oracle = new Oracle(bed, SEED)
  await oracle.open(served.device)
  const load = oracle.load(4000)
  let most = 0
  for (let look = 0; look < 5; look++) {
    await pause(600)
    most = Math.max(most, (await served.status()).dirtyBytes)
  }
  const report = await load
  expect([report.errors, report.lost]).toEqual([0, 0])
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThanOrEqual(4 * MIB)
  await disk.latency(1)
  await expectAllThere(served, oracle, disk.device)
})

onKernel('reads of the backing fail: what is cached is served, the rest fails as the backing does', async () => {
  const disk = await bed.slowDisk({ sizeBytes: 32 * MIB })
  const served = await Served.serve(bed, { backing: disk.device })
  const read = (block: number): Promise<{ status: number }> =>
    tryCommand('dd', [`if=${served.device}`, 'of=/dev/null', 'bs=4096', `skip=${block}`, 'count=1', 'iflag=direct'])
  await command('dd', 'if=/dev/urandom', `of=${served.device}`, 'bs=4096', 'count=16', 'oflag=direct')
  expect((await read(4000)).status).toBe(0)
  await served.must('drain')
  await disk.fail(['read'], 'EIO')
  expect((await read(3)).status).toBe(0)
  expect((await read(5000)).status).toBe(1)
  await disk.heal()
  expect((await read(5000)).status).toBe(0)
  await served.stop()
})
