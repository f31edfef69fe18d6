// Proves, with real receivers and stores: a volume waits for its copies, goes on without one that is lost, and is opened
// by another node with everything that was acknowledged.
import { ask, aWrite, contentOf } from '../harness.ts'
import { TestCluster } from './cluster-kit.ts'

test('a volume with one replica fills a peer, then writes back, and waits for it', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2')
  const volume = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
  expect(volume.status()).toMatchObject({ phase: 'WriteBack' })
  expect(volume.members().map(({ node }) => node)).toEqual(['node-1', 'node-2'])
  expect((await ask(volume, aWrite(0, 1))).result).toBe(0)
})

test('another node opens it with everything that was acknowledged', async () => {
  const cluster = new TestCluster()
  await cluster.startPeers('node-2', 'node-3')
  const first = await cluster.open('node-1', 1)
  await cluster.time.advance(3000)
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
