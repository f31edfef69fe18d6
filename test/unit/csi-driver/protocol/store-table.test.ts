// Proves that a replica store decides every combination of facts by exactly one row, and, message by message, that the
// facts are found right: old engines and ended connections change nothing, a batch counts as held only with an equal
// hash, trims are monotone, a seal waits for every lease, and a pending name is promoted before it could be overwritten.
import fc from 'fast-check'
import type { FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  HEARTBEAT_MS,
  LEASE_MS,
  NODE_LEASE_MS,
  NODE_LEASE_RENEW_MS,
  NODE_LEASE_WAIT_MS,
  SEAL_WAIT_MS,
} from '../../../../csi-driver/protocol/lease-times.ts'
import {
  APPEND_ROWS,
  type AppendFacts,
  FETCH_ROWS,
  type FetchFacts,
  HELLO_ROWS,
  type HelloFacts,
  LEARN_ROWS,
  type LearnFacts,
  PREPARE_ROWS,
  type PrepareFacts,
  PROMOTE_ROWS,
  type PromoteFacts,
  SEAL_ROWS,
  type SealFacts,
  SENDER_ROWS,
  type SenderFacts,
  STORE_ORDERS,
  TRIM_ROWS,
  type TrimFacts,
} from '../../../../csi-driver/protocol/store-rows.ts'
import {
  appendDecision,
  engineAge,
  fetchDecision,
  heartbeatDecision,
  helloDecision,
  learnDecision,
  nameAt,
  orderDecision,
  prepareDecision,
  promoteDecision,
  type SealInput,
  sealDecision,
  type Sender,
  STORE_TABLES,
  trimDecision,
} from '../../../../csi-driver/protocol/store-table.ts'
import type { StoredLog, VolumeState } from '../../../../csi-driver/protocol/stored-log.ts'
import { NO_LOG_UUID } from '../../../../csi-driver/register/record.ts'
import { logUuidOf } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const AGES = ['epoch-old', 'run-old', 'same', 'newer'] as const
const PURPOSES = ['owner', 'opener'] as const
const LOGS = ['held', 'none'] as const

const HELLOS: FactDomain<HelloFacts> = {
  purpose: PURPOSES,
  proof: ['right', 'wrong', 'no-key'],
  volume: ['known', 'unknown'],
  engine: AGES,
  room: ['there', 'none', 'none-for-node'],
}
const SENDERS: FactDomain<SenderFacts> = {
  connection: ['present', 'ended'],
  engine: AGES,
  purpose: PURPOSES,
  order: STORE_ORDERS,
}
const APPENDS: FactDomain<AppendFacts> = {
  log: LOGS,
  position: ['next', 'next-of-other-chain', 'held-same', 'held-other', 'below-tail', 'gap'],
  name: ['lineage', 'pending', 'other'],
}
const TRIMS: FactDomain<TrimFacts> = { log: LOGS, position: ['behind', 'within', 'ahead'] }
const SEALS: FactDomain<SealFacts> = {
  promise: ['durable', 'smaller'],
  ownEngine: ['unasked', 'ended', 'does-not-end'],
  lease: ['none', 'may-run', 'released'],
  start: ['recent', 'long-ago'],
  predecessorOff: [true, false],
}
const LEARNS: FactDomain<LearnFacts> = { begin: ['valid', 'invalid'], space: ['fits', 'lacks'] }
const PREPARES: FactDomain<PrepareFacts> = {
  log: LOGS,
  authoritative: ['current', 'pending', 'other'],
  end: ['held', 'beyond', 'differs'],
  pending: ['none', 'same', 'other'],
}
const PROMOTES: FactDomain<PromoteFacts> = { log: LOGS, name: ['current', 'pending', 'other'] }
const FETCHES: FactDomain<FetchFacts> = { log: LOGS, from: ['below-tail', 'within', 'at-end', 'beyond'] }

