// Proves: every row of the store's tables does through real frames what it says: what is stored, answered, refused. Each
// case is named after its row; the last test holds the names against the tables, so that no row goes without a case.
import { STORE_TABLES } from '../../../../../csi-driver/protocol/store-table.ts'
import { Case, NEW_LOG } from './order-case.ts'
import { logUuidOf, Rig, settle, TestLog, VOLUME_UUID } from './receiver-kit.ts'

const OPENER = { purpose: 'opener', epoch: 2, run: 1 } as const
const LATER_LOG = logUuidOf(3)

const cases: string[] = []
afterEach(() => void cases.push(expect.getState().currentTestName ?? ''))

/** Rows that no frame can reach, and why. */
const UNREACHABLE = new Map([
  ['connection-ended', 'what an ended connection still delivers is dropped before (volume-replica.test.ts)'],
  ['epoch-old', 'whoever comes with a newer epoch ends the older connection first'],
  ['run-old', 'the same for runs'],
  ['promise-first', 'the HELLO has made the promise durable'],
])

// HELLO

test('proof-wrong', async () => {
  const { rig, owner } = await Case.begin()
  const other = await rig.welcomed({ key: Buffer.alloc(32, 1), epoch: 9 })
  expect(other.heard).toEqual(['REFUSED proof'])
  owner.send({ type: 'HEARTBEAT', number: 1 })
  expect(owner.heard).toEqual(['ALIVE'])
})

test('key-missing', async () => {
  const rig = await Rig.start()
  expect((await rig.welcomed({ volumeKey: null })).heard).toEqual(['REFUSED proof'])
  expect(rig.store.orders).toEqual([])
})

test('promised-to-newer', async () => {
  const { rig } = await Case.begin()
  await rig.welcomed({ epoch: 5 })
  expect((await rig.welcomed({ epoch: 4, run: 9 })).heard).toEqual(['REFUSED epoch-old'])
})

test('newer-run-was-here', async () => {
  const { rig } = await Case.begin()
  await rig.welcomed({ run: 3 })
  expect((await rig.welcomed({ run: 2 })).heard).toEqual(['REFUSED run-old'])
})

test('reconnect', async () => {
  const { rig, owner } = await Case.begin()
  const orders = rig.store.orders.length
  const again = await rig.welcomed()
  expect(again.last('WELCOME')?.state.log?.lastBatchSeq).toBe(3)
  expect(owner.isClosed).toBe(true)
  expect(rig.store.orders.length).toBe(orders)
})

test('newer-engine', async () => {
  const { rig, owner } = await Case.begin()
  const newer = await rig.welcomed({ run: 2 })
  expect(owner.heard).toEqual(['REFUSED run-old'])
  expect(newer.last('WELCOME')?.state).toMatchObject({ promise: 1, epoch: 1, run: 2 })
  expect(rig.store.orders.at(-1)).toBe('update tank')
})

test('opener-finds-nothing', async () => {
  const rig = await Rig.start()
  expect((await rig.welcomed(OPENER)).heard).toEqual(['REFUSED not-held'])
  expect(rig.store.orders).toEqual([])
})

test('new-volume', async () => {
  const rig = await Rig.start()
  const owner = await rig.welcomed()
  expect(owner.last('WELCOME')?.state).toEqual({ promise: 1, epoch: 1, run: 1, log: null })
  // Nothing of it is in the store before its LEARN.
  expect(rig.store.orders).toEqual([])
  expect(rig.receiver.status().volumes).toEqual([])
  owner.send(new TestLog().learn())
  expect(rig.store.orders).toEqual(['create tank', 'learn tank'])
  expect(rig.store.find(VOLUME_UUID)).toMatchObject({ createdBy: 'node-a', state: { epoch: 1, run: 1 } })
  // The key is fixed: another one does not open it, also not by bringing itself.
  expect((await rig.welcomed({ key: Buffer.alloc(32, 1), epoch: 2 })).heard).toEqual(['REFUSED proof'])
  // And later HELLOs need not bring it.
  expect((await rig.welcomed({ volumeKey: null, epoch: 2 })).heard).toEqual(['WELCOME'])
})

