// Proves: damage of a replica store's disk is never taken for a good log. One damaged place: every volume is as it was,
// or has no log and says why, or, where the damage hit its newest batch and nothing else speaks of it, lacks that batch.
// Any damage: the start never throws, and whatever log it shows is a beginning of the true one, with its true bytes.
import { CacheError } from '../../base/errors.ts'
import { createPrng, type Prng } from '../../base/prng.ts'
import type { ReplicaStore } from '../../csi-driver/replica/store/replica-store.ts'
import type { StoredVolume } from '../../csi-driver/replica/store/stored-volume.ts'
import {
  append,
  bodyOf,
  bytesFor,
  createVolume,
  learn,
  logName,
  logOf,
  type OpenedStore,
  openStore,
  readBatch,
  SEGMENT_BYTES,
  SEGMENTS_START,
  settled,
  TestOwner,
  TestStorage,
} from '../unit/csi-driver/replica/store/store-kit.ts'

interface Truth {
  readonly owner: TestOwner
  readonly volume: StoredVolume
  /** Where its newest batch stands. */
  newestAt: number
}

/** Three volumes with logs that were trimmed, promoted and grown by turns; segments were used again. */
async function madeStore(prng: Prng): Promise<{ storage: TestStorage; truths: Truth[] }> {
  const { storage, store } = await openStore(new TestStorage(bytesFor(48)))
  const truths: Truth[] = []
  for (const digit of ['1', '2', '3']) {
    const volume = await createVolume(store, digit.repeat(32), `v${digit}`)
    await learn(volume, { logBytes: 12 * 4096 })
    const owner = new TestOwner()
    owner.volumeUuid = digit.repeat(32)
    truths.push({ owner, volume, newestAt: SEGMENTS_START })
  }
  for (let round = 0; round < 8; round++) {
    const truth = prng.pick(truths)
    const { owner, volume } = truth
    storage.onWrite = (position) => {
      if (position >= SEGMENTS_START) truth.newestAt = position
    }
    for (let count = prng.below(8); count >= 0; count--) {
      if (prng.chance(0.5)) owner.ackedSeq = owner.next.seq - 1
      await append(volume, owner.make(prng.pick([0, 512, 4096, 8192]), 1 + prng.below(2)))
    }
    const { tail, lastBatchSeq } = logOf(volume)
    if (prng.chance(0.3)) await settled((done) => volume.trim(lastBatchSeq - prng.below(4), done))
    if (prng.chance(0.3) && logOf(volume).tail.batchSeq < lastBatchSeq) {
      const name = logName(round + 2, lastBatchSeq)
      await settled((done) => volume.update({ pending: name }, done))
      await settled((done) => volume.promote(name.logUuid, done))
      owner.returnTo(lastBatchSeq - 1)
      owner.name = name
    }
    if (tail.batchSeq > 0 && prng.chance(0.3)) await settled((done) => volume.update({ promise: round + 1 }, done))
  }
  return { storage, truths }
}

/** Whether the volume's log shows the true batches and nothing else. Returns how many are missing at its end. */
async function missingBatches(found: StoredVolume, { owner, volume }: Truth): Promise<number> {
  const log = logOf(found)
  const truth = logOf(volume)
  expect(log.lineage).toEqual(truth.lineage)
  expect(log.tail).toEqual(truth.tail)
  for (let batchSeq = log.tail.batchSeq; batchSeq <= log.lastBatchSeq; batchSeq++) {
    expect((await readBatch(found, batchSeq)).equals(owner.made.get(batchSeq)?.bytes ?? Buffer.alloc(0))).toBe(true)
  }
  const last = owner.made.get(log.lastBatchSeq)
  if (log.lastBatchSeq >= log.tail.batchSeq) expect(log.lastHash).toBe(last?.headerHash)
  return truth.lastBatchSeq - log.lastBatchSeq
}

function damage(prng: Prng, bytes: Buffer, at: number): void {
  const length = prng.pick([1, 512, 4096])
  const start = length === 1 ? at : at - (at % length)
  const kind = prng.below(3)
  for (let index = start; index < Math.min(bytes.length, start + length); index++) {
    bytes[index] = kind === 0 ? 0 : kind === 1 ? prng.below(256) : (bytes[index] as number) ^ 0x10
  }
}