describe('tables', () => {
  test.each([
    ['hello', undecided(HELLO_ROWS, HELLOS), idleOrDouble(HELLO_ROWS, HELLOS)],
    ['sender', undecided(SENDER_ROWS, SENDERS), idleOrDouble(SENDER_ROWS, SENDERS)],
    ['append', undecided(APPEND_ROWS, APPENDS), idleOrDouble(APPEND_ROWS, APPENDS)],
    ['trim', undecided(TRIM_ROWS, TRIMS), idleOrDouble(TRIM_ROWS, TRIMS)],
    ['seal', undecided(SEAL_ROWS, SEALS), idleOrDouble(SEAL_ROWS, SEALS)],
    ['learn', undecided(LEARN_ROWS, LEARNS), idleOrDouble(LEARN_ROWS, LEARNS)],
    ['prepare', undecided(PREPARE_ROWS, PREPARES), idleOrDouble(PREPARE_ROWS, PREPARES)],
    ['promote', undecided(PROMOTE_ROWS, PROMOTES), idleOrDouble(PROMOTE_ROWS, PROMOTES)],
    ['fetch', undecided(FETCH_ROWS, FETCHES), idleOrDouble(FETCH_ROWS, FETCHES)],
  ])('%s: every combination has exactly one row, every row is reached', (_name, holes, idle) => {
    expect(holes).toEqual([])
    expect(idle).toEqual([])
  })

  test('labels are unique over all tables, so that a log line names its row', () => {
    const labels = Object.values(STORE_TABLES).flatMap((rows) => rows.map(({ label }) => label))
    expect(labels.length).toBe(new Set(labels).size)
  })
})

const UUID_3 = logUuidOf(3)
const UUID_4 = logUuidOf(4)

/** Batches 5 to 9 of the log of epoch 3; the hash of batch n is n. */
const LOG: StoredLog = {
  lineage: [{ logUuid: UUID_3, firstBatchSeq: 2 }],
  pending: null,
  tail: { batchSeq: 5, seq: 50, previousHash: 4n },
  lastBatchSeq: 9,
  lastSeq: 90,
  lastHash: 9n,
  ackedSeq: 80,
  storedBytes: 4096,
}
const PENDING: StoredLog = { ...LOG, pending: { logUuid: UUID_4, firstBatchSeq: 8 } }

function state(changes: Partial<VolumeState> = {}): VolumeState {
  return { promise: 3, epoch: 3, run: 2, log: LOG, ...changes }
}

function sender(changes: Partial<Sender> = {}): Sender {
  return { present: true, purpose: 'owner', epoch: 3, run: 2, ...changes }
}

const OPENER = sender({ purpose: 'opener', epoch: 4, run: 1 })
const SEALED = state({ promise: 4, epoch: 4, run: 1 })

