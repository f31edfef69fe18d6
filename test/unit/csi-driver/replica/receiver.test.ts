// Proves the peer's side as a whole, with the real replica store: an engine's orders are durable when they are answered
// and found by the next process; a restarted store recognises duplicates, keeps promises, runs and keys, and waits with
// its seal; and in the simulator, with connections that break, owners that are taken over and a peer that crashes,
// nothing acknowledged is ever missing and no older run gets a batch in.
import type { ReplicaStore } from '../../../../csi-driver/replica/store/replica-store.ts'
import { Rig, settle, TestLog, VOLUME_UUID } from './receiver/receiver-kit.ts'
import { SimulatedOwner, SimulatedPeer } from './receiver/simulated-peer.ts'
import { openStore, TestStorage } from './store/store-kit.ts'

const STORE_BYTES = 8 * 2 ** 20
const GEOMETRY = { segmentBytes: 64 * 1024 }

async function rigOver(storage: TestStorage): Promise<Rig<ReplicaStore>> {
  const { store } = await openStore(storage, GEOMETRY)
  return Rig.over(store)
}

test('HELLO, WELCOME, LEARN, APPEND, APPENDED, HEARTBEAT, ALIVE, and what the status says of it', async () => {
  const rig = await rigOver(new TestStorage(STORE_BYTES))
  const owner = await rig.welcomed()
  const empty = { promise: 1, epoch: 1, run: 1, log: null }
  expect(owner.answers).toMatchObject([
    { type: 'WELCOME', version: 1, node: 'peer', resource: 'flash', incarnation: 1, state: empty },
  ])
  const log = new TestLog()
  owner.send(log.learn())
  owner.send(log.next())
  owner.send(log.next(8192))
  owner.send({ type: 'HEARTBEAT', number: 7 })
  await settle()
  expect(owner.answers.slice(1)).toEqual([
    { type: 'LEARNING' },
    { type: 'APPENDED', batchSeq: 1 },
    { type: 'APPENDED', batchSeq: 2 },
    { type: 'ALIVE', number: 7 },
  ])
  await rig.time.advance(3000)
  const { store } = rig
  expect(rig.receiver.status()).toMatchObject({
    node: 'peer',
    storeUuid: store.storeUuid,
    capacityBytes: store.capacityBytes,
    freeBytes: store.freeBytes,
    connections: 1,
    unwrittenBytes: 0,
    refused: {},
    volumes: [
      {
        volume: 'tank',
        volumeUuid: VOLUME_UUID,
        epoch: 1,
        run: 1,
        promise: 1,
        log: { firstBatchSeq: 1, lastBatchSeq: 2, lastSeq: 2, ackedSeq: 1, unackedRecords: 1, pending: null },
        lossReason: null,
        reservedBytes: 2 ** 20,
        engine: { node: 'node-a', purpose: 'owner' },
        leaseRemainingMs: 5000,
        waitingOrders: 0,
        failure: null,
        counters: { appendedBatches: 2, heartbeats: 1, duplicateBatches: 0, pauses: 0 },
      },
    ],
  })
})

test('a copy that begins late and is empty lags by nothing', async () => {
  const rig = await rigOver(new TestStorage(STORE_BYTES))
  const owner = await rig.welcomed()
  owner.send({ ...new TestLog().learn(), begin: { batchSeq: 18, seq: 2070, previousHash: 1n } })
  await settle()
  expect(rig.receiver.status().volumes).toMatchObject([{ log: { lastSeq: 2069, unackedRecords: 0 } }])
})

test('the next process finds promise, run, key and log; duplicates are known; its seals wait 8 s', async () => {
  const storage = new TestStorage(STORE_BYTES)
  const log = new TestLog()
  const first = await rigOver(storage)
  const owner = await first.learned(log, { run: 3 })
  const batches = [log.next(), log.next(4096), log.next()]
  for (const batch of batches) owner.send(batch)
  owner.send({ type: 'TRIM', batchSeq: 1 })
  await settle()
  expect(owner.heard).toEqual(['APPENDED', 'APPENDED', 'APPENDED', 'TRIMMED'])
  await first.receiver.close()
  await first.store.close()

  const second = await rigOver(new TestStorage(storage.bytes))
  expect((await second.welcomed({ run: 2 })).heard).toEqual(['REFUSED run-old'])
  expect((await second.welcomed({ run: 3, key: Buffer.alloc(32, 1) })).heard).toEqual(['REFUSED proof'])
  const again = await second.welcomed({ run: 3, volumeKey: null })
  expect(again.last('WELCOME')?.state).toMatchObject({
    promise: 1,
    run: 3,
    log: { tail: { batchSeq: 2 }, lastBatchSeq: 3 },
  })
  for (const batch of batches.slice(1)) again.send(batch)
  again.send(log.next())
  await settle()
  expect(again.heard).toEqual(['WELCOME', 'APPENDED', 'APPENDED', 'APPENDED'])
  expect(second.receiver.status().volumes[0]?.counters).toMatchObject({ appendedBatches: 1, duplicateBatches: 2 })

  const opener = await second.welcomed({ purpose: 'opener', epoch: 2, volumeKey: null })
  opener.send({ type: 'SEAL', predecessorOff: false })
  expect(opener.last('SEAL_WAIT')?.remainingMs).toBe(8000)
})