test('too-many-volumes', async () => {
  const rig = await Rig.start({ limits: { volumesMax: 1 } })
  await rig.welcomed()
  expect((await rig.welcomed({ volumeUuid: 'b'.repeat(32), volume: 'other' })).heard).toEqual(['REFUSED too-many'])
  expect((await rig.welcomed({ run: 2 })).heard).toEqual(['WELCOME'])
})

test('too-many-volumes-of-node', async () => {
  const rig = await Rig.start({ limits: { volumesPerNodeMax: 2 } })
  const hello = (digit: string) => ({ volumeUuid: digit.repeat(32), volume: `volume-${digit}` })
  await rig.learned(new TestLog(1, 'b'.repeat(32)), hello('b'))
  const unsaved = await rig.welcomed(hello('c'))
  expect((await rig.welcomed(hello('d'))).heard).toEqual(['REFUSED too-many'])
  expect((await rig.welcomed(hello('d'), 'node-b')).heard).toEqual(['WELCOME'])
  // What was only named makes room when its connection goes, what was learned is there also after a restart.
  unsaved.stream.destroy()
  await settle()
  await rig.learned(new TestLog(1, 'e'.repeat(32)), hello('e'))
  const again = await Rig.over(rig.store, { limits: { volumesPerNodeMax: 2 } })
  expect((await again.welcomed(hello('c'))).heard).toEqual(['REFUSED too-many'])
  expect((await again.welcomed({ ...hello('b'), run: 2 })).heard).toEqual(['WELCOME'])
})

// Who may order what

test('anybody', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  each.owner.send({ type: 'STATE' })
  opener.send({ type: 'STATE' })
  opener.send({ type: 'FETCH', fromBatchSeq: 4, bytesMax: 1 })
  opener.send(each.log.next())
  expect(opener.heard).toEqual(['STATE_IS', 'FETCH_END', 'APPENDED'])
  expect(each.owner.heard).toEqual(['REFUSED epoch-old'])
})

test('owner-orders', async () => {
  const { owner } = await Case.begin()
  owner.send({ type: 'TRIM', batchSeq: 1 })
  owner.send({ type: 'HEARTBEAT', number: 1 })
  owner.send({ type: 'RELEASE' })
  expect(owner.heard).toEqual(['TRIMMED', 'ALIVE', 'RELEASED'])
})

test('opener-orders', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare())
  opener.send({ type: 'SEAL', predecessorOff: true })
  expect(opener.heard).toEqual(['PREPARED', 'SEALED'])
})

test('opener-drops-nothing', async () => {
  const each = await Case.begin()
  const trimmer = await each.engine(OPENER)
  trimmer.send({ type: 'TRIM', batchSeq: 1 })
  expect(trimmer.heard).toEqual(['REFUSED bad-message'])
  const learner = await each.engine(OPENER)
  learner.send(each.log.learn())
  expect(learner.heard).toEqual(['REFUSED bad-message'])
  expect(each.state.log?.tail.batchSeq).toBe(1)
})

test('opener-serves-nothing', async () => {
  const each = await Case.begin()
  const one = await each.engine(OPENER)
  one.send({ type: 'HEARTBEAT', number: 1 })
  expect(one.heard).toEqual(['REFUSED bad-message'])
  const other = await each.engine(OPENER)
  other.send({ type: 'RELEASE' })
  expect(other.heard).toEqual(['REFUSED bad-message'])
})

test('owner-seals-nothing', async () => {
  const sealer = await Case.begin()
  sealer.owner.send({ type: 'SEAL', predecessorOff: true })
  expect(sealer.owner.heard).toEqual(['REFUSED bad-message'])
  const preparer = await Case.begin()
  preparer.owner.send(preparer.prepare())
  expect(preparer.owner.heard).toEqual(['REFUSED bad-message'])
  expect(preparer.state.log?.pending).toBeNull()
})

// APPEND

test('append-without-log', async () => {
  const { owner, log } = await Case.begin('no-log')
  owner.send(log.next())
  expect(owner.heard).toEqual(['WELCOME', 'REFUSED not-held'])
})

