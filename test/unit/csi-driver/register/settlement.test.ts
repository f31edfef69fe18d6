// Proves that what a read shows settles an attempt in exactly one way, that a read of the old value settles nothing, and that
// while a change is open the stricter of both outcomes holds (rules 1.1, 1.2, 1.4). All relations are walked.
import { combinationsOf } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  type Settlement,
  SETTLEMENT_ROWS,
  settleByRead,
  settleByReply,
  whileUnsettled,
} from '../../../../csi-driver/register/settlement.ts'
import { anIntent, aRecord, MEMBER, UUID_B } from './records.ts'

const INTENT = anIntent()

interface Relation {
  readonly creates: boolean
  readonly version: 'older' | 'same' | 'next' | 'newer'
  readonly epoch: 'older' | 'same' | 'newer'
  readonly sameRegister: boolean
  readonly own: boolean
  readonly absent: boolean
}

test('every relation between an intent and what is read has exactly one row', () => {
  const relations = combinationsOf<Relation>({
    creates: [false, true],
    version: ['older', 'same', 'next', 'newer'],
    epoch: ['older', 'same', 'newer'],
    sameRegister: [true, false],
    own: [true, false],
    absent: [true, false],
  })
  const rows: number[] = []
  for (const { creates, version, epoch, sameRegister, own, absent } of relations) {
    const intent = { ...INTENT, ...(creates ? { expectedRv: 0, baseEpoch: 0 } : {}) }
    const seen = aRecord({
      rv: { older: 4, same: 5, next: 6, newer: 7 }[version],
      epoch: { older: 1, same: 2, newer: 3 }[epoch],
      registerNonce: sameRegister ? intent.registerNonce : UUID_B,
      changeId: own ? intent.changeId : aRecord().changeId,
    })
    rows.push(SETTLEMENT_ROWS.filter((row) => row.when(intent, absent ? null : seen)).length)
  }
  expect(rows).toEqual(rows.map(() => 1))
})

test.each<[string, Parameters<typeof settleByRead>[1], Settlement]>([
  ['the old value', aRecord(), 'unsettled'],
  ['the own change', aRecord({ rv: 6, changeId: INTENT.changeId }), 'applied'],
  ['the own claim', aRecord({ rv: 6, epoch: 3, changeId: INTENT.changeId }), 'applied'],
  ['another change of the epoch', aRecord({ rv: 6 }), 'superseded'],
  ['a newer epoch, right after', aRecord({ rv: 6, epoch: 3 }), 'fenced'],
  ['a newer epoch, later', aRecord({ rv: 9, epoch: 4 }), 'fenced'],
  ['an older version', aRecord({ rv: 4 }), 'unsettled'],
  ['an older epoch under a newer version', aRecord({ rv: 8, epoch: 1 }), 'unsettled'],
  ['another register', aRecord({ rv: 8, registerNonce: UUID_B }), 'replaced'],
  ['no register', null, 'unsettled'],
])('a read shows %s', (_name, seen, settlement) => {
  expect(settleByRead(INTENT, seen)).toBe(settlement)
})

test('a creation is settled by whatever stands there', () => {
  const creation = anIntent({ expectedRv: 0, baseEpoch: 0 })
  expect(settleByRead(creation, null)).toBe('unsettled')
  expect(settleByRead(creation, aRecord({ rv: 1, registerNonce: UUID_B }))).toBe('fenced')
  expect(settleByRead(creation, aRecord({ rv: 1, changeId: creation.changeId }))).toBe('applied')
})

test('only an applied reply settles', () => {
  expect(['applied', 'conflict', 'unknown'].map((reply) => settleByReply(reply as 'applied'))).toEqual([
    'applied',
    'read',
    'unsettled',
  ])
})

describe('while unsettled', () => {
  const other = { node: 'node-2', storeUuid: UUID_B, incarnation: 1 }

  test('an added member is waited for and nothing freezes', () => {
    const after = aRecord({ members: [MEMBER, other] })
    expect(whileUnsettled(aRecord(), after)).toEqual({ members: [MEMBER, other], maybeClean: false, freeze: false })
  })

  test('a removed member still counts, and everything freezes', () => {
    const before = aRecord({ members: [MEMBER, other] })
    expect(whileUnsettled(before, aRecord())).toEqual({ members: [MEMBER, other], maybeClean: false, freeze: true })
  })

  test('clean if either outcome is clean, and frozen', () => {
    const clean = aRecord({ phase: 'WriteThrough', dirty: false })
    expect(whileUnsettled(aRecord(), clean)).toMatchObject({ maybeClean: true, freeze: true })
    expect(whileUnsettled(clean, aRecord())).toMatchObject({ maybeClean: true, freeze: true })
  })

  test('a new incarnation of a store is another member', () => {
    const after = aRecord({ members: [{ ...MEMBER, incarnation: 8 }] })
    expect(whileUnsettled(aRecord(), after)).toMatchObject({ freeze: true, members: [MEMBER, { incarnation: 8 }] })
  })
})
