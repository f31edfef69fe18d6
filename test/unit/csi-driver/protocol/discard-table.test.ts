// Proves that a log is dropped exactly where rules 7.1 (a), (b), (c) and 7.2 allow it; each rule taken by itself.
import type { FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  DISCARD_ROWS,
  type DiscardFacts,
  type DiscardInput,
  mayDiscardLog,
} from '../../../../csi-driver/protocol/discard-table.ts'
import { aRecord, logUuidOf, MEMBER } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const DOMAIN: FactDomain<DiscardFacts> = {
  registerNames: ['newer-log', 'this-log', 'older-log', 'nothing'],
  store: ['listed', 'not-listed'],
  holdsNamedLog: [false, true],
  learnOrdered: [false, true],
  volumeGone: ['no', 'destaged', 'named'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect(undecided(DISCARD_ROWS, DOMAIN)).toEqual([])
  expect(idleOrDouble(DISCARD_ROWS, DOMAIN)).toEqual([])
})

const NAMED = aRecord({ epoch: 6, logUuid: logUuidOf(6) })
const OTHERS = aRecord({ epoch: 6, logUuid: logUuidOf(6), members: [{ ...MEMBER, storeUuid: 'e'.repeat(32) }] })

function input(changes: Partial<DiscardInput>): DiscardInput {
  return {
    record: NAMED,
    store: MEMBER,
    logUuid: logUuidOf(4),
    promotedLogUuids: [],
    learnOrdered: false,
    volumeGone: 'no',
    ...changes,
  }
}

test.each([
  ['the newer log is held here, promoted', input({ promotedLogUuids: [logUuidOf(6)] }), true],
  ['listed, but the newer log is not here', input({}), false],
  ['a newer log exists and this store is no member', input({ record: OTHERS }), true],
  ['another incarnation of this store is the member', input({ store: { ...MEMBER, incarnation: 8 } }), true],
  ['it is the log that the register names', input({ logUuid: logUuidOf(6), promotedLogUuids: [logUuidOf(6)] }), false],
  ['it is newer than what the register names (pending)', input({ logUuid: logUuidOf(7), record: OTHERS }), false],
  [
    'a newer epoch exists, but names the same log',
    input({ logUuid: logUuidOf(6), record: { ...OTHERS, epoch: 9 } }),
    false,
  ],
  ['another log of the same epoch', input({ logUuid: logUuidOf(6, '2'.repeat(16)), record: OTHERS }), false],
  ['an owner ordered a new start', input({ logUuid: logUuidOf(6), record: OTHERS, learnOrdered: true }), true],
  ['the order comes while this store is listed', input({ learnOrdered: true }), false],
  ['the register has no such volume', input({ record: null }), false],
  ['the user named the volume', input({ record: null, volumeGone: 'named' }), true],
])('dropping a log when %s', (_name, situation, may) => {
  expect(mayDiscardLog(situation)).toBe(may)
})
