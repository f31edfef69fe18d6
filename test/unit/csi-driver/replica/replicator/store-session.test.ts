// Proves: a session greets (with the key where it is needed), orders and gathers; what it gathers is verified before it is
// handed on, in order, one at a time, with backpressure; every call ends within its limit; a refusal says what to do.
import { CacheError } from '../../../../../base/errors.ts'
import { SILENT_LOG } from '../../../../../base/log.ts'
import { BATCH_FRAME_BYTES_MAX } from '../../../../../csi-driver/batch/batch-format.ts'
import type { BatchView } from '../../../../../csi-driver/batch/batch-view.ts'
import {
  type BatchTaker,
  ReplicaCorruptError,
  StoreRefusedError,
  StoreSession,
} from '../../../../../csi-driver/replica/replicator.ts'
import { envelopeBytes, restoreFrame, writeEnvelope } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { zstdCodec } from '../../../../../csi-driver/replica/compression/zstd-codec.ts'
import { xxhash64 } from '../../../../../base/xxhash64.ts'
import { heapMemory } from '../../batch/batch-kit.ts'
import type { FakeStore, HeldBatch } from './fake-store.ts'
import { EPOCH, frameAt, LOG_UUID, Owner, VOLUME_KEY, VOLUME_UUID } from './owner-kit.ts'

const IDENTITY = { volume: 'vol', volumeUuid: VOLUME_UUID, volumeKey: VOLUME_KEY, node: 'owner', epoch: EPOCH, run: 3 }

interface Stage {
  readonly owner: Owner
  readonly store: FakeStore
  readonly connect: (purpose?: 'owner' | 'opener') => Promise<StoreSession>
  /** Lets a promise settle within so much time. */
  readonly settle: <T>(promise: Promise<T>, ms?: number) => Promise<T>
}

/** A store that holds what the last owner has written. */
async function stage(batches: number): Promise<Stage> {
  const owner = new Owner(['a'])
  await owner.begin(['a'], batches)
  await owner.replicator.stop()
  const settle = async <T>(promise: Promise<T>, ms = 60_000): Promise<T> => {
    const outcome = await owner.world.waitFor(promise, ms)
    if (outcome === undefined) throw new Error('it hangs')
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }
  const { network, process } = owner
  const ports = {
    network: network.attach(process, 'owner'),
    clock: process.clock,
    timers: process.timers,
    log: SILENT_LOG,
  }
  const store = owner.store('a')
  const connect = (purpose: 'owner' | 'opener' = 'opener'): Promise<StoreSession> =>
    settle(StoreSession.connect(ports, IDENTITY, store, purpose))
  return { owner, store, connect, settle }
}

/** Has one frame in memory at a time; `take` looks at it. */
function taker(take: (frame: Buffer, view: BatchView) => void): BatchTaker {
  const buffer = heapMemory.allocate(BATCH_FRAME_BYTES_MAX)
  return {
    room: () => ({ buffer, start: 0 }),
    take: (view) => take(view.buffer.subarray(view.start, view.start + view.frameBytes), view),
  }
}

const DROPPED = taker(() => {})

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  )
}

