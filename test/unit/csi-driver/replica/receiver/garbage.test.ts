// Proves that a volume is given up exactly where rule 7 allows it and nothing makes it doubtful: each reason to discard
// and each reason to keep by itself, and every combination of facts by exactly one row.
import type { FactDomain } from '../../../../../csi-driver/protocol/decision-table.ts'
import type { StoredLog, VolumeState } from '../../../../../csi-driver/protocol/stored-log.ts'
import {
  GARBAGE_ROWS,
  type GarbageFacts,
  type GarbageInput,
  garbageDecision,
} from '../../../../../csi-driver/replica/receiver/garbage.ts'
import { idleOrDouble, undecided } from '../../protocol/tables.ts'
import { aRecord, logUuidOf, MEMBER, UUID_A, UUID_B } from '../../register/records.ts'

const DOMAIN: FactDomain<GarbageFacts> = {
  inUse: [false, true],
  register: ['unknown', 'none', 'behind', 'read'],
  named: [false, true],
  needed: [false, true],
  isDamaged: [false, true],
}

test('every combination has exactly one row, every row is reached', () => {
  expect(undecided(GARBAGE_ROWS, DOMAIN)).toEqual([])
  expect(idleOrDouble(GARBAGE_ROWS, DOMAIN)).toEqual([])
})

const LOG: StoredLog = {
  lineage: [{ logUuid: logUuidOf(4), firstBatchSeq: 1 }],
  pending: null,
  tail: { batchSeq: 1, seq: 1, previousHash: 0n },
  lastBatchSeq: 0,
  lastSeq: 0,
  lastHash: 0n,
  ackedSeq: 0,
  storedBytes: 0,
}
const STATE: VolumeState = { promise: 4, epoch: 4, run: 1, log: LOG }
const OTHERS = [{ ...MEMBER, storeUuid: 'e'.repeat(32) }]
/** The volume went on in epoch 6, on other stores. */
const GONE_ON = aRecord({ epoch: 6, logUuid: logUuidOf(6), members: OTHERS })

function input(changes: Partial<GarbageInput>): GarbageInput {
  const base = { record: GONE_ON, volumeUuid: UUID_A, state: STATE, store: MEMBER }
  return { ...base, isDamaged: false, inUse: false, named: false, ...changes }
}
const withLog = (log: Partial<StoredLog> | null): VolumeState => ({ ...STATE, log: log && { ...LOG, ...log } })
const CLEAN = aRecord({ epoch: 4, logUuid: logUuidOf(4), phase: 'Detached', dirty: false, members: OTHERS })

test.each<[string, Partial<GarbageInput>, string]>([
  ['the volume went on without this store', {}, 'discard superseded-not-listed'],
  ['the same, and here is no log at all', { state: withLog(null) }, 'discard superseded-not-listed'],
  ['it is closed, clean, and elsewhere', { record: CLEAN }, 'discard volume-gone'],
  ['the user names it, and the register has no record', { record: null, named: true }, 'discard named'],
  ['the user names it, damaged as it is', { record: null, named: true, isDamaged: true }, 'discard named'],
  [
    'the user names it, and nothing of it is dirty',
    { record: { ...CLEAN, members: [MEMBER] }, named: true },
    'discard named',
  ],

  ['somebody uses it', { inUse: true, named: true }, 'keep in-use'],
  ['the register could not be read', { record: 'unknown' }, 'keep register-unknown'],
  [
    'the register could not be read, even if the user names it',
    { record: 'unknown', named: true },
    'keep register-unknown',
  ],
  ['the register has no record', { record: null }, 'keep authoritative-or-pending'],
  ['the register has another volume of that name', { volumeUuid: UUID_B }, 'keep authoritative-or-pending'],
  ['a newer owner was here than the register knows', { state: { ...STATE, promise: 7 } }, 'keep register-behind'],
  [
    'the user names it, but it is a member and dirty',
    { record: { ...GONE_ON, members: [MEMBER] }, named: true },
    'keep named-but-needed',
  ],
  [
    'the same, listed under another life of this store',
    { record: { ...GONE_ON, members: [{ ...MEMBER, incarnation: 1 }] }, named: true },
    'keep named-but-needed',
  ],
  ['its log is damaged', { isDamaged: true, state: withLog(null) }, 'keep damaged'],
  [
    'it is listed, and the named log is not here',
    { record: { ...GONE_ON, members: [MEMBER] } },
    'keep named-log-missing',
  ],
  ['the register names its log', { record: { ...GONE_ON, logUuid: logUuidOf(4) } }, 'keep authoritative-or-pending'],
  [
    'the register names an older log',
    { record: { ...GONE_ON, logUuid: logUuidOf(3) } },
    'keep authoritative-or-pending',
  ],
  [
    'a newer name is pending',
    { state: withLog({ pending: { logUuid: logUuidOf(7), firstBatchSeq: 1 } }) },
    'keep authoritative-or-pending',
  ],
  [
    'the named one is pending',
    { state: withLog({ pending: { logUuid: logUuidOf(6), firstBatchSeq: 1 } }) },
    'keep authoritative-or-pending',
  ],
  [
    'it is closed and clean, and listed here',
    { record: { ...CLEAN, members: [MEMBER] } },
    'keep authoritative-or-pending',
  ],
  ['it is clean elsewhere, but open', { record: { ...CLEAN, phase: 'WriteThrough' } }, 'keep authoritative-or-pending'],
])('%s', (_when, changes, expected) => {
  const { then, reason } = garbageDecision(input(changes))
  expect(`${then} ${reason}`).toBe(expected)
})

test('an older pending name does not hold a volume that has gone on', () => {
  const state = withLog({ pending: { logUuid: logUuidOf(5), firstBatchSeq: 1 } })
  expect(garbageDecision(input({ state })).then).toBe('discard')
})
