// Proves that every combination of facts about a write has exactly one row, that the waited-for copies are those of both
// outcomes of an open change and of joined learners, and that a copy under another incarnation never counts.
import fc from 'fast-check'
import {
  ACKNOWLEDGE_ROWS,
  type AcknowledgeFacts,
  acknowledgeDecision,
  COPY_ROWS,
  type CopyFacts,
  changeFact,
  copyCounts,
  onEveryCopy,
  strictest,
  waitedFor,
} from '../../../../csi-driver/protocol/acknowledge-table.ts'
import { combinationsOf, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import { addMember, removeMember, setPhase } from '../../../../csi-driver/protocol/register-transitions.ts'
import { aRecord, MEMBER, UUID_A, UUID_B } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const ACKNOWLEDGES: FactDomain<AcknowledgeFacts> = {
  epoch: ['present', 'fenced'],
  change: ['none', 'keeps', 'freezes'],
  lease: ['held', 'lapsed'],
  route: ['log', 'log-and-backing', 'backing', 'wait'],
  register: ['dirty', 'maybe-clean'],
  copies: ['all', 'missing'],
  backing: ['written', 'not-yet'],
}
const COPIES: FactDomain<CopyFacts> = { holds: [true, false], store: ['same', 'lost'] }

const PEER = { node: 'node-2', storeUuid: UUID_A, incarnation: 1 }
const THIRD = { node: 'node-3', storeUuid: UUID_B, incarnation: 2 }
const PAIR = aRecord({ members: [MEMBER, PEER] })

test('every combination has exactly one row, every row is reached', () => {
  expect(undecided(ACKNOWLEDGE_ROWS, ACKNOWLEDGES)).toEqual([])
  expect(idleOrDouble(ACKNOWLEDGE_ROWS, ACKNOWLEDGES)).toEqual([])
  expect(undecided(COPY_ROWS, COPIES)).toEqual([])
  expect(idleOrDouble(COPY_ROWS, COPIES)).toEqual([])
})

test('an acknowledged write is on every copy, or on the backing while nobody needs the logs', () => {
  for (const facts of combinationsOf(ACKNOWLEDGES)) {
    if (acknowledgeDecision(facts).then !== 'acknowledge') continue
    expect([facts.epoch, facts.lease]).toEqual(['present', 'held'])
    expect(facts.change).not.toBe('freezes')
    if (facts.route !== 'backing') expect(facts.copies).toBe('all')
    if (facts.route !== 'log') expect(facts.backing).toBe('written')
    if (facts.backing === 'not-yet') expect(facts.register).toBe('dirty')
  }
})

test('an add waits for the new member, a removal for the old one as well, and freezes', () => {
  const added = { settled: PAIR, proposed: addMember(PAIR, THIRD) }
  expect(waitedFor(added)).toEqual([MEMBER, PEER, THIRD])
  expect(changeFact(added)).toBe('keeps')
  const removed = { settled: PAIR, proposed: removeMember(PAIR, PEER) }
  expect(waitedFor(removed)).toEqual([MEMBER, PEER])
  expect(changeFact(removed)).toBe('freezes')
  const drained = setPhase(aRecord({ phase: 'DrainWT' }), { phase: 'WriteThrough', dirty: false })
  expect(strictest({ settled: PAIR, proposed: drained })).toMatchObject({ maybeClean: true, freeze: true })
})

test('a joined learner is waited for once; the own store only while it is listed', () => {
  expect(waitedFor({ settled: PAIR, proposed: null, joined: [THIRD, PEER] })).toEqual([MEMBER, PEER, THIRD])
  expect(changeFact({ settled: PAIR, proposed: null })).toBe('none')
  expect(waitedFor({ settled: removeMember(PAIR, MEMBER), proposed: null })).toEqual([PEER])
})

test('a copy counts for a batch that it holds, under the incarnation that is listed', () => {
  expect(copyCounts(PEER, { ...PEER, batchSeq: 7 }, 7)).toBe(true)
  expect(copyCounts(PEER, { ...PEER, batchSeq: 6 }, 7)).toBe(false)
  expect(copyCounts(PEER, { ...PEER, incarnation: 2, batchSeq: 7 }, 7)).toBe(false)
  expect(copyCounts(PEER, null, 7)).toBe(false)
})

test('a batch is everywhere exactly if the smallest copy has it', () => {
  const ends = fc.tuple(fc.nat(9), fc.nat(9), fc.boolean())
  fc.assert(
    fc.property(ends, fc.nat(9), ([own, peer, renewed], batchSeq) => {
      const copies = [
        { ...MEMBER, batchSeq: own },
        { ...PEER, batchSeq: peer, incarnation: renewed ? 2 : 1 },
      ]
      expect(onEveryCopy(PAIR.members, copies, batchSeq)).toBe(!renewed && Math.min(own, peer) >= batchSeq)
      expect(onEveryCopy([...PAIR.members, THIRD], copies, batchSeq)).toBe(false)
    }),
  )
})