describe('greeting', () => {
  test('tells what the store is and holds', async () => {
    const { store, connect, owner } = await stage(4)
    const session = await connect()
    expect(session.store).toEqual(store.member)
    expect([session.resource, session.freeBytes]).toEqual(['flash', store.freeBytes])
    expect(session.state.log).toMatchObject({ lastBatchSeq: 4, lastHash: owner.log.lastHash })
    expect(session.state).toMatchObject({ epoch: EPOCH, run: 3 })
    await session.close()
    await session.close()
    await owner.run(10)
    expect(owner.network.openStreams('owner')).toBe(0)
  })

  test('shows the key to a store that does not know the volume, and only then', async () => {
    const { store, connect } = await stage(0)
    await connect('owner')
    store.wipe()
    const session = await connect('owner')
    expect(session.state.log).toBeNull()
    const keys = store.heard.flatMap((message) => (message.type === 'HELLO' ? [message.volumeKey] : []))
    expect(keys.slice(1)).toEqual([null, null, VOLUME_KEY])
  })

  test('fails with what to do', async () => {
    const { store, connect } = await stage(1)
    if (store.state !== null) store.state = { ...store.state, promise: 99 }
    const fenced = await errorOf(connect())
    expect(fenced).toBeInstanceOf(StoreRefusedError)
    expect(fenced).toMatchObject({ kind: 'fenced', refusal: 'epoch-old', node: 'a' })
    store.kill()
    expect(await errorOf(connect())).toMatchObject({ kind: 'retry', code: 'CACHE_STORE_UNREACHABLE' })
    store.start()
    store.mute = true
    const silent = await errorOf(connect())
    expect(silent).toMatchObject({ kind: 'retry', code: 'CACHE_STORE_UNREACHABLE' })
    expect((silent as Error).message).toContain('while greeting')
  })
})

describe('gathering', () => {
  test('hands over every batch in order, as it was sealed, one at a time', async () => {
    const { owner, connect, settle } = await stage(50)
    const session = await connect()
    const seen: [number, bigint][] = []
    const slow = taker((frame, view) => {
      expect(frame).toEqual(owner.log.frames.get(view.batchSeq))
      seen.push([view.batchSeq, view.headerHash])
    })
    let waiting = 0
    const result = await settle(
      session.fetch(
        { batchSeq: 1, previousHash: 0n },
        {
          room: async (frameBytes) => {
            expect(++waiting).toBe(1)
            expect(frameBytes).toBe(owner.log.frames.get(seen.length + 1)?.length)
            await new Promise<void>((resolve) => void owner.process.timers.after(1, resolve))
            waiting -= 1
            return { ...(await slow.room(frameBytes)) }
          },
          take: (view) => slow.take(view),
        },
      ),
    )
    expect(seen).toEqual([...owner.hashes()])
    expect(result).toEqual({ lastBatchSeq: 50, lastHash: owner.log.lastHash })
    // From the middle, and from the end.
    const rest = await settle(session.fetch({ batchSeq: 41, previousHash: null }, DROPPED))
    expect(rest.lastBatchSeq).toBe(50)
    const none = await settle(session.fetch({ batchSeq: 51, previousHash: owner.log.lastHash }, DROPPED))
    expect(none).toEqual({ lastBatchSeq: 50, lastHash: owner.log.lastHash })
  })

  test('asks in portions, so that no more than one is in memory', async () => {
    const { owner, store } = await stage(0)
    const two = new Owner(['a'])
    await two.begin(['a'])
    for (let i = 0; i < 30; i++) {
      two.append(1800)
      await two.until(() => !two.isFlying, 1000)
      await two.run(1)
    }
    store.adopt(two.ownLog(), two.store('a').held, EPOCH, 2)
    const { process, network } = owner
    const ports = {
      network: network.attach(process, 'owner'),
      clock: process.clock,
      timers: process.timers,
      log: SILENT_LOG,
    }
    const outcome = await owner.world.waitFor(
      StoreSession.connect(ports, IDENTITY, store, 'opener').then((session) =>
        session.fetch({ batchSeq: 1, previousHash: 0n }, DROPPED),
      ),
      60_000,
    )
    expect(outcome).toEqual({ value: { lastBatchSeq: 30, lastHash: two.log.lastHash } })
    expect(store.heard.filter(({ type }) => type === 'FETCH').length).toBeGreaterThan(3)
  })

  test('restores compressed batches', async () => {
    const { store, connect, settle } = await stage(0)
    const two = new Owner(['a'])
    await two.begin(['a'], 0)
    two.append(16)
    await two.run(10)
    const [held] = two.store('a').held
    if (held === undefined) throw new Error('one batch')
    store.adopt(two.ownLog(), [compressed(held)], EPOCH, 2)
    const session = await connect()
    const seen: Buffer[] = []
    await settle(
      session.fetch(
        { batchSeq: 1, previousHash: 0n },
        taker((frame) => seen.push(Buffer.from(frame))),
      ),
    )
    expect(seen).toEqual([two.log.frames.get(1)])
  })

  const damages: [string, (store: FakeStore) => void, string][] = [
    ['a flipped bit of a payload', (store) => rewrite(store, 3, (body) => flip(body, body.length - 5)), 'payload'],
    ['a flipped bit of a header', (store) => rewrite(store, 3, (body) => flip(body, 32 + 106)), 'header is damaged'],
    ['a batch that is not the next', (store) => exchange(store, 3, 4), 'another batch came'],
    ['a batch of another chain', (store) => rewrite(store, 3, () => foreign), 'does not follow'],
    ['more that does not come', (store) => store.held.splice(3), 'none came'],
    ['an end before the end', endEarly, 'does not end as was said'],
  ]
  let foreign: Buffer = Buffer.alloc(0)

  test.each(damages)('stops before %s', async (_name, damage, reason) => {
    const other = new Owner(['a'])
    await other.begin(['a'])
    for (let i = 0; i < 3; i++) {
      other.append(2 + i)
      await other.run(10)
    }
    foreign = other.store('a').held[2]?.body ?? foreign
    const { store, connect, settle } = await stage(6)
    const session = await connect()
    damage(store)
    let handed = 0
    const counting = taker(() => void handed++)
    const error = await errorOf(settle(session.fetch({ batchSeq: 1, previousHash: 0n }, counting)))
    expect(error).toBeInstanceOf(ReplicaCorruptError)
    expect(error).toMatchObject({ kind: 'corrupt', node: 'a' })
    expect((error as Error).message).toContain(reason)
    expect(handed).toBeLessThanOrEqual(3)
    expect(await errorOf(settle(session.refresh()))).toMatchObject({ code: 'CACHE_STORE_LOST' })
  })

  test('a taker that fails ends it, whether it has no room or does not like the batch', async () => {
    const failure = new Error('no room')
    const fail = (): never => {
      throw failure
    }
    for (const failing of [
      { ...DROPPED, room: fail },
      { ...DROPPED, room: () => Promise.reject(failure) },
      taker(fail),
    ]) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const { connect, settle } = await stage(6)
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const session = await connect()
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      expect(await errorOf(settle(session.fetch({ batchSeq: 1, previousHash: 0n }, failing)))).toBe(failure)
    }
  })
})

