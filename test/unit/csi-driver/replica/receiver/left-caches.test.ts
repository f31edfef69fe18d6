// Proves with real frames that a left cache is read by nobody but the volume's new owner in its first life, that no block is
// sent that is not what its hash says, and that the cache is let go for good when its reader has gone or is warm, when its
// time is over, when the peer stops, and when the volume turns out to have been somebody's in between.
import { xxhash64Low32 } from '../../../../../base/xxhash64.ts'
import {
  LEFT_CACHE_MS,
  LEFT_CACHES_MAX,
  LEFT_READS_WAITING_MAX,
  type LeftCache,
} from '../../../../../csi-driver/replica/receiver/left-cache.ts'
import { MemoryStorage } from '../../journal/memory-storage.ts'
import { KEY, Rig, settle, type TestEngine, TestLog, VOLUME_UUID } from './receiver-kit.ts'

const BLOCK = 4096
const START = 8192
const LEFT_EPOCH = 4
const RV = 77

/** Blocks 10, 20, 21 and 22 of a volume that node-b owns now. */
function leave(rig: Rig, changes: Partial<LeftCache> = {}) {
  const storage = new MemoryStorage(START + 8 * BLOCK)
  const blocks = [10, 20, 21, 22]
  const slots = [3, 0, 1, 7]
  blocks.forEach((block, i) =>
    storage.bytes.fill(
      `block ${block} `,
      START + (slots[i] as number) * BLOCK,
      START + ((slots[i] as number) + 1) * BLOCK,
    ),
  )
  const positionAt = (place: number): number => START + (slots[place] as number) * BLOCK
  const hashes = blocks.map((_, i) => xxhash64Low32(storage.bytes, positionAt(i), positionAt(i) + BLOCK))
  const reasons: string[] = []
  let closed = 0
  const cache: LeftCache = {
    volume: 'tank',
    volumeUuid: VOLUME_UUID,
    volumeKey: KEY,
    epochLeft: LEFT_EPOCH,
    registerRv: RV,
    movedTo: 'node-b',
    blocks: blocks.length,
    find: (block) => blocks.indexOf(block),
    positionAt,
    hashAt: (place) => hashes[place] as number,
    storage: {
      read: (...call) => storage.read(...call),
      close: (done) => {
        closed += 1
        done(null)
      },
    },
    ...changes,
  }
  rig.receiver.offerCache(cache, (reason) => reasons.push(reason))
  return { storage, reasons, closes: () => closed }
}

const reader = (rig: Rig, changes = {}, node = 'node-b'): Promise<TestEngine> =>
  rig.welcomed({ purpose: 'reader', epoch: LEFT_EPOCH + 1, run: 1, volumeKey: null, ...changes }, node)

async function reading(rig: Rig): Promise<TestEngine> {
  const engine = await reader(rig)
  engine.send({ type: 'CACHE', registerRv: RV })
  await settle()
  return engine
}

test('the new owner reads what was clean, and nothing else', async () => {
  const rig = await Rig.start()
  const { storage, reasons } = leave(rig)
  const engine = await reading(rig)
  expect(engine.last('CACHE_IS')).toEqual({
    type: 'CACHE_IS',
    epochLeft: LEFT_EPOCH,
    blocks: 4,
    remainingMs: LEFT_CACHE_MS,
  })
  engine.send({ type: 'READ', number: 9, firstBlock: 19, count: 4 })
  await settle()
  const blocks = engine.last('BLOCKS')
  expect(blocks).toMatchObject({ number: 9, held: 0b1110 })
  expect(
    blocks?.data
      .toString('latin1')
      .match(/block 2[0-2]/g)
      ?.slice(0, 1),
  ).toEqual(['block 20'])
  expect(blocks?.hashes).toHaveLength(3)
  expect(xxhash64Low32(blocks?.data ?? Buffer.alloc(0), 2 * BLOCK, 3 * BLOCK)).toBe(blocks?.hashes[2])

  // Somebody has written into a slot: its block is not sent, those beside it are.
  storage.bytes.fill('x', START + BLOCK, START + BLOCK + 512)
  engine.send({ type: 'READ', number: 10, firstBlock: 20, count: 3 })
  await settle()
  const rest = engine.last('BLOCKS')
  expect([rest?.held, rest?.data.toString('latin1', BLOCK, BLOCK + 8)]).toEqual([0b101, 'block 22'])
  storage.failReads = true
  engine.send({ type: 'READ', number: 11, firstBlock: 10, count: 1 })
  await settle()
  expect(engine.last('BLOCKS')).toMatchObject({ number: 11, held: 0, hashes: [] })
  expect(rig.receiver.status().leftCaches).toMatchObject([
    { reader: true, askedBlocks: 8, servedBlocks: 5, badBlocks: 2 },
  ])

  engine.send({ type: 'HEARTBEAT', number: 3 })
  engine.send({ type: 'RELEASE' })
  await settle()
  expect(engine.heard.slice(-3)).toEqual(['ALIVE', 'RELEASED', 'REFUSED not-held'])
  expect(reasons).toEqual(['the new owner is warm'])
  expect((await reader(rig)).heard).toEqual(['REFUSED not-held'])
})