test('append-next', async () => {
  const { owner, log, state } = await Case.begin(1)
  owner.send(log.next(4096))
  expect(owner.answers).toEqual([{ type: 'APPENDED', batchSeq: 2 }])
  expect(state.log?.lastBatchSeq).toBe(1)
})

test('append-under-pending-name', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare())
  each.log.logUuid = NEW_LOG
  each.log.epoch = 2
  opener.send(each.log.next())
  expect(opener.heard).toEqual(['PREPARED', 'REFUSED not-held'])
})

test('append-under-other-name', async () => {
  const { owner, log } = await Case.begin()
  log.logUuid = logUuidOf(1, '7'.repeat(16))
  owner.send(log.next())
  expect(owner.heard).toEqual(['REFUSED not-held'])
})

test('append-to-other-chain', async () => {
  const { owner, log } = await Case.begin()
  log.previousHash += 1n
  owner.send(log.next())
  expect(owner.heard).toEqual(['REFUSED hash-differs'])
})

test('append-again', async () => {
  const { rig, owner, log } = await Case.begin(2)
  const third = log.next()
  owner.send(third)
  const again = await rig.welcomed()
  again.send(third)
  again.send(log.next())
  expect(again.answers.slice(1)).toEqual([
    { type: 'APPENDED', batchSeq: 3 },
    { type: 'APPENDED', batchSeq: 4 },
  ])
  expect(rig.store.orders.filter((order) => order === 'append tank').length).toBe(4)
  expect(rig.receiver.status().volumes[0]?.counters).toMatchObject({ appendedBatches: 4, duplicateBatches: 1 })
})

test('append-other-content', async () => {
  const { owner, log } = await Case.begin(2)
  log.batchSeq = 2
  log.seq = 2
  owner.send(log.next(512, 'other'))
  expect(owner.heard).toEqual(['REFUSED hash-differs'])
})

test('append-below-tail', async () => {
  const { owner } = await Case.begin(3)
  owner.send({ type: 'TRIM', batchSeq: 2 })
  owner.send(new TestLog().next())
  expect(owner.heard).toEqual(['TRIMMED', 'REFUSED gap'])
})

test('append-gap', async () => {
  const { owner, log, state } = await Case.begin(1)
  log.next()
  owner.send(log.next())
  expect(owner.heard).toEqual(['REFUSED gap'])
  expect(state.log?.lastBatchSeq).toBe(1)
})

// TRIM

test('trim-without-log', async () => {
  const { owner } = await Case.begin('no-log')
  owner.send({ type: 'TRIM', batchSeq: 1 })
  expect(owner.heard).toEqual(['WELCOME', 'REFUSED not-held'])
})

test('trim', async () => {
  const each = await Case.begin()
  each.owner.send({ type: 'TRIM', batchSeq: 2 })
  expect(each.owner.answers).toEqual([{ type: 'TRIMMED', batchSeq: 2 }])
  expect(each.state.log?.tail.batchSeq).toBe(3)
})

test('trim-again', async () => {
  const each = await Case.begin()
  each.owner.send({ type: 'TRIM', batchSeq: 2 })
  each.owner.send({ type: 'TRIM', batchSeq: 1 })
  expect(each.owner.heard).toEqual(['TRIMMED', 'TRIMMED'])
  expect(each.state.log?.tail.batchSeq).toBe(3)
})

test('trim-ahead', async () => {
  const { owner } = await Case.begin()
  owner.send({ type: 'TRIM', batchSeq: 4 })
  expect(owner.heard).toEqual(['REFUSED gap'])
})

// SEAL: its waits are proven in seal-order.test.ts

test('own-engine-first', async () => {
  const each = await Case.begin()
  each.rig.engines.hold = true
  const opener = await each.sealer(true)
  expect(each.rig.engines.asked).toMatchObject([{ volume: 'tank', epoch: 2 }])
  expect(opener.heard).toEqual(['SEAL_WAIT'])
  each.rig.engines.asked[0]?.done(null)
  expect(opener.heard).toEqual(['SEAL_WAIT', 'SEALED'])
})