describe('orders', () => {
  test('append, trim, prepare, promote change the store', async () => {
    const { owner, store, connect, settle } = await stage(5)
    store.loseTail(2)
    const session = await connect()
    for (const batchSeq of [4, 5]) {
      const stored = owner.log.frames.get(batchSeq) as Buffer
      await settle(session.append(frameAt(Buffer.from(stored), 0, stored.length)))
    }
    expect(store.log.lastHash).toBe(owner.log.lastHash)
    await settle(
      session.prepare({
        authoritativeLogUuid: LOG_UUID,
        newLogUuid: 'cd'.repeat(16),
        lastBatchSeq: 5,
        lastHash: owner.log.lastHash,
      }),
    )
    expect((await settle(session.refresh())).log?.pending).toEqual({ logUuid: 'cd'.repeat(16), firstBatchSeq: 6 })
    await settle(session.close())
    const asOwner = await connect('owner')
    await settle(asOwner.promote('cd'.repeat(16)))
    await settle(asOwner.trim(2))
    await settle(asOwner.refresh())
    expect(asOwner.state.log).toMatchObject({ pending: null, tail: { batchSeq: 3 } })
  })

  test('a seal waits as long as the store asks for, and says so', async () => {
    const { store, connect, settle } = await stage(2)
    store.sealWaitsMs = [7_000, 15_000]
    const session = await connect()
    const waits: number[] = []
    const state = await settle(session.seal({ predecessorOff: false }, (ms) => waits.push(ms)))
    expect(waits).toEqual([7_000, 15_000])
    expect(state.log?.lastBatchSeq).toBe(2)
  })

  test('a store that asks for patience for ever is given up', async () => {
    const { store, connect, settle } = await stage(2)
    store.sealWaitsMs = Array.from({ length: 100 }, () => 8_000)
    const session = await connect()
    const error = await errorOf(
      settle(
        session.seal({ predecessorOff: false }, () => {}),
        130_000,
      ),
    )
    expect(error).toMatchObject({ kind: 'unknown-outcome', code: 'CACHE_STORE_LOST' })
  })

  test('without an answer end in time, and the session with them', async () => {
    const { owner, store, connect, settle } = await stage(2)
    const session = await connect()
    store.mute = true
    const before = owner.world.nowMs
    expect(await errorOf(settle(session.trim(1)))).toMatchObject({ kind: 'unknown-outcome' })
    expect(owner.world.nowMs - before).toBeLessThan(11_000)
    expect(await errorOf(settle(session.refresh()))).toMatchObject({ kind: 'unknown-outcome' })
  })

  test('that are refused reject with the refusal; a lost connection is an unknown outcome', async () => {
    const { owner, store, connect, settle } = await stage(2)
    store.refuseNext = { type: 'TRIM', code: 'io' }
    const first = await connect('owner')
    expect(await errorOf(settle(first.trim(1)))).toMatchObject({ kind: 'retry', refusal: 'io' })
    const second = await connect('owner')
    store.answerMs = 50
    const call = errorOf(settle(second.trim(1)))
    await owner.run(10)
    owner.network.reset('owner', 'a')
    const error = await call
    expect(error).toBeInstanceOf(CacheError)
    expect(error).toMatchObject({ kind: 'unknown-outcome' })
  })
})