describe('who may order what', () => {
  test('engines compare by epoch, then by run, and a promise counts like a newer engine', () => {
    expect(engineAge(state(), { epoch: 3, run: 2 })).toBe('same')
    expect(engineAge(state(), { epoch: 3, run: 1 })).toBe('run-old')
    expect(engineAge(state(), { epoch: 3, run: 3 })).toBe('newer')
    expect(engineAge(state(), { epoch: 2, run: 9 })).toBe('epoch-old')
    expect(engineAge(state(), { epoch: 4, run: 0 })).toBe('newer')
    expect(engineAge(state({ promise: 4 }), { epoch: 3, run: 9 })).toBe('epoch-old')
    expect(engineAge(state({ promise: 4 }), { epoch: 4, run: 1 })).toBe('newer')
    expect(engineAge(null, { epoch: 1, run: 1 })).toBe('newer')
  })

  test('an accepted HELLO of a newer engine is persisted, an older one is refused', () => {
    const hello = { purpose: 'owner', epoch: 3, run: 2, proof: 'right', room: 'there' } as const
    expect(helloDecision(hello, state())).toMatchObject({ then: 'welcome' })
    expect(helloDecision({ ...hello, run: 3 }, state())).toMatchObject({ then: 'persist' })
    expect(helloDecision({ ...hello, run: 1 }, state())).toMatchObject({ then: { refuse: 'run-old' } })
    expect(helloDecision(hello, state({ promise: 4 }))).toMatchObject({ then: { refuse: 'epoch-old' } })
    expect(helloDecision(hello, null)).toMatchObject({ then: 'create' })
    for (const room of ['none', 'none-for-node'] as const) {
      expect(helloDecision({ ...hello, room }, null)).toMatchObject({ then: { refuse: 'too-many' } })
    }
    expect(helloDecision({ ...hello, purpose: 'opener' }, null)).toMatchObject({ then: { refuse: 'not-held' } })
    expect(helloDecision({ ...hello, proof: 'wrong' }, state())).toMatchObject({ then: { refuse: 'proof' } })
  })

  test('nothing that an ended connection still delivers is done or answered', () => {
    for (const order of STORE_ORDERS) {
      expect(orderDecision(sender({ present: false }), order, state()).then).toBe('drop')
    }
    expect(appendDecision(sender({ present: false }), state(), NEXT).then).toBe('drop')
  })

  test('under a newer promise no order of the old owner is obeyed, and no heartbeat renews', () => {
    for (const order of STORE_ORDERS) {
      expect(orderDecision(sender(), order, SEALED).then).toMatchObject({ refuse: 'epoch-old' })
    }
    expect(heartbeatDecision(sender(), state()).then).toBe('renew')
    expect(heartbeatDecision(sender(), SEALED).then).toMatchObject({ refuse: 'epoch-old' })
    expect(heartbeatDecision(OPENER, SEALED).then).toMatchObject({ refuse: 'bad-message' })
  })

  test('an opener drops nothing, an owner seals nothing', () => {
    expect(trimDecision(OPENER, SEALED, 6).then).toMatchObject({ refuse: 'bad-message' })
    expect(orderDecision(OPENER, 'LEARN', SEALED).then).toMatchObject({ refuse: 'bad-message' })
    expect(orderDecision(sender(), 'SEAL', state()).then).toMatchObject({ refuse: 'bad-message' })
  })
})

const NEXT = { batchSeq: 10, logUuid: UUID_3, previousHash: 9n, headerHash: 10n, heldHash: null }

describe('append, trim, fetch', () => {
  test.each([
    ['the next one', {}, 'store'],
    ['the next one of another chain', { previousHash: 99n }, 'hash-differs'],
    ['one after a gap', { batchSeq: 11, previousHash: 10n }, 'gap'],
    ['one that is held', { batchSeq: 7, previousHash: 6n, headerHash: 7n, heldHash: 7n }, 'duplicate'],
    ['another one under a held number', { batchSeq: 7, headerHash: 77n, heldHash: 7n }, 'hash-differs'],
    ['one that was trimmed', { batchSeq: 4 }, 'gap'],
    ['one of another log', { logUuid: UUID_4 }, 'not-held'],
  ])('%s', (_name, changes, expected) => {
    const { then } = appendDecision(sender(), state(), { ...NEXT, ...changes })
    expect(typeof then === 'string' ? then : then.refuse).toBe(expected)
  })

  test('a batch under a pending name waits for its promotion', () => {
    const batch = { ...NEXT, logUuid: UUID_4 }
    expect(appendDecision(OPENER, { ...SEALED, log: PENDING }, batch)).toMatchObject({
      label: 'append-under-pending-name',
    })
  })

  test('the lineage says which name a batch carries; merged names stand for any', () => {
    const lineage = [
      { logUuid: NO_LOG_UUID, firstBatchSeq: 2 },
      { logUuid: UUID_4, firstBatchSeq: 8 },
    ]
    expect([1, 2, 7, 8, 99].map((batchSeq) => nameAt(lineage, batchSeq))).toEqual([
      null,
      NO_LOG_UUID,
      NO_LOG_UUID,
      UUID_4,
      UUID_4,
    ])
    const short = { ...LOG, lineage, lastBatchSeq: 6, lastHash: 6n }
    const batch = { ...NEXT, batchSeq: 7, previousHash: 6n }
    expect(appendDecision(sender(), state({ log: short }), batch).then).toBe('store')
  })

  test('a store without a log takes nothing: absent is not empty', () => {
    const absent = state({ log: null })
    expect(appendDecision(sender(), absent, { ...NEXT, batchSeq: 1 }).then).toMatchObject({ refuse: 'not-held' })
    expect(trimDecision(sender(), absent, 1).then).toMatchObject({ refuse: 'not-held' })
    expect(fetchDecision(OPENER, { ...SEALED, log: null }, 1).then).toMatchObject({ refuse: 'not-held' })
  })

  test('trims are monotone and never pass the end', () => {
    expect([4, 5, 9].map((batchSeq) => trimDecision(sender(), state(), batchSeq).then)).toEqual([
      'trimmed-already',
      'trim',
      'trim',
    ])
    expect(trimDecision(sender(), state(), 10).then).toMatchObject({ refuse: 'gap' })
  })

  test('what is held can be fetched, and the end is told', () => {
    expect([5, 9, 10].map((from) => fetchDecision(OPENER, SEALED, from).then)).toEqual(['send', 'send', 'send-end'])
    expect([4, 11].map((from) => fetchDecision(OPENER, SEALED, from).label)).toEqual(['fetch-trimmed', 'fetch-beyond'])
  })
})

