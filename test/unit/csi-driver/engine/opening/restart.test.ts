// Proves: what the next engine of a holder may rely on: not on the words of an earlier occasion, not on a damaged own log
// where a copy is intact, not on a register that shows nothing, not on a backing that only has the name of the first, and
// on its own log again where an error has passed.
import type { Volume } from '../../../../../csi-driver/engine/volume.ts'
import { ask, aRead, aWrite, contentOf, SETTINGS, TestMachine, TestStorage } from '../harness.ts'
import { TestCluster } from '../replication/cluster-kit.ts'

/** Behind the superblocks. */
const LOG_START = 32_768

async function write(volume: Volume, block: number, fill: number) {
  return (await ask(volume, aWrite(block * 4096, fill))).result
}

async function found(volume: Volume, block: number): Promise<number | undefined> {
  return (await contentOf(volume, block * 4096))[0]
}

/** A volume with a copy, eight blocks dirty, whose engine is dead. */
async function died() {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const volume = await cluster.open('node-1', 1)
  await cluster.time.advance(4000)
  cluster.shared.backing.hold('write')
  for (let i = 0; i < 8; i += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- in order
    expect(await write(volume, i, i + 1)).toBe(0)
  }
  cluster.crash('node-1')
  return cluster
}

test.each(['restart', 'first'] as const)('a damaged own log gives way to an intact copy: %s', async (start) => {
  const cluster = await died()
  const { cache } = cluster.machine('node-1')
  cache.bytes[cache.bytes.indexOf(Buffer.alloc(4096, 4)) + 100] = 99
  const next = await cluster.open('node-1', 1, { start })
  next.resendDrained()
  for (let i = 0; i < 8; i += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- in order
    expect(await found(next, i)).toBe(i + 1)
  }
})

/** Reads that find the fourth block of `died` unreadable, as long as nobody has written there. */
function badSector(cluster: TestCluster, times: number): void {
  const { cache } = cluster.machine('node-1')
  cache.fail('read', times, { from: LOG_START, to: cache.bytes.indexOf(Buffer.alloc(4096, 4)) + 4096 })
}

// A restart looks at its log twice: in its own epoch, and when it opens anew.
test.each([['restart', 2] as const, ['first', 1] as const])(
  'an unreadable sector of the own log gives way to an intact copy: %s',
  async (start, times) => {
    const cluster = await died()
    badSector(cluster, times)
    const next = await cluster.open('node-1', 1, { start })
    next.resendDrained()
    for (let i = 0; i < 8; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in order
      expect(await found(next, i)).toBe(i + 1)
    }
    expect(cluster.log.named('engine.open.own_log_damaged')).toHaveLength(times)
  },
)

test('an unreadable sector of the only log is told as it is', async () => {
  const cluster = new TestCluster()
  const volume = await cluster.open('node-1', 0)
  cluster.shared.backing.hold('write')
  for (let i = 0; i < 8; i += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- in order
    expect(await write(volume, i, i + 1)).toBe(0)
  }
  cluster.crash('node-1')
  badSector(cluster, 1)
  await expect(cluster.open('node-1', 0)).rejects.toMatchObject({ name: 'IoError', code: 'EIO' })
  expect(await found(await cluster.open('node-1', 0), 3)).toBe(4)
})

test('a log with an unreadable sector is not written over before the copy is known to be whole', async () => {
  const cluster = await died()
  const { storage } = cluster.peer('node-2')
  const at = storage.bytes.lastIndexOf(Buffer.alloc(4096, 6)) + 100
  storage.bytes[at] = 99
  badSector(cluster, 1)
  await expect(cluster.open('node-1', 1)).rejects.toMatchObject({ code: 'CACHE_BLOCKED_NO_LOG' })
  const next = await cluster.open('node-1', 1)
  for (let i = 0; i < 8; i += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- in order
    expect(await found(next, i)).toBe(i + 1)
  }
})

test('a cache that cannot take the copy is named', async () => {
  const cluster = await died()
  badSector(cluster, Infinity)
  await expect(cluster.open('node-1', 1)).rejects.toMatchObject({
    code: 'CACHE_DEVICE_FAILED',
    remedy: expect.stringContaining('--cache'),
  })
})

