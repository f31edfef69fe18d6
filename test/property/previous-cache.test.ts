// Proves that a read never shows an old block, whatever interleaves: real PreviousCache over simulated streams to a real
// receiver that serves a left cache; reads, writes and their effect on the backing, answers that are late, damaged slots, a
// peer that dies, cut links. Each block that a read shows was on the backing at some moment between its begin and its end;
// every read ends; and a cache that differs from the backing at the beginning is found out before it answers anything.
import { xxhash64Low32 } from '../../base/xxhash64.ts'
import { MemoryEventLog } from '../../base/log.ts'
import { MIB } from '../../base/units.ts'
import { PreviousCache } from '../../csi-driver/engine/previous-cache/previous-cache.ts'
import type { IoDone } from '../../csi-driver/io/storage.ts'
import { Receiver } from '../../csi-driver/replica/receiver.ts'
import { SimNetwork } from '../sim/network.ts'
import { Process, World } from '../sim/world.ts'
import { heapMemory } from '../unit/csi-driver/replica/store/store-kit.ts'
import { MemoryStorage } from '../unit/csi-driver/journal/memory-storage.ts'
import { MemoryStore } from '../unit/csi-driver/replica/receiver/memory-store.ts'

const ORIGINS = { monotonicMs: 5, bootMs: 7, wallMs: 1_700_000_000_000 }
const ADDRESS = { kind: 'tcp', host: 'old', port: 7000 } as const
const KEY = Buffer.alloc(32, 5)
const UUID = '5'.repeat(32)
const RV = 9
const BLOCKS = 96
const BLOCK = 4096

interface OpenRead {
  readonly first: number
  readonly count: number
  /** Versions that stood on the backing since it began. */
  readonly seen: Set<number>[]
}

interface Options {
  /** Writes tell the cache what they are about to change: off, stale reads must be found. */
  readonly tells: boolean
  readonly backingMs: number
  readonly foreignWrite?: boolean
}

/** The volume on its backing, with every version that each block has had. */
class Volume {
  readonly versions = Array.from({ length: BLOCKS }, () => 1)
  readonly open = new Set<OpenRead>()
  readonly world: World
  readonly backingMs: number
  backingReads = 0

  constructor(world: World, backingMs: number) {
    this.world = world
    this.backingMs = backingMs
  }

  content(block: number, version = this.versions[block] as number): Buffer {
    const data = Buffer.alloc(BLOCK, (block * 31 + version * 7) & 0xff)
    data.writeUInt32LE(block, 0)
    data.writeUInt32LE(version, 4)
    return data
  }

  set(block: number): void {
    const version = (this.versions[block] ?? 0) + 1
    this.versions[block] = version
    for (const { first, count, seen } of this.open) {
      if (block >= first && block < first + count) seen[block - first]?.add(version)
    }
  }

  /** As BackingStore.read: what it brings was there at some moment in between. */
  read(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.backingReads += 1
    const { prng } = this.world
    const firstMs = this.backingMs * prng.float()
    this.world.schedule(firstMs, 'backing reads', () => {
      for (let at = 0; at < length; at += BLOCK) this.content((position + at) / BLOCK).copy(buffer, start + at)
      this.world.schedule(this.backingMs * prng.float(), 'backing has read', () => done(null))
    })
  }
}

async function run(seed: string, { tells, backingMs, foreignWrite = false }: Options) {
  const world = new World(seed)
  const { prng } = world
  const network = new SimNetwork(world, { latencyMs: 0.2, chunkBytesMax: 20_000 })
  const log = new MemoryEventLog()
  const process = (name: string): Process => {
    const made: Process = new Process(world, name, ORIGINS, () => network.processDied(made))
    return made
  }
  const [old, now] = [process('old'), process('now')]
  const volume = new Volume(world, backingMs)
  const receiver = await serveLeftCache(world, { volume, network, old, log })
  if (foreignWrite) for (let block = 0; block < BLOCKS; block += 1) volume.set(block)

  const previous = new PreviousCache(
    {
      network: network.attach(now, 'now'),
      clock: now.clock,
      timers: now.timers,
      log,
      memory: heapMemory,
      backing: volume,
    },
    {
      identity: { volume: 'vol', volumeUuid: UUID, volumeKey: KEY, node: 'now', epoch: 5, run: 1 },
      peers: [{ node: 'old', address: ADDRESS, domain: '' }],
      registerRv: RV,
      edgeBytes: 4 * BLOCK,
    },
  )
  const stale: string[] = []
  let reads = 0
  let ended = 0
  const read = (): void => {
    const first = prng.below(BLOCKS)
    const count = 1 + prng.below(Math.min(prng.chance(0.1) ? 20 : 3, BLOCKS - first))
    const one: OpenRead = {
      first,
      count,
      seen: Array.from({ length: count }, (_, i) => new Set([volume.versions[first + i] as number])),
    }
    volume.open.add(one)
    reads += 1
    const buffer = Buffer.alloc(count * BLOCK)
    let over = false
    previous.read(prng.chance(0.95), buffer, 0, buffer.length, first * BLOCK, () => {
      if (over) stale.push('a read ended twice')
      over = true
      ended += 1
      volume.open.delete(one)
      for (let i = 0; i < count; i += 1) {
        const version = buffer.readUInt32LE(i * BLOCK + 4)
        const right =
          one.seen[i]?.has(version) === true &&
          buffer.subarray(i * BLOCK, (i + 1) * BLOCK).equals(volume.content(first + i, version))
        if (!right) stale.push(`block=${first + i} version=${version} allowed=${[...(one.seen[i] ?? [])].join()}`)
      }
    })
  }
  const write = (): void => {
    const block = prng.below(BLOCKS)
    if (tells) previous.written(block * BLOCK, BLOCK)
    world.schedule(prng.float() * 4, 'write lands', () => volume.set(block))
  }
  for (let i = 0; i < 600; i += 1) {
    const atMs = prng.float() * 800
    if (i % 12 === 0) world.schedule(atMs + 60, 'write', write)
    else world.schedule(atMs, 'read', read)
  }
  if (prng.chance(0.2)) world.schedule(prng.float() * 800, 'peer dies', () => old.die())
  if (prng.chance(0.2)) world.schedule(prng.float() * 800, 'cut', () => network.cutBoth('old', 'now'))
  await world.run(() => false, 1_500)
  const { hits } = previous.status()
  const whileOpen = previous.status()
  previous.stop()
  await world.run(() => ended === reads, 60_000)
  void receiver
  return { stale, reads, ended, hits, status: whileOpen, log }
}

