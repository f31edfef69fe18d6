// Proves with engines, receivers and stores that the new owner of a moved volume reads from the cache of the owner before:
// only after a move, only what was clean, only in its first life; that its reads are right whatever is written; that what
// comes from there fills the own cache; and that it says what it did.
import { findBlock } from '../../../../../csi-driver/engine/previous-cache/cache-index.ts'
import type { VolumeSettings } from '../../../../../csi-driver/engine/volume-settings.ts'
import type { Volume } from '../../../../../csi-driver/engine/volume.ts'
import { aRead, ask, aWrite, during } from '../harness.ts'
import { TestCluster } from '../replication/cluster-kit.ts'

const BLOCKS = 64
const BACKING_MS = 8

/** node-1 owns a volume whose blocks it has all read, and on the backing each block is its number + 1 throughout. */
async function warm() {
  const cluster = new TestCluster()
  await cluster.startPeers('node-1', 'node-2')
  const { backing } = cluster.shared
  for (let block = 0; block < BLOCKS; block += 1) backing.bytes.fill(block + 1, block * 4096, (block + 1) * 4096)
  const volume = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
  for (let block = 0; block < BLOCKS; block += 1) await content(cluster, volume, (block * 13) % BLOCKS)
  return { cluster, volume }
}

/** From now on each read of the backing takes its time. */
function slowBacking(cluster: TestCluster): { reads: number } {
  const { backing } = cluster.shared
  const counted = { reads: 0 }
  const read = backing.read.bind(backing)
  backing.read = (...[buffer, start, length, position, done]) => {
    counted.reads += 1
    cluster.time.after(BACKING_MS, () => read(buffer, start, length, position, done))
  }
  return counted
}

async function content(cluster: TestCluster, volume: Volume, block: number): Promise<number> {
  const request = aRead(block * 4096)
  await during(cluster.time, ask(volume, request))
  for (let ms = 0; ms < 200 && request.result === null; ms += 1) await cluster.time.advance(1)
  expect(request.result).toBe(0)
  const [first] = request.bytes
  expect(request.bytes.equals(Buffer.alloc(4096, first))).toBe(true)
  return first ?? 0
}

/** What the engine's process and the replica store of its node do with what an engine leaves. */
function leave(cluster: TestCluster, volume: Volume, to: string) {
  const left = volume.leaveBehind(to)
  if (left === null) return null
  const { index, volumeKey } = left
  const { cache } = cluster.machine('node-1')
  const reasons: string[] = []
  cluster.receiver('node-1').offerCache(
    {
      ...{ volume: index.volume, volumeUuid: index.volumeUuid, volumeKey, movedTo: index.movedTo },
      ...{ epochLeft: index.epochLeft, registerRv: index.registerRv, blocks: index.blocks.length },
      find: (block) => findBlock(index, block),
      positionAt: (place) => index.slotsStart + (index.slots[place] as number) * 4096,
      hashAt: (place) => index.hashes[place] as number,
      storage: {
        read: (buffer, start, length, position, done) => {
          cache.bytes.copy(buffer, start, position, position + length)
          done(null)
        },
        close: (done) => done(null),
      },
    },
    (reason) => reasons.push(reason),
  )
  return { index, reasons }
}

async function move(cluster: TestCluster, volume: Volume, to: string): Promise<'close' | 'hand-over'> {
  const how = await during(cluster.time, volume.prepareMove(to, 1000))
  await during(cluster.time, how === 'close' ? volume.close() : volume.moveTo(to))
  cluster.shared.backing.drop()
  return how
}

async function opened(cluster: TestCluster, settings: Partial<VolumeSettings> = {}, node = 'node-2') {
  const volume = await cluster.open(node, 1, settings)
  await cluster.time.advance(100)
  return volume
}

const previous = (volume: Volume) => volume.status().previousCache