test('own-engine-stays', async () => {
  const each = await Case.begin()
  each.rig.engines.error = Object.assign(new Error('it lives'), { name: 'IoError' as const, code: 'EBUSY' })
  const opener = await each.sealer(true)
  expect(opener.heard).toEqual(['REFUSED busy-engine'])
})

test('predecessor-off', async () => {
  const each = await Case.begin()
  each.owner.send({ type: 'HEARTBEAT', number: 1 })
  const opener = await each.sealer(true)
  expect(opener.last('SEALED')?.state).toMatchObject({ promise: 2, epoch: 2, log: { lastBatchSeq: 3 } })
})

test('store-restarted', async () => {
  const each = await Case.begin()
  const opener = await each.sealer(false)
  expect(opener.answers).toEqual([{ type: 'SEAL_WAIT', remainingMs: 8000 }])
})

async function longAfterStart(): Promise<Case> {
  const each = await Case.begin()
  await each.rig.time.advance(9_000)
  return each
}

test('lease-may-run', async () => {
  const each = await longAfterStart()
  each.owner.send({ type: 'HEARTBEAT', number: 1 })
  const opener = await each.sealer(false)
  expect(opener.answers).toEqual([{ type: 'SEAL_WAIT', remainingMs: 8000 }])
})

test('lease-released', async () => {
  const each = await longAfterStart()
  each.owner.send({ type: 'HEARTBEAT', number: 1 })
  each.owner.send({ type: 'RELEASE' })
  const opener = await each.sealer(false)
  expect(opener.heard).toEqual(['SEALED'])
})

test('lease-over', async () => {
  const each = await longAfterStart()
  const opener = await each.sealer(false)
  expect(opener.heard).toEqual(['SEALED'])
})

// LEARN

test('learn-from-nonsense', async () => {
  const { owner, log } = await Case.begin('no-log')
  owner.send({ ...log.learn(), lineage: [{ logUuid: logUuidOf(1), firstBatchSeq: 7 }] })
  expect(owner.heard).toEqual(['WELCOME', 'REFUSED bad-message'])
})

test('learn', async () => {
  const each = await Case.begin(3)
  each.owner.send(each.log.learn())
  expect(each.owner.heard).toEqual(['LEARNING'])
  expect(each.state.log).toMatchObject({ tail: { batchSeq: 4 }, lastBatchSeq: 3, storedBytes: 0 })
  each.owner.send(each.log.next())
  expect(each.owner.last('APPENDED')?.batchSeq).toBe(4)
})

test('learn-full', async () => {
  const each = await Case.begin(2)
  each.owner.send(each.log.learn(2 ** 31))
  expect(each.owner.heard).toEqual(['REFUSED full'])
  expect(each.state.log?.lastBatchSeq).toBe(2)
  // Not a failure of the store: the volume goes on.
  expect((await each.rig.welcomed()).heard).toEqual(['WELCOME'])
})

// PREPARE and PROMOTE

test('prepare-without-log', async () => {
  const each = await Case.begin('no-log')
  const opener = await each.engine(OPENER)
  opener.send(each.prepare())
  expect(opener.heard).toEqual(['REFUSED not-held'])
})

test('prepare-other-log', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare({ authoritativeLogUuid: logUuidOf(1, '7'.repeat(16)) }))
  expect(opener.heard).toEqual(['REFUSED not-held'])
})

test('prepare-on-promoted', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare({ lastBatchSeq: 2, lastHash: each.rig.store.find(VOLUME_UUID)?.headerHashOf(2) ?? 0n }))
  const next = await each.engine({ ...OPENER, epoch: 3 })
  const lastHash = each.rig.store.find(VOLUME_UUID)?.headerHashOf(2) ?? 0n
  next.send(each.prepare({ authoritativeLogUuid: NEW_LOG, newLogUuid: LATER_LOG, lastBatchSeq: 2, lastHash }))
  expect(next.heard).toEqual(['PREPARED'])
  expect(each.state.log).toMatchObject({
    lineage: [{ logUuid: logUuidOf(1) }, { logUuid: NEW_LOG, firstBatchSeq: 3 }],
    pending: { logUuid: LATER_LOG, firstBatchSeq: 3 },
    lastBatchSeq: 2,
  })
})