describe('seal', () => {
  const input: SealInput = {
    predecessorOff: false,
    ownEngine: 'ended',
    nowMs: 100_000,
    startedAtMs: 0,
    lastHeartbeatAtMs: 95_000,
    released: false,
  }

  test('waits from the last heartbeat that was received', () => {
    expect(sealDecision(OPENER, SEALED, input)).toEqual({ label: 'lease-may-run', then: 'wait', remainingMs: 3000 })
    expect(sealDecision(OPENER, SEALED, { ...input, nowMs: 103_000 })).toMatchObject({
      label: 'lease-over',
      then: 'grant',
    })
    expect(sealDecision(OPENER, SEALED, { ...input, lastHeartbeatAtMs: null }).then).toBe('grant')
  })

  test('grants at once when released or when the owner before is off', () => {
    expect(sealDecision(OPENER, SEALED, { ...input, released: true })).toMatchObject({
      label: 'lease-released',
      then: 'grant',
    })
    expect(sealDecision(OPENER, SEALED, { ...input, predecessorOff: true }).then).toBe('grant')
  })

  test('a store that has just started trusts no release, only that the owner before is off', () => {
    const restarted = { ...input, startedAtMs: 94_000, lastHeartbeatAtMs: null, released: true }
    expect(sealDecision(OPENER, SEALED, restarted)).toEqual({
      label: 'store-restarted',
      then: 'wait',
      remainingMs: 2000,
    })
    expect(sealDecision(OPENER, SEALED, { ...restarted, predecessorOff: true }).then).toBe('grant')
  })

  test('first the promise, then the engine of its own node', () => {
    const unasked = { ...input, ownEngine: 'unasked', predecessorOff: true } as const
    expect(sealDecision(OPENER, state(), unasked).then).toBe('persist-promise')
    expect(sealDecision(OPENER, SEALED, unasked).then).toBe('end-own-engine')
    expect(sealDecision(OPENER, SEALED, { ...unasked, ownEngine: 'does-not-end' }).then).toMatchObject({
      refuse: 'busy-engine',
    })
  })

  test('the owner stops before a seal is granted, with any clocks that err by less than one in seven', () => {
    const rate = fc.double({ min: 0.875, max: 1.125, noNaN: true })
    fc.assert(
      fc.property(rate, rate, fc.nat(60_000), (ownerRate, storeRate, delayMs) => {
        // True times: sent at 0, received after the delay.
        expect(LEASE_MS / ownerRate).toBeLessThan(delayMs + SEAL_WAIT_MS / storeRate)
      }),
    )
    expect(LEASE_MS).toBeGreaterThan(3 * HEARTBEAT_MS)
    expect(NODE_LEASE_MS).toBeGreaterThan(2 * NODE_LEASE_RENEW_MS)
    expect(NODE_LEASE_WAIT_MS).toBeGreaterThan(NODE_LEASE_MS)
  })
})

