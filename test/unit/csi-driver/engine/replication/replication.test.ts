// Proves, with real receivers and stores: a volume waits for its copies, goes on without one that is lost, and is opened
// by another node with everything that was acknowledged.
import type { Volume } from '../../../../../csi-driver/engine/volume.ts'
import { ask, aRead, aWrite, contentOf, during } from '../harness.ts'
import { createVolume, learn, settled } from '../../replica/store/store-kit.ts'
import { TestCluster } from './cluster-kit.ts'

test('a volume with one replica fills a peer, then writes back, and waits for it', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const volume = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
  expect(volume.status()).toMatchObject({ phase: 'WriteBack' })
  expect(volume.record?.members.map(({ node }) => node)).toEqual(['node-1', 'node-2'])
  expect((await ask(volume, aWrite(0, 1))).result).toBe(0)
})

test('another node opens it with everything that was acknowledged', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2', 'node-3')
  const first = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
  cluster.shared.backing.hold('write')
  for (let i = 0; i < 20; i += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- in order
    expect((await ask(first, aWrite(i * 4096, i + 1))).result).toBe(0)
  }
  cluster.network.cutOff('node-1')
  const second = await cluster.open('node-3', 1, { takeover: true })
  for (let i = 0; i < 20; i += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- in order
    expect((await contentOf(second, i * 4096)).equals(Buffer.alloc(4096, i + 1))).toBe(true)
  }
  expect(second.status().epoch).toBe(2)
})

async function write(volume: Volume, block: number, fill: number) {
  return (await ask(volume, aWrite(block * 4096, fill))).result
}

async function holds(volume: Volume, block: number, fill: number): Promise<boolean> {
  return (await contentOf(volume, block * 4096)).equals(Buffer.alloc(4096, fill))
}

describe('a peer that is lost', () => {
  test('is removed before anything is acknowledged without it; the volume writes through, and back when it returns', async () => {
    const cluster = new TestCluster()
    await cluster.startPeers('node-2')
    const volume = await cluster.open('node-1', 1)
    await cluster.time.advance(3000)
    expect(await write(volume, 0, 1)).toBe(0)
    cluster.stopPeer('node-2')
    const pending = aWrite(4096, 2)
    await ask(volume, pending)
    expect(pending.result).toBe(null)
    await cluster.time.advance(6000)
    expect(pending.result).toBe(0)
    expect(volume.record?.members.map(({ node }) => node)).toEqual(['node-1'])
    expect(volume.status()).toMatchObject({ phase: 'WriteThrough', dirtyBytes: 0 })
    expect(volume.status().reason).toContain('too few peers for 1 replica')
    expect(cluster.shared.backing.bytes.subarray(4096, 8192).equals(Buffer.alloc(4096, 2))).toBe(true)
    await cluster.startPeers('node-2')
    await cluster.time.advance(30_000)
    expect(volume.record?.members.map(({ node }) => node)).toEqual(['node-1', 'node-2'])
    expect(volume.status()).toMatchObject({ phase: 'WriteBack', reason: '' })
    expect(await holds(volume, 1, 2)).toBe(true)
  })

  test('is replaced by another candidate', async () => {
    const cluster = new TestCluster()
    await cluster.startPeers('node-2', 'node-3')
    const volume = await cluster.open('node-1', 1)
    await cluster.time.advance(3000)
    expect(volume.record?.members.map(({ node }) => node)).toEqual(['node-1', 'node-2'])
    cluster.network.cutOff('node-2')
    const pending = aWrite(0, 3)
    await ask(volume, pending)
    await cluster.time.advance(10_000)
    expect(pending.result).toBe(0)
    expect(volume.record?.members.map(({ node }) => node)).toEqual(['node-1', 'node-3'])
    expect(volume.status().phase).toBe('WriteBack')
  })

  test('that restarts at once stays a member', async () => {
    const cluster = new TestCluster()
    await cluster.startPeers('node-2')
    const volume = await cluster.open('node-1', 1)
    await cluster.time.advance(3000)
    cluster.stopPeer('node-2')
    await cluster.startPeers('node-2')
    const pending = aWrite(0, 3)
    await ask(volume, pending)
    await cluster.time.advance(1500)
    expect(pending.result).toBe(0)
    expect(volume.record?.members).toHaveLength(2)
    expect(volume.status().phase).toBe('WriteBack')
  })
})