/** A place that matters: superblocks, slots, a segment, or the newest batch of a volume. */
function placeIn(prng: Prng, bytes: Buffer, truths: readonly Truth[]): number {
  if (prng.chance(0.3)) return prng.below(SEGMENTS_START)
  if (prng.chance(0.2)) return prng.pick(truths).newestAt + prng.below(600)
  return SEGMENTS_START + prng.below(bytes.length - SEGMENTS_START)
}

/** A new log on a new volume takes every segment that it can get; then the store starts again. */
async function crowded({ storage, store }: OpenedStore): Promise<ReplicaStore> {
  const uuid = '9'.repeat(32)
  const volume = await createVolume(store, uuid, 'crowd')
  const owner = new TestOwner()
  owner.volumeUuid = uuid
  await learn(volume, { logBytes: 0 })
  for (let error: Error | null = null; error === null; ) {
    const body = bodyOf(owner.make(8192))
    error = await new Promise((resolve) => volume.append(body, resolve))
  }
  expect(store.freeBytes).toBe(0)
  return (await openStore(storage.reborn(), { allowFormat: false })).store
}

/** Logs that a store shows after any damage: each is a beginning of the true one. */
async function shownTruly(store: ReplicaStore, truths: readonly Truth[]): Promise<number> {
  let shown = 0
  for (const truth of truths) {
    const found = store.find(truth.volume.volumeUuid)
    if (found === null || found.state.log === null) continue
    expect(found.state.promise).toBe(truth.volume.state.promise)
    await missingBatches(found, truth)
    shown += 1
  }
  return shown
}

test('one damaged place', async () => {
  const seen = { same: 0, lost: 0, shorter: 0 }
  for (let seed = 1; seed <= 15; seed++) {
    const prng = createPrng(`damage ${seed}`)
    const { storage, truths } = await madeStore(prng)
    for (let round = 0; round < 20; round++) {
      const damaged = storage.reborn()
      damage(prng, damaged.bytes, placeIn(prng, damaged.bytes, truths))
      const opened = await openStore(damaged, { allowFormat: false })
      const { store } = opened
      expect(store.incarnation).toBe(1)
      const lostBefore = seen.lost
      for (const truth of truths) {
        const found = store.find(truth.volume.volumeUuid)
        if (found === null) throw new Error(`volume is missing seed=${seed} round=${round}`)
        const { promise, epoch, run, log } = found.state
        expect({ promise, epoch, run }).toEqual({ ...truth.volume.state, log: undefined })
        if (log === null) {
          expect(found.lossReason).not.toBeNull()
          seen.lost += 1
          continue
        }
        const missing = await missingBatches(found, truth)
        expect(missing).toBeLessThanOrEqual(1)
        if (missing === 0) expect(log).toEqual(truth.volume.state.log)
        seen[missing === 0 ? 'same' : 'shorter'] += 1
      }
      if (seen.lost === lostBefore) continue
      // What was lost stays lost, also when all free segments have been written over.
      const after = await crowded(opened)
      for (const { state, volumeUuid } of store.volumes()) expect(after.find(volumeUuid)?.state).toEqual(state)
    }
  }
  expect(Object.entries(seen).filter(([, count]) => count < 3)).toEqual([])
})

test('any damage', async () => {
  let refused = 0
  let shown = 0
  for (let seed = 1; seed <= 25; seed++) {
    const prng = createPrng(`much damage ${seed}`)
    const { storage, truths } = await madeStore(prng)
    for (let round = 0; round < 6; round++) {
      const damaged = storage.reborn()
      const inHead = prng.chance(0.3)
      for (let count = prng.below(40); count >= 0; count--) {
        damage(prng, damaged.bytes, inHead ? prng.below(SEGMENTS_START) : placeIn(prng, damaged.bytes, truths))
      }
      const opened = await openStore(damaged, { allowFormat: false }).catch((error: unknown) => error)
      if (opened instanceof Error) {
        expect(opened).toBeInstanceOf(CacheError)
        refused += 1
        continue
      }
      shown += await shownTruly((opened as OpenedStore).store, truths)
    }
  }
  expect(refused).toBeGreaterThan(1)
  expect(shown).toBeGreaterThan(20)
})

test('noise in place of a store never passes for one', async () => {
  const prng = createPrng('noise')
  for (let round = 0; round < 20; round++) {
    const bytes = Buffer.alloc(SEGMENTS_START + 4 * SEGMENT_BYTES)
    for (let at = 0; at < bytes.length; at++) bytes[at] = prng.below(256)
    await expect(openStore(new TestStorage(bytes))).rejects.toMatchObject({ code: 'CACHE_STORE_REFUSED' })
  }
})