describe('learn, prepare, promote', () => {
  const learn = { lineage: LOG.lineage, begin: LOG.tail, logBytes: 1000, availableBytes: 1000 }

  test('a learner starts empty at the trim point, where there is space', () => {
    expect(learnDecision(sender(), state(), learn).then).toBe('start-empty')
    expect(learnDecision(sender(), state({ log: null }), learn).then).toBe('start-empty')
    expect(learnDecision(sender(), state(), { ...learn, availableBytes: 999 }).then).toMatchObject({ refuse: 'full' })
  })

  test.each([
    ['no names', []],
    ['names that begin after the trim point', [{ logUuid: UUID_3, firstBatchSeq: 6 }]],
    ['a name of an epoch to come', [{ logUuid: UUID_4, firstBatchSeq: 1 }]],
    ['names out of order', [...LOG.lineage, ...LOG.lineage]],
  ])('a lineage with %s is refused', (_name, lineage) => {
    expect(learnDecision(sender(), state(), { ...learn, lineage }).then).toMatchObject({ refuse: 'bad-message' })
  })

  const prepare = { authoritativeLogUuid: UUID_3, newLogUuid: UUID_4, lastBatchSeq: 7, lastHash: 7n, heldHash: 7n }

  test('the new name is written beside the log, whose tail may be longer', () => {
    expect(prepareDecision(OPENER, SEALED, prepare).then).toBe('write-pending')
    expect(prepareDecision(OPENER, { ...SEALED, log: PENDING }, prepare).then).toBe('prepared-already')
  })

  test('an empty log is prepared, too; a shorter or another one is not', () => {
    const empty = { ...LOG, lastBatchSeq: 4, lastHash: 4n }
    const atTail = { ...prepare, lastBatchSeq: 4, lastHash: 4n, heldHash: null }
    expect(prepareDecision(OPENER, { ...SEALED, log: empty }, atTail).then).toBe('write-pending')
    expect(prepareDecision(OPENER, SEALED, { ...prepare, lastBatchSeq: 10 }).label).toBe('prepare-short')
    expect(prepareDecision(OPENER, SEALED, { ...prepare, lastHash: 77n }).label).toBe('prepare-other-content')
    expect(prepareDecision(OPENER, SEALED, { ...prepare, lastBatchSeq: 3, heldHash: null }).label).toBe(
      'prepare-other-content',
    )
    expect(prepareDecision(OPENER, { ...SEALED, log: null }, prepare).label).toBe('prepare-without-log')
  })

  test('a pending name that the register has is promoted first, any other one is void', () => {
    const opener = sender({ purpose: 'opener', epoch: 5, run: 1 })
    const held = state({ promise: 5, epoch: 5, run: 1, log: PENDING })
    const third = { ...prepare, newLogUuid: logUuidOf(5) }
    expect(prepareDecision(opener, held, third).label).toBe('prepare-over-void')
    expect(prepareDecision(opener, held, { ...third, authoritativeLogUuid: UUID_4 }).then).toBe('promote-first')
    expect(prepareDecision(opener, held, { ...third, authoritativeLogUuid: logUuidOf(2) }).label).toBe(
      'prepare-other-log',
    )
  })

  test('promotion names what is pending, once or again', () => {
    const held = { ...SEALED, log: PENDING }
    expect(promoteDecision(OPENER, held, UUID_4).then).toBe('promote')
    expect(promoteDecision(OPENER, held, UUID_3).then).toBe('promoted-already')
    expect(promoteDecision(OPENER, held, logUuidOf(5)).then).toMatchObject({ refuse: 'not-held' })
    expect(promoteDecision(OPENER, { ...SEALED, log: null }, UUID_4).then).toMatchObject({ refuse: 'not-held' })
  })
})