test.each([
  ['a node that it was not moved to', {}, 'node-c', 'not-held'],
  ['the epoch that was left', { epoch: LEFT_EPOCH }, 'node-b', 'epoch-old'],
  ['another key', { key: Buffer.alloc(32, 1) }, 'node-b', 'proof'],
  ['another volume', { volumeUuid: 'b'.repeat(32) }, 'node-b', 'not-held'],
])('refused: %s; the cache stays', async (_what, changes, node, code) => {
  const rig = await Rig.start()
  const { reasons } = leave(rig)
  expect((await reader(rig, changes, node)).heard).toEqual([`REFUSED ${code}`])
  expect(reasons).toEqual([])
  expect((await reading(rig)).heard).toEqual(['WELCOME', 'CACHE_IS'])
})

test('a second life of the new owner, and another state of the register, end the cache', async () => {
  const rig = await Rig.start()
  const first = leave(rig)
  const engine = await reading(rig)
  expect((await reader(rig, { run: 2 })).heard).toEqual(['REFUSED run-old'])
  expect(engine.heard.at(-1)).toBe('REFUSED not-held')
  expect(first.reasons).toEqual(['the new owner has connected a second time'])

  const second = leave(rig)
  const other = await reader(rig)
  other.send({ type: 'CACHE', registerRv: RV + 1 })
  await settle()
  expect(other.heard).toEqual(['WELCOME', 'REFUSED not-held'])
  expect([second.reasons.length, second.closes()]).toEqual([1, 1])
})

test('the end of the connection ends the cache; so does the stop of the peer, and a newer cache of the volume', async () => {
  const rig = await Rig.start()
  const lost = leave(rig)
  const engine = await reading(rig)
  engine.stream.destroy()
  await settle()
  expect(lost.reasons).toEqual(['the connection of the new owner has ended'])
  const replaced = leave(rig)
  const stopped = leave(rig)
  await rig.receiver.close()
  expect([replaced.reasons, stopped.reasons]).toEqual([
    ['the volume has left a newer one'],
    ['the peer is being stopped'],
  ])
})

test('ten minutes, also with a reader', async () => {
  const rig = await Rig.start()
  const { reasons } = leave(rig)
  const engine = await reading(rig)
  for (let ms = 0; ms < LEFT_CACHE_MS; ms += 5_000) {
    engine.send({ type: 'HEARTBEAT', number: ms })
    await rig.time.advance(5_000)
  }
  expect(reasons).toEqual(['its time is over'])
  expect(engine.heard.at(-1)).toBe('REFUSED not-held')
})

test('caches are bounded, and so are reads that wait', async () => {
  const rig = await Rig.start()
  const all = Array.from({ length: LEFT_CACHES_MAX + 1 }, (_, i) =>
    leave(rig, { volumeUuid: i.toString(16).padStart(32, '0') }),
  )
  expect(all.map(({ reasons }) => reasons.length)).toEqual([1, ...all.slice(1).map(() => 0)])

  const flooded = leave(rig)
  flooded.storage.holdReads = true
  const engine = await reading(rig)
  for (let i = 0; i < LEFT_READS_WAITING_MAX + 20; i += 1)
    engine.send({ type: 'READ', number: i, firstBlock: 20, count: 1 })
  await settle()
  expect(engine.heard.at(-1)).toBe('REFUSED too-many')
  flooded.storage.completeReads()
  expect(flooded.reasons).toHaveLength(1)
})

test('orders of a log from a reader, reads from an owner, and reads before CACHE are refused', async () => {
  const rig = await Rig.start()
  leave(rig)
  const early = await reader(rig)
  early.send({ type: 'READ', number: 1, firstBlock: 20, count: 1 })
  expect(early.heard).toEqual(['WELCOME', 'REFUSED bad-message'])
  leave(rig)
  const writer = await reader(rig)
  writer.send(new TestLog().next())
  expect(writer.heard).toEqual(['WELCOME', 'REFUSED bad-message'])
  expect(rig.store.volumes()).toEqual([])
  const owner = await rig.welcomed({ volumeUuid: 'c'.repeat(32) })
  owner.send({ type: 'CACHE', registerRv: 1 })
  expect(owner.heard).toEqual(['WELCOME', 'REFUSED bad-message'])
})
