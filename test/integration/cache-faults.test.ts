// Proves: a cache that was lost, damaged, swapped or put back from an old copy between two runs is never taken for what
// it is not. With nothing dirty the volume goes on; with acknowledged writes missing it is refused with a message that
// says what to do, nothing is changed, and only the volume's name after --accept-data-loss goes past it.
import { copyFileSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { testOn } from '../run/requires.ts'
import { Oracle } from './harness/oracle.ts'
import { FOREBAY, Served } from './harness/served.ts'
import { command, MIB, obstacleOfHost, type Ran, TestBed, tryCommand } from './harness/test-bed.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const VOLUME_BYTES = 16 * MIB
const onKernel = testOn(obstacleOfHost('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('cache')
})
afterEach(() => bed.tearDown())

interface Scene {
  readonly served: Served
  readonly oracle: Oracle
  readonly backing: string
  readonly latency: (ms: number) => Promise<unknown>
}

async function scene(): Promise<Scene> {
  const disk = await bed.slowDisk({ sizeBytes: VOLUME_BYTES })
  const served = await Served.serve(bed, { backing: disk.device, cacheSize: '64MiB', flags: ['--dirty-age', '1h'] })
  return { served, oracle: new Oracle(bed, SEED), backing: disk.device, latency: (ms) => disk.latency(ms) }
}

/** Acknowledged writes that the backing lacks, and nobody who serves. */
async function leaveDirty({ served, oracle, latency }: Scene): Promise<void> {
  await oracle.open(served.device)
  await oracle.load(400)
  // Destaging goes on all the time: only a backing that takes its time keeps anything dirty.
  await latency(400)
  await oracle.load(400)
  expect((await served.status()).dirtyBytes).toBeGreaterThan(0)
  await served.killAll()
  await oracle.close()
  await latency(1)
}

async function expectRefused(served: Served, message: RegExp, ...flags: readonly string[]): Promise<void> {
  served.errors = ''
  expect(await served.tryStart(...flags)).toBe(false)
  const { status } = await served.exited()
  expect([status, served.output]).toEqual([2, ''])
  expect(served.errors).toMatch(message)
}

async function expectEverything({ served, oracle, backing }: Scene): Promise<void> {
  await oracle.open(served.device)
  const seen = await oracle.verify()
  await oracle.close()
  expect([seen.lost, seen.samples]).toEqual([0, []])
  await served.stop()
  await oracle.open(backing)
  const bare = await oracle.verify()
  expect([bare.lost, bare.samples]).toEqual([0, []])
}

const contentOf = async (device: string): Promise<Buffer> => {
  const file = bed.path('content')
  await command('dd', `if=${device}`, `of=${file}`, 'bs=1M', 'iflag=direct', 'status=none')
  return readFileSync(file)
}

/** Turns bytes of a file over, and back when done again. */
async function turnOver(path: string, position: number, length: number): Promise<void> {
  const file = await open(path, 'r+')
  const bytes = Buffer.alloc(length)
  await file.read(bytes, 0, length, position)
  for (let i = 0; i < length; i++) bytes[i] = (bytes[i] as number) ^ 0xff
  await file.write(bytes, 0, length, position)
  await file.sync()
  await file.close()
}

onKernel('clean and the cache file is gone: the volume goes on with a new one', async () => {
  const set = await scene()
  await set.oracle.open(set.served.device)
  await set.oracle.load(500)
  await set.oracle.close()
  await set.served.stop()
  rmSync(set.served.cache)
  await set.served.start()
  await expectEverything(set)
})

onKernel('dirty and the cache file is gone: refused until the loss is accepted by name', async () => {
  const set = await scene()
  await leaveDirty(set)
  const before = await contentOf(set.backing)
  renameSync(set.served.cache, `${set.served.cache}.away`)
  await expectRefused(set.served, /--accept-data-loss/)
  await expectRefused(set.served, /--accept-data-loss/, '--accept-data-loss', 'another')
  expect((await contentOf(set.backing)).equals(before)).toBe(true)
  rmSync(set.served.cache, { force: true })
  renameSync(`${set.served.cache}.away`, set.served.cache)
  await set.served.start()
  await expectEverything(set)
  await set.oracle.close()
  await set.served.start()
  await leaveDirty(set)
  rmSync(set.served.cache)
  await set.served.start('--accept-data-loss', set.served.volume)
  await set.served.stop()
})

onKernel('dirty and the log is damaged: refused, nothing changed; well again when the damage is undone', async () => {
  const set = await scene()
  await leaveDirty(set)
  const verify = (): Promise<Ran> => tryCommand(FOREBAY, ['verify', set.served.cache])
  const before = await contentOf(set.backing)
  const dump = await command(FOREBAY, 'inspect', set.served.cache)
  const batches = [...dump.matchAll(/^batch .* position=(\d+) /gm)].map((match) => Number(match[1]))
  expect(batches.length).toBeGreaterThan(2)
  expect((await verify()).status).toBe(0)
  // The first of those that a recovery needs; others follow that were acknowledged.
  const position = batches[0] ?? 0
  await turnOver(set.served.cache, position, 4096)
  expect((await verify()).status).toBe(1)
  await expectRefused(set.served, /log is damaged[^]*--accept-data-loss/)
  expect((await contentOf(set.backing)).equals(before)).toBe(true)
  await turnOver(set.served.cache, position, 4096)
  await set.served.start()
  await expectEverything(set)
})

onKernel('dirty and all superblocks are damaged: refused, and not formatted either', async () => {
  const set = await scene()
  await leaveDirty(set)
  await turnOver(set.served.cache, 0, 32 * 1024)
  await expectRefused(set.served, /cache/i)
  await expectRefused(set.served, /--accept-data-loss/, '--format-cache')
  await turnOver(set.served.cache, 0, 32 * 1024)
  await set.served.start()
  await expectEverything(set)
})

onKernel('the cache of another volume, and foreign content, are refused', async () => {
  const set = await scene()
  const other = await scene()
  await leaveDirty(set)
  await leaveDirty(other)
  const own = `${set.served.cache}.own`
  renameSync(set.served.cache, own)
  copyFileSync(other.served.cache, set.served.cache)
  await expectRefused(set.served, new RegExp(other.served.volume))
  await expectRefused(set.served, /cache/i, '--format-cache')
  const { size } = statSync(own)
  writeFileSync(set.served.cache, Buffer.alloc(size, 'not a cache '))
  await expectRefused(set.served, /--format-cache/)
  renameSync(own, set.served.cache)
  await set.served.start()
  await expectEverything(set)
  await other.served.start()
  await expectEverything(other)
})

onKernel('an old copy of the cache is never replayed over newer data', async () => {
  const set = await scene()
  await leaveDirty(set)
  const copy = `${set.served.cache}.old`
  copyFileSync(set.served.cache, copy)
  await set.served.start()
  await set.oracle.open(set.served.device)
  await set.oracle.load(700)
  await set.oracle.close()
  await set.served.stop()
  copyFileSync(copy, set.served.cache)
  const started = await set.served.tryStart()
  if (!started) expect(set.served.errors).toMatch(/stale|old/i)
  else await set.served.stop()
  await set.oracle.open(set.backing)
  const bare = await set.oracle.verify()
  expect([bare.lost, bare.samples]).toEqual([0, []])
})