/** Forgets its newest batches, and does not say so. */
function endEarly(store: FakeStore): void {
  store.loseTail(3)
}

function flip(body: Buffer, at: number): Buffer {
  body[at] = (body[at] as number) ^ 4
  return body
}

/** Changes what the store holds of a batch; the hash of its body fits, as if the damage had come before. */
function rewrite(store: FakeStore, batchSeq: number, change: (body: Buffer) => Buffer): void {
  store.held = store.held.map((batch) => {
    if (batch.batchSeq !== batchSeq) return batch
    const body = change(Buffer.from(batch.body))
    return { ...batch, body, hash: xxhash64(body, 0, body.length) }
  })
}

function exchange(store: FakeStore, a: number, b: number): void {
  const first = store.held[a - 1] as HeldBatch
  const second = store.held[b - 1] as HeldBatch
  store.held[a - 1] = { ...second, batchSeq: a }
  store.held[b - 1] = { ...first, batchSeq: b }
}

/** The same batch in a compressed envelope. */
function compressed(batch: HeldBatch): HeldBatch {
  const frame = Buffer.alloc(1 << 16)
  const headerBytes = batch.body.readUInt32LE(4)
  const rawPayloadBytes = batch.body.readUInt32LE(8)
  const header = batch.body.subarray(32, 32 + headerBytes)
  const raw = batch.body.subarray(32 + headerBytes)
  const length = zstdCodec.compress(raw, 0, raw.length, frame)
  const envelope = { codec: zstdCodec.code, rawPayloadBytes, header, payload: frame.subarray(0, length) }
  const body = Buffer.alloc(envelopeBytes(envelope))
  writeEnvelope(body, 0, envelope)
  expect(restoreFrame(envelope, Buffer.alloc(1 << 16), () => rawPayloadBytes)).not.toBeNull()
  return { ...batch, body, hash: xxhash64(body, 0, body.length) }
}