/** Two blocks of three are in the left cache, some of them damaged since. */
async function serveLeftCache(
  world: World,
  { volume, network, old, log }: { volume: Volume; network: SimNetwork; old: Process; log: MemoryEventLog },
): Promise<Receiver> {
  const engines = { endOlder: (_volume: unknown, _epoch: number, done: (error: null) => void) => done(null) }
  const store = new MemoryStore()
  const { clock, timers } = old
  const receiver = new Receiver(
    { network: network.attach(old, 'old'), store, clock, timers, log, memory: heapMemory, engines },
    { node: 'old' },
  )
  await world.waitFor(receiver.listen(ADDRESS), 1000)
  const storage = new MemoryStorage(MIB)
  const held = Array.from({ length: BLOCKS }, (_, block) => block).filter((block) => block % 24 < 16)
  const hashes = held.map((block, slot) => {
    const data = volume.content(block)
    data.copy(storage.bytes, slot * BLOCK)
    return xxhash64Low32(data, 0, BLOCK)
  })
  for (let slot = 40; slot < 44; slot += 1) storage.bytes.fill(0xee, slot * BLOCK, slot * BLOCK + 512)
  receiver.offerCache(
    {
      ...{ volume: 'vol', volumeUuid: UUID, volumeKey: KEY, epochLeft: 4, registerRv: RV, movedTo: 'now' },
      blocks: held.length,
      find: (block) => held.indexOf(block),
      positionAt: (slot) => slot * BLOCK,
      hashAt: (slot) => hashes[slot] as number,
      storage: {
        read: (buffer, start, length, position, done) => {
          const delayMs = world.prng.chance(0.05) ? 30 : world.prng.float()
          world.schedule(delayMs, 'old cache reads', () => storage.read(buffer, start, length, position, done))
        },
        close: (done) => done(null),
      },
    },
    () => {},
  )
  return receiver
}

const seeds = Array.from({ length: 25 }, (_, i) => `previous-${i}`)

test('never a stale block, and every read ends', async () => {
  let hits = 0
  for (const seed of seeds) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one world after the other
    const found = await run(seed, { tells: true, backingMs: 8 })
    expect({ seed, stale: found.stale, open: found.reads - found.ended }).toEqual({ seed, stale: [], open: 0 })
    hits += found.hits
  }
  expect(hits).toBeGreaterThan(1000)
})

test('the check sees: writes that nobody tells of are read old', async () => {
  const found = []
  for (const seed of seeds.slice(0, 10)) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one world after the other
    found.push((await run(seed, { tells: false, backingMs: 8 })).stale.length)
  }
  expect(found.some((count) => count > 0)).toBe(true)
})

test('a backing that is as fast is asked alone', async () => {
  const { hits, status, stale } = await run('fast backing', { tells: true, backingMs: 0.1 })
  expect([stale, hits]).toEqual([[], 0])
  expect(status.latencyMs).toBeGreaterThan(0.2)
})

test('a backing that somebody has written to in between is noticed before anything is answered', async () => {
  for (const seed of seeds.slice(0, 5)) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one world after the other
    const { hits, status, stale, log } = await run(seed, { tells: true, backingMs: 8, foreignWrite: true })
    expect([stale, hits, status.state]).toEqual([[], 0, 'over'])
    expect(status.reason).toMatch(/differs from the backing|ended|closed/)
    expect(log.named('engine.previous_cache.differs').length).toBeLessThanOrEqual(1)
  }
})
