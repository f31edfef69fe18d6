// Proves: every combination of facts is decided by exactly one row; the facts are found in what a store says.
import type { StoredLog, VolumeState } from '../../../../../csi-driver/protocol/stored-log.ts'
import type { FactDomain } from '../../../../../csi-driver/protocol/decision-table.ts'
import {
  MEMBER_ROWS,
  memberDecision,
  type MemberFacts,
  type MemberInput,
} from '../../../../../csi-driver/replica/replicator/member-table.ts'
import { idleOrDouble, undecided } from '../../protocol/tables.ts'

const DOMAIN: FactDomain<MemberFacts> = {
  store: ['listed', 'other'],
  log: ['none', 'held'],
  name: ['present', 'pending', 'other'],
  end: ['completed', 'in-flight', 'other'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect(undecided(MEMBER_ROWS, DOMAIN)).toEqual([])
  expect(idleOrDouble(MEMBER_ROWS, DOMAIN)).toEqual([])
})

const MEMBER = { node: 'a', storeUuid: '1'.repeat(32), incarnation: 3 }
const LOG: StoredLog = {
  lineage: [
    { logUuid: 'old', firstBatchSeq: 1 },
    { logUuid: 'now', firstBatchSeq: 5 },
  ],
  pending: null,
  tail: { batchSeq: 2, seq: 2, previousHash: 1n },
  lastBatchSeq: 9,
  lastSeq: 90,
  lastHash: 99n,
  ackedSeq: 1,
  storedBytes: 0,
}
const holding = (changes: Partial<StoredLog> = {}): VolumeState => ({
  promise: 1,
  epoch: 1,
  run: 1,
  log: { ...LOG, ...changes },
})
const INPUT: MemberInput = {
  listed: MEMBER,
  store: MEMBER,
  state: holding(),
  logUuid: 'now',
  completed: { batchSeq: 9, hash: 99n },
  inFlight: null,
}
const TENTH = { batchSeq: 10, hash: 100n }

test.each<[string, Partial<MemberInput>]>([
  ['equal', {}],
  ['equal', { inFlight: TENTH }],
  ['has-flight', { state: holding({ lastBatchSeq: 10, lastHash: 100n }), inFlight: TENTH }],
  ['other-end', { state: holding({ lastBatchSeq: 10, lastHash: 101n }), inFlight: TENTH }],
  ['other-end', { state: holding({ lastBatchSeq: 10, lastHash: 100n }) }],
  ['other-end', { state: holding({ lastBatchSeq: 8, lastHash: 98n }) }],
  ['other-end', { state: holding({ lastHash: 98n }) }],
  ['no-log', { state: { promise: 1, epoch: 1, run: 1, log: null } }],
  ['other-log', { logUuid: 'next' }],
  ['other-log', { logUuid: 'old' }],
  ['not-promoted', { logUuid: 'next', state: holding({ pending: { logUuid: 'next', firstBatchSeq: 10 } }) }],
  ['other-life-of-the-store', { store: { ...MEMBER, incarnation: 4 } }],
  ['other-life-of-the-store', { store: { ...MEMBER, storeUuid: '2'.repeat(32) } }],
])('%s', (label, changes) => {
  expect(memberDecision({ ...INPUT, ...changes }).label).toBe(label)
})