test('after a clean close: its reads come from there, verified, and fill the own cache', async () => {
  const { cluster, volume } = await warm()
  expect(await move(cluster, volume, 'node-2')).toBe('close')
  const left = leave(cluster, volume, 'node-2')
  expect(left?.index.blocks).toHaveLength(BLOCKS)
  expect(left?.index).toMatchObject({ epochLeft: 1, movedTo: 'node-2' })
  const counted = slowBacking(cluster)
  const next = await opened(cluster)
  expect(previous(next)).toMatchObject({ state: 'trial', node: 'node-1' })
  for (let block = 0; block < BLOCKS; block += 1) {
    expect(await content(cluster, next, (block * 13) % BLOCKS)).toBe(((block * 13) % BLOCKS) + 1)
  }
  const status = previous(next)
  expect(status?.state).toBe('open')
  expect(status?.hits).toBeGreaterThan(40)
  expect(status).toMatchObject({ misses: 0, late: 0, bytes: (status?.hits ?? 0) * 4096, reason: '' })
  expect(status?.latencyMs).toBeLessThan(BACKING_MS)
  // A second time they are in the own cache.
  const { reads } = counted
  for (let block = 0; block < BLOCKS; block += 1) expect(await content(cluster, next, block)).toBe(block + 1)
  expect([previous(next)?.hits, counted.reads]).toEqual([status?.hits, reads])
  expect(next.status().cachedBlocks).toBe(BLOCKS)
  await during(cluster.time, next.close())
  expect(left?.reasons).toEqual(['the new owner is warm'])
})

test('what is written is never read there again', async () => {
  const { cluster, volume } = await warm()
  await move(cluster, volume, 'node-2')
  leave(cluster, volume, 'node-2')
  slowBacking(cluster)
  const next = await opened(cluster)
  for (let block = 0; block < BLOCKS; block += 2) {
    const request = aWrite(block * 4096, 200)
    await during(cluster.time, ask(next, request))
    await cluster.time.advance(50)
    expect(request.result).toBe(0)
  }
  await during(cluster.time, next.drain())
  for (let block = 0; block < BLOCKS; block += 1) {
    expect(await content(cluster, next, block)).toBe(block % 2 === 0 ? 200 : block + 1)
  }
  expect(previous(next)?.hits).toBeGreaterThan(15)
  await during(cluster.time, next.close())
})

test('a dirty hand-over: what the log holds is not in the index', async () => {
  const { cluster, volume } = await warm()
  cluster.shared.backing.hold('write')
  for (const block of [3, 4]) expect((await ask(volume, aWrite(block * 4096, 99))).result).toBe(0)
  expect((await ask(volume, aWrite(5 * 4096 + 512, 98, 512))).result).toBe(0)
  expect(await during(cluster.time, volume.prepareMove('node-2', 1000))).toBe('hand-over')
  const moving = volume.moveTo('node-2')
  await cluster.time.advance(100)
  cluster.shared.backing.letGo()
  await during(cluster.time, moving)
  const left = leave(cluster, volume, 'node-2')
  cluster.shared.backing.drop()
  slowBacking(cluster)
  const next = await opened(cluster)
  expect(previous(next)).toMatchObject({ node: 'node-1' })
  expect(await content(cluster, next, 3)).toBe(99)
  for (let block = 6; block < BLOCKS; block += 1) expect(await content(cluster, next, block)).toBe(block + 1)
  expect(left?.index.epochLeft).toBe(1)
  // The generation under way at the move may have made them clean; a block that was still dirty is not there.
  for (const block of [3, 4, 5]) {
    const place = left === null ? -1 : findBlock(left.index, block)
    if (place >= 0) expect(cluster.shared.backing.bytes[block * 4096 + 512]).toBe(block === 5 ? 98 : 99)
  }
  expect(previous(next)?.hits).toBeGreaterThan(20)
  await during(cluster.time, next.close())
})

test('somebody else had the volume in between, or the engine starts again: nothing is read there', async () => {
  const { cluster, volume } = await warm()
  await move(cluster, volume, 'node-2')
  const left = leave(cluster, volume, 'node-2')
  const between = await opened(cluster, {}, 'node-3')
  expect((await ask(between, aWrite(0, 77))).result ?? 0).toBe(0)
  await cluster.time.advance(200)
  await during(cluster.time, between.close())
  cluster.shared.backing.drop()
  slowBacking(cluster)
  const next = await opened(cluster)
  expect(left?.reasons[0]).toMatch(/opened from another state of the register/)
  await cluster.time.advance(15_000)
  expect(previous(next)).toMatchObject({ state: 'over', reason: 'nobody has it', hits: 0 })
  expect(await content(cluster, next, 0)).toBe(77)
  cluster.crash('node-2')
  const again = await opened(cluster, { start: 'restart' })
  expect(previous(again)).toBe(null)
})

test('an engine that owns the volume leaves nothing before its move', async () => {
  const { cluster, volume } = await warm()
  expect(volume.leaveBehind('node-2')).toBe(null)
  await move(cluster, volume, 'node-2')
  expect(volume.leaveBehind('node-2')?.index.blocks).toHaveLength(BLOCKS)
  const next = await opened(cluster)
  expect(next.leaveBehind('node-1')).toBe(null)
})