test('prepare-short', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare({ lastBatchSeq: 4 }))
  expect(opener.heard).toEqual(['REFUSED gap'])
})

test('prepare-other-content', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare({ lastHash: 1n }))
  expect(opener.heard).toEqual(['REFUSED hash-differs'])
})

test('prepare', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare())
  expect(opener.heard).toEqual(['PREPARED'])
  expect(each.state.log).toMatchObject({ pending: { logUuid: NEW_LOG, firstBatchSeq: 4 }, lastBatchSeq: 3 })
})

test('prepare-again', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare())
  const orders = each.rig.store.orders.length
  opener.send(each.prepare())
  expect(opener.heard).toEqual(['PREPARED', 'PREPARED'])
  expect(each.rig.store.orders.length).toBe(orders)
})

test('prepare-over-void', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare())
  const next = await each.engine({ ...OPENER, epoch: 3 })
  next.send(each.prepare({ newLogUuid: LATER_LOG }))
  expect(next.heard).toEqual(['PREPARED'])
  expect(each.state.log?.pending?.logUuid).toBe(LATER_LOG)
})

test('promote-without-log', async () => {
  const { owner } = await Case.begin('no-log')
  owner.send({ type: 'PROMOTE', logUuid: logUuidOf(1) })
  expect(owner.heard).toEqual(['WELCOME', 'REFUSED not-held'])
})

test('promote', async () => {
  const each = await Case.begin()
  const opener = await each.engine(OPENER)
  opener.send(each.prepare())
  opener.send({ type: 'PROMOTE', logUuid: NEW_LOG })
  expect(opener.heard).toEqual(['PREPARED', 'PROMOTED'])
  expect(each.state.log).toMatchObject({ lineage: [{}, { logUuid: NEW_LOG, firstBatchSeq: 4 }], pending: null })
})

test('promote-again', async () => {
  const { owner } = await Case.begin()
  owner.send({ type: 'PROMOTE', logUuid: logUuidOf(1) })
  expect(owner.heard).toEqual(['PROMOTED'])
})

test('promote-other', async () => {
  const { owner } = await Case.begin()
  owner.send({ type: 'PROMOTE', logUuid: NEW_LOG })
  expect(owner.heard).toEqual(['REFUSED not-held'])
})

// FETCH: how it sends is proven in fetch-order.test.ts

test('fetch-without-log', async () => {
  const { owner } = await Case.begin('no-log')
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: 1 })
  expect(owner.heard).toEqual(['WELCOME', 'REFUSED not-held'])
})

test('fetch', async () => {
  const { owner } = await Case.begin()
  owner.send({ type: 'FETCH', fromBatchSeq: 2, bytesMax: 2 ** 20 })
  expect(owner.heard).toEqual(['BATCH', 'BATCH', 'FETCH_END'])
  expect(owner.last('FETCH_END')).toEqual({ type: 'FETCH_END', lastBatchSeq: 3, more: false })
})

test('fetch-nothing', async () => {
  const { owner } = await Case.begin()
  owner.send({ type: 'FETCH', fromBatchSeq: 4, bytesMax: 2 ** 20 })
  expect(owner.answers).toEqual([{ type: 'FETCH_END', lastBatchSeq: 3, more: false }])
})

test('fetch-trimmed', async () => {
  const { owner } = await Case.begin()
  owner.send({ type: 'TRIM', batchSeq: 1 })
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: 2 ** 20 })
  expect(owner.heard).toEqual(['TRIMMED', 'REFUSED gap'])
})

test('fetch-beyond', async () => {
  const { owner } = await Case.begin()
  owner.send({ type: 'FETCH', fromBatchSeq: 5, bytesMax: 2 ** 20 })
  expect(owner.heard).toEqual(['REFUSED gap'])
})

test('every row has its case, or a reason why no frame reaches it', () => {
  const rows = Object.values(STORE_TABLES).flatMap((table) => table.map(({ label }) => label))
  expect([...cases, ...UNREACHABLE.keys()].toSorted()).toEqual(rows.toSorted())
})