test('what was said for a takeover does not hold when the engine starts again', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-1', 'node-2', 'node-3')
  await cluster.open('node-1', 1)
  await cluster.time.advance(4000)
  cluster.crash('node-1')
  await cluster.open('node-2', 1, { takeover: true })
  await cluster.time.advance(5000)
  cluster.network.cutOff('node-2')
  cluster.crash('node-2')
  await cluster.open('node-3', 1, { takeover: true })
  cluster.network.heal('node-2')
  cluster.fenced.length = 0
  await expect(cluster.open('node-2', 1, { takeover: true, start: 'restart' })).rejects.toMatchObject({
    code: 'CACHE_OWNED_ELSEWHERE',
  })
  expect(cluster.shared.register.current).toMatchObject({ owner: 'node-3', epoch: 3 })
  expect(cluster.fenced).toEqual([])
})

test.each([
  { kind: 'file', id: 'another image' },
  { kind: 'block', id: 'image' },
] as const)('another backing under the name of the first gets nothing that was written for that: %o', async (other) => {
  const machine = new TestMachine()
  const volume = await machine.open()
  machine.backing.hold('write')
  expect(await write(volume, 1, 7)).toBe(0)
  machine.crash()
  const first = machine.backing
  machine.backing = new TestStorage('another', first.sizeBytes)
  const backingIdentity = { ...other, sizeBytes: first.sizeBytes }
  await expect(machine.open({ start: 'restart', backingIdentity })).rejects.toMatchObject({
    kind: 'retry',
    code: 'CACHE_BACKING_OTHER',
  })
  expect(machine.backing.begun).toEqual([])
  machine.backing = first
  expect(await found(await machine.restart(), 1)).toBe(7)
})

test('a backing that became shorter is waited for, a longer one is none of the restart’s business', async () => {
  const machine = new TestMachine()
  const volume = await machine.open()
  expect(await write(volume, 1, 7)).toBe(0)
  machine.crash()
  const { sizeBytes } = machine.backing
  const backingOf = (bytes: number) => ({ ...SETTINGS.backingIdentity, sizeBytes: bytes })
  await expect(machine.open({ start: 'restart', backingIdentity: backingOf(sizeBytes - 4096) })).rejects.toMatchObject({
    kind: 'retry',
    code: 'CACHE_BACKING_OTHER',
  })
  machine.crash()
  const next = await machine.open({ start: 'restart', backingIdentity: backingOf(sizeBytes + 4096) })
  expect(await found(next, 1)).toBe(7)
})

test('a register without a record is as good as none where the superblock is known to be old', async () => {
  const cluster = new TestCluster()
  const volume = await cluster.open('node-1', 0)
  cluster.shared.backing.hold('write')
  expect(await write(volume, 5, 1)).toBe(0)
  cluster.machine('node-1').cache.fail('write', Infinity)
  await ask(volume, aWrite(9 * 4096, 9))
  cluster.shared.backing.letGo()
  await cluster.time.advance(10_000)
  expect(await write(volume, 5, 2)).toBe(0)
  cluster.crash('node-1')
  cluster.shared.register.read = () => Promise.resolve(null)
  await expect(cluster.open('node-1', 0, { start: 'restart' })).rejects.toMatchObject({
    kind: 'retry',
    code: 'CACHE_REGISTER_UNAVAILABLE',
  })
})

test.each([0, 1])('an error of the own cache that passes is no loss: replicas=%d', async (replicas) => {
  const cluster = new TestCluster()
  if (replicas > 0) await cluster.startPeers('node-2')
  const volume = await cluster.open('node-1', replicas)
  await cluster.time.advance(4000)
  cluster.shared.backing.hold('write')
  expect(await write(volume, 5, 1)).toBe(0)
  cluster.machine('node-1').cache.fail('read', 1)
  const read = aRead(5 * 4096)
  await ask(volume, read)
  await cluster.time.advance(1000)
  expect([read.result, read.bytes[0]]).toEqual([0, 1])
  if (replicas > 0) cluster.stopPeer('node-2')
  await cluster.time.advance(8000)
  expect(await found(volume, 5)).toBe(1)
})