test('an opener gathers what an owner wrote, and names it anew', async () => {
  const rig = await rigOver(new TestStorage(STORE_BYTES))
  const log = new TestLog()
  const owner = await rig.learned(log)
  for (let i = 0; i < 5; i++) owner.send(log.next(10_240, `batch ${i}`))
  await settle()
  const opener = await rig.welcomed({ purpose: 'opener', epoch: 2 })
  opener.send({ type: 'SEAL', predecessorOff: true })
  opener.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: 2 ** 20 })
  const newLogUuid = '00000000000000022222222222222222'
  const end = { lastBatchSeq: 5, lastHash: log.previousHash }
  opener.send({ type: 'PREPARE', authoritativeLogUuid: log.logUuid, newLogUuid, ...end })
  opener.send({ type: 'PROMOTE', logUuid: newLogUuid })
  await settle()
  const batches = Array.from({ length: 5 }, () => 'BATCH')
  expect(opener.heard).toEqual(['WELCOME', 'SEALED', ...batches, 'FETCH_END', 'PREPARED', 'PROMOTED'])
  log.logUuid = newLogUuid
  log.epoch = 2
  const next = await rig.welcomed({ epoch: 2 })
  next.send(log.next())
  await settle()
  expect(next.heard).toEqual(['WELCOME', 'APPENDED'])
})

test('a failed write of the store loses nothing that was acknowledged, and the next process goes on', async () => {
  const storage = new TestStorage(STORE_BYTES)
  const log = new TestLog()
  const first = await rigOver(storage)
  const owner = await first.learned(log)
  owner.send(log.next())
  await settle()
  storage.failNextWrite = true
  const unwritten = log.next()
  owner.send(unwritten)
  await settle()
  expect(owner.heard).toEqual(['APPENDED', 'REFUSED io'])
  expect((await first.welcomed()).heard).toEqual(['REFUSED io'])
  const second = await rigOver(new TestStorage(storage.bytes))
  const again = await second.welcomed()
  again.send(unwritten)
  await settle()
  expect(again.last('WELCOME')?.state.log?.lastBatchSeq).toBe(1)
  expect(again.heard).toEqual(['WELCOME', 'APPENDED'])
})

test('a port that is taken is told to who listens', async () => {
  const peer = new SimulatedPeer('taken')
  await peer.start()
  await expect(peer.start()).rejects.toThrow('EADDRINUSE')
})

describe('in the simulator', () => {
  const seeds = Array.from({ length: 6 }, (_, i) => `peer-${i}`)

  test.each(seeds)('nothing acknowledged is missing, no older run gets a batch in: %s', async (seed) => {
    const peer = new SimulatedPeer(seed)
    await peer.start()
    const { world, network } = peer
    const owners = ['1', '2', '3'].map((digit) => new SimulatedOwner(peer, `owner-${digit}`, digit.repeat(32)))
    const prng = world.prng.fork('events')
    network.faults.breakChance = 0.002
    network.faults.spikeChance = 0.01
    network.faults.spikeMs = 30
    for (let round = 0; round < 12; round++) {
      await world.run(() => false, 50 + prng.float() * 200)
      if (prng.chance(0.4)) prng.pick(owners).takeOver()
      if (prng.chance(0.15)) await peer.crash()
      if (prng.chance(0.15)) network.reset('owner', 'peer')
    }
    network.heal()
    await world.run(() => false, 300)
    for (const owner of owners) {
      const held = peer.store?.find(owner.volumeUuid)
      expect(owner.acked.size).toBeGreaterThan(20)
      for (const [batchSeq, hash] of owner.acked) {
        if (batchSeq <= owner.trimmed) continue
        expect({ batchSeq, hash: held?.headerHashOf(batchSeq) }).toEqual({ batchSeq, hash })
      }
      expect(owner.refused.filter((code) => code !== 'run-old')).toEqual([])
    }
  })
})
