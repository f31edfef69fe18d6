// Proves: what earlier owners have left in the copies never comes back over newer writes, and an open leaves nothing
// behind that blocks the next one for no reason.
import type { Volume } from '../../../../../csi-driver/engine/volume.ts'
import { ASK_AGAIN_MS } from '../../../../../csi-driver/engine/opening/gathering.ts'
import { ask, aWrite, contentOf, during } from '../harness.ts'
import { TestCluster } from '../replication/cluster-kit.ts'

const BLOCK = 5

async function write(volume: Volume, fill: number) {
  const request = aWrite(BLOCK * 4096, fill)
  await ask(volume, request)
  return request
}

async function read(volume: Volume): Promise<number | undefined> {
  return (await contentOf(volume, BLOCK * 4096))[0]
}

/** A dirty volume with one copy, whose owner and whose copy's process are dead. */
async function bothDied() {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const first = await cluster.open('node-1', 1)
  await cluster.time.advance(4000)
  cluster.shared.backing.hold('write')
  expect((await write(first, 7)).result).toBe(0)
  cluster.network.cutOff('node-1')
  cluster.stopPeer('node-2')
  return cluster
}

test('the only copy is asked again while its process starts', async () => {
  const cluster = await bothDied()
  cluster.time.after(6000, () => void cluster.startPeers('node-2'))
  const second = await cluster.open('node-3', 1, { takeover: true })
  expect(await read(second)).toBe(7)
  expect(cluster.log.named('engine.open.asking_again')).toHaveLength(1)
  const leftOut = cluster.log.named('engine.open.copy_left_out').map(({ fields }) => fields['node'])
  expect(leftOut).toEqual(['node-1', 'node-2'])
})

test('and after ten seconds the volume is blocked', async () => {
  const cluster = await bothDied()
  const begunMs = cluster.time.monotonicMs()
  await expect(cluster.open('node-3', 1, { takeover: true })).rejects.toMatchObject({ code: 'CACHE_BLOCKED_NO_MEMBER' })
  const tookMs = cluster.time.monotonicMs() - begunMs
  expect(tookMs).toBeGreaterThanOrEqual(ASK_AGAIN_MS)
  expect(tookMs).toBeLessThan(ASK_AGAIN_MS + 5000)
})

test('a copy that has not trimmed what the others have is waited for before anything goes past the log', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2', 'node-3')
  const first = await cluster.open('node-1', 2)
  await cluster.time.advance(4000)
  expect(first.record?.members).toHaveLength(3)
  cluster.shared.backing.hold('write')
  expect((await write(first, 1)).result).toBe(0)
  const before = cluster.stallTrims('node-3')
  cluster.shared.backing.letGo()
  await cluster.time.advance(5000)
  expect(before.asked).toBeGreaterThan(0)
  cluster.network.cutOff('node-1')
  cluster.crash('node-1')
  cluster.stopPeer('node-3')
  await cluster.startPeers('node-3')
  cluster.stallTrims('node-3')
  const second = await cluster.open('node-2', 2, { takeover: true })
  const newer = await write(second, 2)
  for (let i = 0; i < 100 && newer.result === null; i += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- until it is answered
    await cluster.time.advance(100)
  }
  expect(newer.result).toBe(0)
  cluster.network.cutOff('node-2')
  cluster.crash('node-2')
  cluster.stopPeer('node-3')
  await cluster.startPeers('node-3')
  // Either its copy counts and holds the newer write, or it counts no more.
  const third = cluster.open('node-3', 2, { takeover: true })
  const found = await third.then(read, (error: { code: string }) => error.code)
  expect(found === 2 || String(found).startsWith('CACHE_BLOCKED')).toBe(true)
})

test('a dirty volume whose log is empty becomes clean, so that the next owner needs nobody', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const first = await cluster.open('node-1', 1)
  await cluster.time.advance(4000)
  expect((await write(first, 1)).result).toBe(0)
  await during(cluster.time, first.drain())
  cluster.network.cutOff('node-1')
  cluster.crash('node-1')
  const second = await cluster.open('node-2', 1, { takeover: true })
  await cluster.time.advance(20_000)
  expect((await write(second, 2)).result).toBe(0)
  expect(second.status()).toMatchObject({ phase: 'WriteThrough', dirtyBytes: 0 })
  expect(cluster.shared.register.current).toMatchObject({ phase: 'WriteThrough', dirty: false })
  cluster.network.cutOff('node-2')
  cluster.crash('node-2')
  await cluster.startPeers('node-3')
  const third = await cluster.open('node-3', 0, { takeover: true })
  expect(await read(third)).toBe(2)
})