test('a store that has no room is named until it takes the log', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const { capacityBytes } = cluster.receiver('node-2').status()
  const { store } = cluster.peer('node-2')
  if (store === null) throw new Error('the store is open')
  const other = await createVolume(store, '7'.repeat(32), 'other')
  await learn(other, { logBytes: Math.floor(0.47 * capacityBytes) })
  const volume = await cluster.open('node-1', 1)
  for (let seconds = 0; seconds < 60; seconds += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- in every state of its connection
    await cluster.time.advance(1000)
    if (seconds > 5)
      expect(volume.status().reason).toMatch(/node-2:[a-z]+-full.* Give the replica store of node-2 more space/)
  }
  await settled((done) => other.discard(done))
  await cluster.time.advance(400_000)
  expect(volume.status()).toMatchObject({ phase: 'WriteBack' })
})

test('a register that is not mounted for a moment holds the change up, and the volume goes on when it is back', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const volume = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
  cluster.shared.register.unmounted = true
  cluster.stopPeer('node-2')
  await cluster.time.advance(10_000)
  const pending = aWrite(4096, 2)
  await ask(volume, pending)
  expect(pending.result).toBe(null)
  expect(volume.status().registerError).toContain('is its file system mounted?')
  cluster.shared.register.unmounted = false
  await cluster.time.advance(10_000)
  expect(pending.result).toBe(0)
  expect(await holds(volume, 1, 2)).toBe(true)
  expect(volume.status()).toMatchObject({ phase: 'WriteThrough', registerError: '' })
})

describe('a restarted engine', () => {
  test('resumes with its member, and everything is there', async () => {
    const cluster = new TestCluster()
    await cluster.startPeers('node-2')
    const volume = await cluster.open('node-1', 1)
    await cluster.time.advance(3000)
    cluster.shared.backing.hold('write')
    for (let i = 0; i < 10; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in order
      expect(await write(volume, i, i + 1)).toBe(0)
    }
    cluster.crash('node-1')
    const next = await cluster.open('node-1', 1, { start: 'restart' })
    expect(next.status()).toMatchObject({ epoch: 1, run: 2, phase: 'WriteBack' })
    expect(next.record?.members).toHaveLength(2)
    next.resendDrained()
    for (let i = 0; i < 10; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in order
      expect(await holds(next, i, i + 1)).toBe(true)
    }
    expect(await write(next, 3, 99)).toBe(0)
    expect(await holds(next, 3, 99)).toBe(true)
  })

  test('adopts what only its member has', async () => {
    const cluster = new TestCluster()
    await cluster.startPeers('node-2')
    const volume = await cluster.open('node-1', 1)
    await cluster.time.advance(3000)
    expect(await write(volume, 0, 1)).toBe(0)
    cluster.machine('node-1').cache.hold('write')
    const lost = aWrite(4096, 2)
    await ask(volume, lost)
    expect(lost.result).toBe(null)
    cluster.crash('node-1')
    const next = await cluster.open('node-1', 1, { start: 'restart' })
    next.resendDrained()
    expect(await holds(next, 1, 2)).toBe(true)
  })
})

test('without its own cache the owner gathers from its member after a restart of the host', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const volume = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
  cluster.shared.backing.hold('write')
  expect(await write(volume, 5, 7)).toBe(0)
  cluster.crash('node-1')
  cluster.machine('node-1').cache.bytes.fill(0)
  const next = await cluster.open('node-1', 1)
  expect(await holds(next, 5, 7)).toBe(true)
  expect(next.record?.members.map(({ node }) => node)).toEqual(['node-1', 'node-2'])
})

test('no copy can be reached: blocked, with the copies that would help, and nothing is changed in the log', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const volume = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
  cluster.shared.backing.hold('write')
  expect(await write(volume, 5, 7)).toBe(0)
  cluster.network.cutOff('node-1')
  cluster.stopPeer('node-2')
  await expect(cluster.open('node-3', 1, { takeover: true })).rejects.toMatchObject({
    code: 'CACHE_BLOCKED_NO_MEMBER',
    message: expect.stringContaining('@node-2:unreachable'),
  })
  await cluster.startPeers('node-2')
  const next = await cluster.open('node-3', 1, { takeover: true })
  expect(await holds(next, 5, 7)).toBe(true)
})

