// Proves that each copy is decided on by exactly one row; and by playing RESUME against any copies of one chain, with any
// tails, ends, pending names, silences and losses: it ends, all copies that are left are equal to the longest one, trimmed
// like the most trimmed one, and the last member is never removed.
import fc from 'fast-check'
import type { FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import { removeMember } from '../../../../csi-driver/protocol/register-transitions.ts'
import {
  type OwnLog,
  RESUME_MEMBER_ROWS,
  RESUME_OWN_ROWS,
  type ResumeInput,
  type ResumeMember,
  type ResumeMemberFacts,
  type ResumeOwnFacts,
  type ResumeStep,
  resumeStep,
} from '../../../../csi-driver/protocol/resume-table.ts'
import type { StoredLog } from '../../../../csi-driver/protocol/stored-log.ts'
import type { Member } from '../../../../csi-driver/register/record.ts'
import { aRecord, logUuidOf, MEMBER, UUID_A, UUID_B } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const OWNS: FactDomain<ResumeOwnFacts> = {
  store: ['listed', 'not-listed'],
  handedOver: [true, false],
  log: ['usable', 'behind-trim'],
}
const MEMBERS: FactDomain<ResumeMemberFacts> = {
  answer: ['welcome', 'silent', 'late'],
  store: ['listed', 'other'],
  log: ['named', 'pending-named', 'other', 'absent'],
  damaged: [true, false],
  end: ['equal', 'shorter', 'longer', 'differs', 'behind-trim'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect([undecided(RESUME_OWN_ROWS, OWNS), idleOrDouble(RESUME_OWN_ROWS, OWNS)]).toEqual([[], []])
  expect([undecided(RESUME_MEMBER_ROWS, MEMBERS), idleOrDouble(RESUME_MEMBER_ROWS, MEMBERS)]).toEqual([[], []])
})

const PEER: Member = { node: 'node-2', storeUuid: UUID_A, incarnation: 1 }
const THIRD: Member = { node: 'node-3', storeUuid: UUID_B, incarnation: 2 }
const RECORD = aRecord({ members: [MEMBER, PEER, THIRD], logUuid: logUuidOf(4) })

/** Hash of batch n of the one true chain. */
const hashOf = (batchSeq: number): bigint => BigInt(batchSeq)

function ownLog(tail: number, last: number, hash: (batchSeq: number) => bigint = hashOf): OwnLog {
  return {
    tail: { batchSeq: tail, seq: tail, previousHash: hash(tail - 1) },
    lastBatchSeq: last,
    lastHash: hash(last),
    hashAt: (batchSeq) => (batchSeq >= tail && batchSeq <= last ? hash(batchSeq) : null),
  }
}

function aLog(tail: number, last: number, changes: Partial<StoredLog> = {}): StoredLog {
  return {
    lineage: [{ logUuid: logUuidOf(4), firstBatchSeq: 1 }],
    pending: null,
    tail: { batchSeq: tail, seq: tail, previousHash: hashOf(tail - 1) },
    lastBatchSeq: last,
    lastSeq: last,
    lastHash: hashOf(last),
    ackedSeq: 0,
    storedBytes: 0,
    ...changes,
  }
}

function aMember(member: Member, log: StoredLog | null, changes: Partial<ResumeMember> = {}): ResumeMember {
  const { storeUuid, incarnation } = member
  return {
    member,
    answer: 'welcome',
    found: { storeUuid, incarnation },
    log,
    damaged: false,
    diverges: false,
    ...changes,
  }
}

function input(changes: Partial<ResumeInput> = {}): ResumeInput {
  return {
    record: RECORD,
    ownStore: MEMBER,
    own: ownLog(3, 8),
    handedOver: false,
    members: [aMember(PEER, aLog(3, 8)), aMember(THIRD, aLog(3, 8))],
    ...changes,
  }
}

describe('steps', () => {
  test('equal copies serve at once', () => {
    expect(resumeStep(input()).step).toBe('serve')
  })

  test('the longest tail is adopted, then sent to whoever is shorter', () => {
    const members = [aMember(PEER, aLog(3, 10)), aMember(THIRD, aLog(3, 9))]
    expect(resumeStep(input({ members }))).toMatchObject({ step: 'adopt', member: PEER, from: 9, to: 10 })
    expect(resumeStep(input({ members, own: ownLog(3, 10) }))).toMatchObject({
      step: 'equalise',
      sends: [{ member: THIRD, batchSeq: 10 }],
      trims: [],
    })
  })

  test('the largest trim is taken, persisted here first, then everywhere', () => {
    const members = [aMember(PEER, aLog(5, 8)), aMember(THIRD, aLog(3, 8))]
    expect(resumeStep(input({ members }))).toMatchObject({ step: 'trim-own', before: 5 })
    expect(resumeStep(input({ members, own: ownLog(5, 8) }))).toMatchObject({
      step: 'equalise',
      sends: [],
      trims: [{ member: THIRD, batchSeq: 4 }],
    })
  })

  test('a member that does not answer is waited for, then removed; its absence is never passed over', () => {
    const silent = aMember(THIRD, null, { answer: 'silent', found: null })
    expect(resumeStep(input({ members: [aMember(PEER, aLog(3, 9)), silent] })).step).toBe('wait')
    expect(resumeStep(input({ members: [aMember(PEER, aLog(3, 9)), { ...silent, answer: 'late' }] }))).toMatchObject({
      step: 'remove',
      member: THIRD,
    })
  })

  test.each([
    ['of another incarnation', aMember(PEER, aLog(3, 8), { found: { storeUuid: UUID_A, incarnation: 2 } })],
    ['without its log', aMember(PEER, null)],
    ['with another log', aMember(PEER, aLog(3, 8, { lineage: [{ logUuid: logUuidOf(3), firstBatchSeq: 1 }] }))],
    ['that cannot be read', aMember(PEER, aLog(3, 9), { damaged: true })],
    ['that ends before the trim', aMember(PEER, aLog(1, 1, { lastHash: 77n }))],
  ])('a member %s is removed', (_name, member) => {
    expect(resumeStep(input({ members: [member, aMember(THIRD, aLog(3, 8))] }))).toMatchObject({
      step: 'remove',
      member: PEER,
    })
  })

  test('other content under one number is corrupt, whichever copy is longer', () => {
    const shorter = aMember(PEER, aLog(3, 7, { lastHash: 77n }))
    const diverging = aMember(PEER, aLog(3, 9), { diverges: true })
    for (const member of [shorter, diverging]) {
      expect(resumeStep(input({ members: [member] }))).toMatchObject({ step: 'corrupt', members: [PEER] })
    }
  })

  test('a promotion that did not arrive is sent again', () => {
    const pending = { logUuid: logUuidOf(4), firstBatchSeq: 9 }
    const log = aLog(3, 8, { lineage: [{ logUuid: logUuidOf(3), firstBatchSeq: 1 }], pending })
    expect(resumeStep(input({ members: [aMember(PEER, log)] }))).toMatchObject({ step: 'promote', member: PEER })
  })

  test('without the own store among the members only a hand-over resumes', () => {
    const record = { ...RECORD, members: [PEER, THIRD] }
    expect(resumeStep(input({ record })).step).toBe('open')
    expect(resumeStep(input({ record, handedOver: true, own: null }))).toMatchObject({
      step: 'adopt',
      member: PEER,
      from: 3,
      to: 8,
    })
    expect(resumeStep(input({ own: ownLog(1, 1) })).label).toBe('resume-own-lost')
  })

  test('the last member is never removed', () => {
    const record = { ...RECORD, members: [PEER] }
    const members = [aMember(PEER, null)]
    expect(resumeStep(input({ record, handedOver: true, own: null, members }))).toMatchObject({ step: 'open' })
  })
})

function memberAfter(entry: ResumeMember, step: ResumeStep): ResumeMember {
  const { log } = entry
  if (step.step === 'wait') return entry.answer === 'silent' ? { ...entry, answer: 'late' } : entry
  if (log === null) return entry
  if (step.step === 'promote' && entry.member === step.member && log.pending !== null) {
    const last = Math.min(log.lastBatchSeq, log.pending.firstBatchSeq - 1)
    return { ...entry, log: aLog(log.tail.batchSeq, last) }
  }
  return entry
}

/** What happens when a step is carried out. */
function after(before: ResumeInput, step: ResumeStep): ResumeInput {
  const { own } = before
  const members = before.members.map((entry) => memberAfter(entry, step))
  switch (step.step) {
    case 'remove':
      return {
        ...before,
        record: removeMember(before.record, step.member),
        members: members.filter(({ member }) => member !== step.member),
      }
    case 'adopt':
      return { ...before, own: ownLog(own?.tail.batchSeq ?? step.from, step.to) }
    case 'trim-own':
      return { ...before, own: ownLog(step.before, own?.lastBatchSeq ?? 0) }
    case 'equalise': {
      const last = own?.lastBatchSeq ?? 0
      return {
        ...before,
        members: members.map((entry) => {
          const sent = step.sends.some(({ member }) => member === entry.member)
          const trimmed = step.trims.find(({ member }) => member === entry.member)
          const tail = trimmed === undefined ? (entry.log?.tail.batchSeq ?? 1) : trimmed.batchSeq + 1
          return { ...entry, log: aLog(tail, sent ? last : (entry.log?.lastBatchSeq ?? 0)) }
        }),
      }
    }
    case 'promote':
    case 'wait':
    case 'open':
    case 'corrupt':
    case 'serve':
      return { ...before, members }
  }
}

test('any copies of one chain become equal, with the longest end and the largest trim', () => {
  // Acknowledged and not trimmed everywhere: all copies reach from the tail to at least 10; trims are at most 10.
  const copy = fc.record({ tail: fc.integer({ min: 1, max: 10 }), last: fc.integer({ min: 10, max: 20 }) })
  const aPeer = (member: Member): fc.Arbitrary<ResumeMember> =>
    fc
      .record({
        copy,
        answer: fc.constantFrom<ResumeMember['answer']>('welcome', 'welcome', 'welcome', 'silent', 'late'),
        kind: fc.constantFrom('log', 'log', 'log', 'lost', 'other-incarnation', 'pending'),
      })
      .map(({ copy: { tail, last }, answer, kind }) => {
        const pending = { logUuid: logUuidOf(4), firstBatchSeq: last + 1 }
        const log =
          kind === 'pending'
            ? aLog(tail, last, { lineage: [{ logUuid: logUuidOf(3), firstBatchSeq: 1 }], pending })
            : aLog(tail, last)
        return aMember(member, kind === 'lost' ? null : log, {
          answer,
          ...(kind === 'other-incarnation' ? { found: { ...member, incarnation: 99 } } : {}),
        })
      })
  fc.assert(
    fc.property(copy, fc.tuple(aPeer(PEER), aPeer(THIRD)), fc.boolean(), (own, members, handedOver) => {
      const record = handedOver ? { ...RECORD, members: [PEER, THIRD] } : RECORD
      let state = input({ record, members, handedOver, own: handedOver ? null : ownLog(own.tail, own.last) })
      let step = resumeStep(state)
      for (let i = 0; i < 20 && step.step !== 'serve' && step.step !== 'open'; i++) {
        expect(step.step).not.toBe('corrupt')
        state = after(state, step)
        step = resumeStep(state)
      }
      expect(state.record.members.length).toBeGreaterThan(0)
      if (step.step === 'open') {
        // Nobody is left who could go on: the one member that remains does not have the log.
        expect([handedOver, state.record.members.length]).toEqual([true, 1])
        return
      }
      const left = state.members.flatMap(({ log }) => (log === null ? [] : [log]))
      expect(left).toHaveLength(state.members.length)
      const ends = left.map(({ lastBatchSeq, tail }) => [lastBatchSeq, tail.batchSeq])
      const all = [[state.own?.lastBatchSeq, state.own?.tail.batchSeq], ...ends]
      expect(new Set(all.map(String)).size).toBe(1)
      const kept = members.filter(({ member }) => state.members.some((entry) => entry.member === member))
      const longest = Math.max(handedOver ? 0 : own.last, ...kept.map(({ log }) => log?.lastBatchSeq ?? 0))
      expect(state.own?.lastBatchSeq).toBe(longest)
    }),
  )
})