describe('a planned move', () => {
  async function moved() {
    const cluster = new TestCluster()
    await cluster.startPeers('node-2', 'node-3')
    const volume = await cluster.open('node-1', 1)
    await cluster.time.advance(3000)
    cluster.shared.backing.hold('write')
    for (let i = 0; i < 10; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in order
      expect(await write(volume, i, i + 1)).toBe(0)
    }
    return { cluster, volume }
  }

  test('goes to the node that holds a copy, with what is dirty, and needs no takeover there', async () => {
    const { cluster, volume } = await moved()
    expect(await during(cluster.time, volume.prepareMove('node-2', 1000))).toBe('hand-over')
    const moving = volume.moveTo('node-2')
    await cluster.time.advance(100)
    // What was on its way to the backing ends; nothing more begins.
    cluster.shared.backing.completeAll()
    await during(cluster.time, moving)
    expect(cluster.shared.register.current).toMatchObject({ owner: 'node-2', epoch: 2, dirty: true, unfenced: [] })
    cluster.shared.backing.drop()
    // The old owner's holder may start another engine: it must not go on.
    cluster.crash('node-1')
    await expect(cluster.open('node-1', 1, { start: 'restart' })).rejects.toMatchObject({ kind: 'fenced' })
    const next = await cluster.open('node-2', 1)
    for (let i = 0; i < 10; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in order
      expect(await holds(next, i, i + 1)).toBe(true)
    }
    expect(await write(next, 0, 77)).toBe(0)
    await expect(cluster.open('node-1', 1)).rejects.toMatchObject({ code: 'CACHE_OWNED_ELSEWHERE' })
  })

  test('to a node without a copy drains first', async () => {
    const { cluster, volume } = await moved()
    expect(await during(cluster.time, volume.prepareMove('node-3', 1000))).toBe('close')
    cluster.shared.backing.letGo()
    await during(cluster.time, volume.close())
    expect(cluster.shared.register.current).toMatchObject({ phase: 'Detached', dirty: false })
    cluster.shared.backing.drop()
    const next = await cluster.open('node-3', 1)
    expect(await holds(next, 3, 4)).toBe(true)
  })
})

test('an engine whose hand-over failed after the backing was closed still comes to its end', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const volume = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
  cluster.shared.backing.hold('write')
  expect(await write(volume, 0, 1)).toBe(0)
  expect(await during(cluster.time, volume.prepareMove('node-2', 1000))).toBe('hand-over')
  cluster.machine('node-1').cache.fail('write', Infinity)
  const moving = volume.moveTo('node-2').catch((error: unknown) => String(error))
  await cluster.time.advance(100)
  cluster.shared.backing.completeAll()
  expect(await during(cluster.time, moving)).toMatch(/\w/)
  expect(
    await during(
      cluster.time,
      volume.suspend().then(() => 'ended'),
    ),
  ).toBe('ended')
})

describe('the own cache device is lost', () => {
  test('reads and destage go on from the copy, the volume drains and writes through without it', async () => {
    const cluster = new TestCluster()
    await cluster.startPeers('node-2')
    const volume = await cluster.open('node-1', 1)
    await cluster.time.advance(3000)
    cluster.shared.backing.hold('write')
    for (let i = 0; i < 10; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in order
      expect(await write(volume, i, i + 1)).toBe(0)
    }
    const { cache } = cluster.machine('node-1')
    cache.fail('write', Infinity)
    cache.fail('read', Infinity)
    const pending = aWrite(3 * 4096, 33)
    await ask(volume, pending)
    const read = aRead(5 * 4096)
    await ask(volume, read)
    await cluster.time.advance(3000)
    expect(read.result).toBe(0)
    expect(read.bytes.equals(Buffer.alloc(4096, 6))).toBe(true)
    expect(volume.record?.members.map(({ node }) => node)).toEqual(['node-2'])
    cluster.shared.backing.letGo()
    await cluster.time.advance(10_000)
    expect(pending.result).toBe(0)
    expect(volume.status()).toMatchObject({ phase: 'WriteThrough', dirtyBytes: 0 })
    for (let i = 0; i < 10; i += 1) {
      const fill = i === 3 ? 33 : i + 1
      expect(cluster.shared.backing.bytes.subarray(i * 4096, i * 4096 + 4096).equals(Buffer.alloc(4096, fill))).toBe(
        true,
      )
    }
    expect(await write(volume, 0, 50)).toBe(0)
    expect(await holds(volume, 0, 50)).toBe(true)
  })
})

test('a volume that was served alone gets its copies when peers are named', async () => {
  const cluster = new TestCluster()
  const alone = { ...cluster.replication('node-1', 0), peers: [] }
  const first = await cluster.open('node-1', 0, { replication: alone })
  expect(await write(first, 0, 1)).toBe(0)
  await during(cluster.time, first.close())
  cluster.shared.backing.drop()
  cluster.crash('node-1')
  await cluster.startPeers('node-2', 'node-3')
  const next = await cluster.open('node-1', 1)
  await cluster.time.advance(5000)
  expect(next.status()).toMatchObject({ phase: 'WriteBack' })
  expect(next.record?.members).toHaveLength(2)
})
