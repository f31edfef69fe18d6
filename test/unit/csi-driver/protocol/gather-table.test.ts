// Proves that fencing, sealing and the choice of a log decide every combination by exactly one row; rule by rule, that
// nothing is gathered unsealed, from another incarnation, under another name or too short; and with any answers of any
// members, that a claim ends and never starts empty over a dirty volume unless the user accepted the loss.
import fc from 'fast-check'
import { combinationsOf, decide, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import { blockedText, needOffText } from '../../../../csi-driver/protocol/gather-messages.ts'
import {
  DETECTION_ROWS,
  type DetectionFacts,
  FENCE_ROWS,
  type FenceFacts,
  SEAL_ANSWER_ROWS,
  type SealAnswerFacts,
  SEAL_NEED_ROWS,
  type SealNeedFacts,
  SOURCE_ROWS,
  type SourceFacts,
} from '../../../../csi-driver/protocol/gather-rows.ts'
import {
  type GatherInput,
  type GatherStep,
  gatherStep,
  type MemberView,
  membersOfNewLog,
  predecessorOff,
} from '../../../../csi-driver/protocol/gather-table.ts'
import { claim, type FenceEvidence, fenced } from '../../../../csi-driver/protocol/register-transitions.ts'
import type { StoredLog } from '../../../../csi-driver/protocol/stored-log.ts'
import type { Member } from '../../../../csi-driver/register/record.ts'
import { aRecord, logUuidOf, UUID_A, UUID_B } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const FENCES: FactDomain<FenceFacts> = {
  entry: ['predecessor', 'earlier'],
  node: ['own', 'other'],
  evidence: ['none', 'lock', 'off', 'cut', 'closed'],
  leases: ['over', 'may-run'],
}
const ANSWERS: FactDomain<SealAnswerFacts> = {
  store: ['listed', 'other'],
  answer: ['granted', 'waiting', 'silent', 'refused', 'gone'],
}
const NEEDS: FactDomain<SealNeedFacts> = {
  data: ['dirty', 'clean'],
  members: ['nobody', 'predecessor-alone', 'others'],
  engines: ['may-run', 'ended'],
  seal: ['granted', 'pending', 'unreachable'],
  revocation: ['done', 'open'],
  lossAccepted: [true, false],
}
const SOURCES: FactDomain<SourceFacts> = {
  store: ['listed', 'other'],
  log: ['named', 'pending-named', 'other', 'absent'],
  chain: ['whole', 'damaged'],
}
const DETECTIONS: FactDomain<DetectionFacts> = {
  end: ['reaches', 'short', 'none'],
  silent: [true, false],
  lossAccepted: [true, false],
}

describe('tables', () => {
  test('every combination has exactly one row, every row is reached', () => {
    expect([undecided(FENCE_ROWS, FENCES), idleOrDouble(FENCE_ROWS, FENCES)]).toEqual([[], []])
    expect([undecided(SEAL_ANSWER_ROWS, ANSWERS), idleOrDouble(SEAL_ANSWER_ROWS, ANSWERS)]).toEqual([[], []])
    expect([undecided(SEAL_NEED_ROWS, NEEDS), idleOrDouble(SEAL_NEED_ROWS, NEEDS)]).toEqual([[], []])
    expect([undecided(SOURCE_ROWS, SOURCES), idleOrDouble(SOURCE_ROWS, SOURCES)]).toEqual([[], []])
    expect([undecided(DETECTION_ROWS, DETECTIONS), idleOrDouble(DETECTION_ROWS, DETECTIONS)]).toEqual([[], []])
  })

  test('no entry goes without evidence, and what is only cut keeps its entry while it may read', () => {
    for (const facts of combinationsOf(FENCES)) {
      if (decide(FENCE_ROWS, facts).then !== 'remove') continue
      expect(facts.evidence).not.toBe('none')
      expect(facts.evidence === 'lock' && facts.node === 'other').toBe(false)
      expect(facts.evidence === 'cut' && facts.leases === 'may-run').toBe(false)
    }
  })

  test('a dirty volume is gathered sealed, or blocked, or given up by its user', () => {
    for (const facts of combinationsOf({ ...NEEDS, data: ['dirty'], members: ['predecessor-alone', 'others'] })) {
      const { then } = decide(SEAL_NEED_ROWS, facts)
      expect(then).not.toBe('start-empty')
      if (then === 'gather') expect(facts.seal).toBe('granted')
      if (then === 'give-up') expect(facts.lossAccepted).toBe(true)
    }
  })

  test('a clean volume is opened when nobody who may still run has a lease or a permission', () => {
    const opened = [...combinationsOf({ ...NEEDS, data: ['clean'], engines: ['may-run'] })].filter(
      (facts) => decide(SEAL_NEED_ROWS, facts).then === 'start-empty',
    )
    const alone = opened.filter(({ members }) => members === 'predecessor-alone')
    const others = opened.filter(({ members }) => members === 'others')
    expect(new Set(alone.map(({ revocation }) => revocation))).toEqual(new Set(['done']))
    expect(new Set(others.map(({ seal }) => seal))).toEqual(new Set(['granted']))
  })
})

const OLD_OWN: Member = { node: 'node-1', storeUuid: 'c'.repeat(32), incarnation: 7 }
const PEER: Member = { node: 'node-2', storeUuid: UUID_A, incarnation: 1 }
const THIRD: Member = { node: 'node-3', storeUuid: UUID_B, incarnation: 2 }

/** A dirty volume of node-1 with two replicas, claimed by node-2 in epoch 5. */
const CLAIMED = claim(
  aRecord({ epoch: 4, owner: 'node-1', logUuid: logUuidOf(4), members: [OLD_OWN, PEER, THIRD], lastSeq: 50 }),
  { node: 'node-2' },
)

function aLog(changes: Partial<StoredLog> = {}): StoredLog {
  return {
    lineage: [{ logUuid: logUuidOf(4), firstBatchSeq: 1 }],
    pending: null,
    tail: { batchSeq: 1, seq: 1, previousHash: 0n },
    lastBatchSeq: 9,
    lastSeq: 90,
    lastHash: 9n,
    ackedSeq: 80,
    storedBytes: 4096,
    ...changes,
  }
}

function view(member: Member, changes: Partial<MemberView> = {}): MemberView {
  const { storeUuid, incarnation } = member
  return {
    member,
    own: false,
    found: { storeUuid, incarnation },
    answer: 'granted',
    log: aLog(),
    damaged: false,
    ...changes,
  }
}

const GONE: Partial<MemberView> = { found: null, answer: 'gone', log: undefined }

function input(changes: Partial<GatherInput> = {}): GatherInput {
  return {
    record: CLAIMED,
    node: 'node-2',
    proofs: [{ node: 'node-1', epoch: 4, evidence: 'off' }],
    members: [view(OLD_OWN, GONE), view(PEER), view(THIRD)],
    revoked: false,
    lossAccepted: false,
    ...changes,
  }
}

/** After the entry was taken off. */
function unfencedGone(changes: Partial<GatherInput> = {}): GatherInput {
  return input({ record: { ...CLAIMED, unfenced: [] }, ...changes })
}

describe('fence and seal', () => {
  test('every entry needs its own evidence', () => {
    expect(gatherStep(input({ proofs: [] }))).toMatchObject({ step: 'get-evidence', label: 'fence-predecessor' })
    const twice = claim(CLAIMED, { node: 'node-3' })
    const step = gatherStep(
      input({ record: twice, node: 'node-3', proofs: [{ node: 'node-2', epoch: 5, evidence: 'off' }] }),
    )
    expect(step).toMatchObject({ step: 'get-evidence', label: 'fence-earlier', entry: { node: 'node-1' } })
  })

  test('a lock says nothing of another node, a fence nothing of this one', () => {
    expect(gatherStep(input({ proofs: [{ node: 'node-1', epoch: 4, evidence: 'lock' }] })).label).toBe(
      'lock-of-other-node',
    )
    const own = input({ node: 'node-1', proofs: [{ node: 'node-1', epoch: 4, evidence: 'cut' }] })
    expect(gatherStep(own).label).toBe('own-node-needs-lock')
  })

  test('what is cut stays listed until a member is sealed; what is off goes, then the log is taken', () => {
    const proofs = [{ node: 'node-1', epoch: 4, evidence: 'cut' }] as const
    const waiting = [view(OLD_OWN, GONE), view(PEER, { answer: 'waiting' }), view(THIRD, GONE)]
    expect(gatherStep(input({ proofs, members: waiting }))).toMatchObject({ step: 'seal', pending: [PEER] })
    expect(gatherStep(input({ proofs }))).toMatchObject({ step: 'remove-entry', evidence: 'cut' })
    expect(gatherStep(input())).toMatchObject({ step: 'remove-entry', evidence: 'off' })
    expect(gatherStep(unfencedGone())).toMatchObject({ step: 'take', member: PEER, missingSeqs: 0 })
    expect([predecessorOff(input()), predecessorOff(input({ proofs }))]).toEqual([true, false])
  })

  test('an answer of another incarnation seals nothing', () => {
    const other = { found: { storeUuid: UUID_A, incarnation: 2 } }
    const members = [view(OLD_OWN, GONE), view(PEER, other), view(THIRD, GONE)]
    expect(gatherStep(input({ members }))).toMatchObject({ step: 'blocked', why: 'no-seal' })
  })

  test('who may answer yet is asked again before blocked is said, and holds up nobody else', () => {
    const gone = [view(OLD_OWN, GONE), view(PEER, GONE), view(THIRD, GONE)]
    expect(gatherStep(input({ members: gone, mayAskAgain: true })).step).toBe('ask-again')
    const one = [view(OLD_OWN, GONE), view(PEER), view(THIRD, GONE)]
    expect(gatherStep(unfencedGone({ members: one, mayAskAgain: true })).step).toBe('take')
  })

  test('nobody can be sealed: blocked, and with the loss accepted only where the old node is off', () => {
    const members = [view(OLD_OWN, GONE), view(PEER, GONE), view(THIRD, GONE)]
    const cut = [{ node: 'node-1', epoch: 4, evidence: 'cut' }] as const
    expect(gatherStep(input({ members }))).toMatchObject({ step: 'blocked', ackedSeq: 50, heldSeq: 0 })
    expect(gatherStep(input({ members, lossAccepted: true, proofs: [] }))).toMatchObject({ step: 'get-evidence' })
    for (const revoked of [false, true]) {
      expect(gatherStep(input({ members, lossAccepted: true, proofs: cut, revoked })).step).toBe('need-off')
    }
    expect(gatherStep(unfencedGone({ members, lossAccepted: true })).step).toBe('give-up')
  })

  test('clean: members on the old node alone mean the wait of 8.4, others a seal, or the proof that all are off', () => {
    const cut = [{ node: 'node-1', epoch: 4, evidence: 'cut' }] as const
    const alone = { ...CLAIMED, dirty: false, members: [OLD_OWN] }
    expect(gatherStep(input({ record: alone, proofs: cut, members: [view(OLD_OWN, GONE)] }))).toMatchObject({
      step: 'revoke',
      label: 'clean-alone-revoke',
    })
    const clean = { ...CLAIMED, dirty: false }
    const members = [view(OLD_OWN, GONE), view(PEER, GONE), view(THIRD, GONE)]
    expect(gatherStep(input({ record: clean, proofs: cut, members })).step).toBe('need-off')
    expect(gatherStep(input({ record: clean, members })).step).toBe('remove-entry')
    expect(gatherStep(unfencedGone({ record: { ...clean, unfenced: [] }, members })).step).toBe('start-empty')
    // node-3 claimed in between and may, by a hand-over, have served: its leases lie at node-1.
    const between = claim({ ...alone, owner: 'node-3', phase: 'WriteThrough' }, { node: 'node-2' })
    const proofs = [...cut, { node: 'node-3', epoch: 5, evidence: 'cut' }] as const
    expect(gatherStep(input({ record: between, proofs, members: [view(OLD_OWN, GONE)] })).step).toBe('need-off')
  })
})

describe('which log', () => {
  const own = view(PEER, { own: true })

  test('the own one first, else the longest, and only whole ones', () => {
    const longer = view(THIRD, { log: aLog({ lastBatchSeq: 10, lastSeq: 95 }) })
    expect(gatherStep(unfencedGone({ members: [own, longer] }))).toMatchObject({ member: PEER, own: true })
    expect(gatherStep(unfencedGone({ members: [view(PEER), longer] }))).toMatchObject({ member: THIRD })
    expect(gatherStep(unfencedGone({ members: [view(PEER), { ...longer, damaged: true }] }))).toMatchObject({
      member: PEER,
    })
  })

  test('a member that has not said what it holds is waited for', () => {
    const silent = view(THIRD, { log: undefined, answer: 'silent', found: null })
    expect(gatherStep(unfencedGone({ members: [own, silent] }))).toMatchObject({ step: 'wait', silent: [THIRD] })
  })

  test('a pending log that the register names is promoted first; one that it does not name is not taken', () => {
    const pending = { logUuid: logUuidOf(5), firstBatchSeq: 8 }
    const held = aLog({ pending })
    const promoted = { ...CLAIMED, unfenced: [], logUuid: logUuidOf(5) }
    expect(gatherStep(input({ record: promoted, members: [view(PEER, { log: held })] }))).toMatchObject({
      step: 'promote',
    })
    expect(gatherStep(unfencedGone({ members: [view(PEER, { log: held })] }))).toMatchObject({ step: 'take' })
    const other = aLog({ lineage: [{ logUuid: logUuidOf(6), firstBatchSeq: 1 }] })
    expect(gatherStep(unfencedGone({ members: [view(PEER, { log: other })] }))).toMatchObject({
      step: 'blocked',
      why: 'no-log',
      candidates: [{ member: PEER, state: 'other-log' }],
    })
  })

  test('a log that ends before what was acknowledged is taken only where another one reaches, or with the loss accepted', () => {
    const short = view(PEER, { own: true, log: aLog({ lastBatchSeq: 7, lastSeq: 70, ackedSeq: 60 }) })
    const acked = view(THIRD, { log: aLog({ lastSeq: 90, ackedSeq: 85 }) })
    expect(gatherStep(unfencedGone({ members: [short, acked] }))).toMatchObject({ step: 'take', member: THIRD })
    const both = [short, view(THIRD, { log: aLog({ lastBatchSeq: 6, lastSeq: 75, ackedSeq: 85 }) })]
    expect(gatherStep(unfencedGone({ members: both }))).toMatchObject({
      step: 'blocked',
      why: 'short',
      ackedSeq: 85,
      heldSeq: 75,
    })
    expect(gatherStep(unfencedGone({ members: both, lossAccepted: true }))).toMatchObject({
      step: 'take',
      member: PEER,
      missingSeqs: 15,
    })
    expect(gatherStep(unfencedGone({ record: { ...CLAIMED, unfenced: [], lastSeq: 91 } }))).toMatchObject({
      why: 'short',
    })
  })
})

test('the members of the new log are the prepared ones and the own store, where there is room', () => {
  expect(membersOfNewLog([PEER, THIRD], OLD_OWN)).toEqual([OLD_OWN, PEER, THIRD])
  expect(membersOfNewLog([PEER, OLD_OWN], OLD_OWN)).toEqual([OLD_OWN, PEER])
  const beside = { ...PEER, node: OLD_OWN.node }
  expect(membersOfNewLog([beside, THIRD], OLD_OWN)).toEqual([OLD_OWN, THIRD])
  const four = [2, 3, 4, 5].map((i) => ({ node: `node-${i}`, storeUuid: String(i).repeat(32), incarnation: 1 }))
  expect(membersOfNewLog(four, OLD_OWN)).toEqual(four)
})

test('a refusal says how much is missing, where copies are, and what to do', () => {
  const step = gatherStep(input({ members: [view(OLD_OWN, GONE), view(PEER, GONE)] }))
  const text = step.step === 'blocked' ? blockedText(step, { volume: 'tank', dirtyBytes: 4096, ageMs: 2000 }) : null
  expect(text).toMatchObject({ code: 'CACHE_BLOCKED_NO_MEMBER' })
  expect(text?.message).toContain('lostBytes=4096 oldestSeconds=2')
  expect(text?.message).toContain(`${UUID_A}@node-2:unreachable`)
  expect(text?.remedy).toContain('--accept-data-loss tank')
  expect(needOffText('tank', [{ node: 'node-1', epoch: 4 }]).message).toContain('otherNodes=node-1')
})

const ENDS: readonly string[] = ['take', 'start-empty', 'give-up', 'blocked', 'need-off']

/** What the world does about a step: whoever waits grants at last, whoever is silent stays so. */
function answer(before: GatherInput, step: GatherStep, evidence: FenceEvidence): GatherInput {
  const { members, record, proofs, node } = before
  if (step.step === 'get-evidence') {
    return { ...before, proofs: [...proofs, { ...step.entry, evidence: step.entry.node === node ? 'lock' : evidence }] }
  }
  if (step.step === 'seal') {
    const settle = { waiting: 'granted', silent: 'gone' } as const
    return {
      ...before,
      members: members.map((entry) =>
        entry.answer === 'waiting' || entry.answer === 'silent' ? { ...entry, answer: settle[entry.answer] } : entry,
      ),
    }
  }
  if (step.step === 'revoke') return { ...before, revoked: true }
  if (step.step === 'remove-entry') return { ...before, record: fenced(record, step.entry, step.evidence) }
  if (step.step === 'wait') {
    return {
      ...before,
      members: members.map((entry) => (entry.log === undefined ? { ...entry, answer: 'gone' } : entry)),
    }
  }
  const promoted = { log: aLog({ lineage: [{ logUuid: record.logUuid, firstBatchSeq: 1 }] }) }
  const isPromoted = (entry: MemberView): boolean => step.step === 'promote' && entry.member === step.member
  return { ...before, members: members.map((entry) => (isPromoted(entry) ? { ...entry, ...promoted } : entry)) }
}

const anyLog = fc
  .record({ last: fc.integer({ min: 1, max: 9 }), epoch: fc.constantFrom(3, 4, 5), pending: fc.boolean() })
  .map(({ last, epoch, pending }) =>
    aLog({
      lineage: [{ logUuid: logUuidOf(epoch), firstBatchSeq: 1 }],
      pending: pending ? { logUuid: logUuidOf(epoch + 1), firstBatchSeq: last + 1 } : null,
      lastBatchSeq: last,
      lastSeq: last * 10,
      ackedSeq: last * 10 - 5,
    }),
  )

const anyView = (member: Member): fc.Arbitrary<MemberView> =>
  fc.record({
    member: fc.constant(member),
    own: fc.constant(member === THIRD),
    found: fc.constantFrom(null, { ...member }, { ...member, incarnation: 99 }),
    answer: fc.constantFrom('granted', 'waiting', 'silent', 'refused', 'gone'),
    log: fc.option(anyLog, { nil: undefined }),
    damaged: fc.boolean(),
  })

/** Acknowledged records that the source lacks, counted without the table's help. */
function missingIn(source: MemberView, state: GatherInput): number {
  const acked = state.members
    .filter(({ found, log }) => found?.incarnation !== 99 && log?.lineage[0]?.logUuid === logUuidOf(4))
    .map(({ log }) => log?.ackedSeq ?? 0)
  return Math.max(0, Math.max(state.record.lastSeq, ...acked) - (source.log?.lastSeq ?? 0))
}

function checkTaken(step: GatherStep & { readonly step: 'take' }, state: GatherInput): void {
  const source = state.members.find(({ member }) => member === step.member) ?? view(PEER, GONE)
  expect(source.log?.lineage.at(-1)?.logUuid).toBe(logUuidOf(4))
  expect(source.found?.incarnation).not.toBe(99)
  expect(source.damaged).toBe(false)
  expect(step.missingSeqs === 0 || state.lossAccepted).toBe(true)
  expect(step.missingSeqs).toBe(missingIn(source, state))
  expect(state.members.some((entry) => entry.answer === 'granted' && entry.found?.incarnation !== 99)).toBe(true)
}

test('a claim ends, whatever its members hold and answer, and never loses anything silently', () => {
  const scenario = fc.record({
    views: fc.tuple(anyView(OLD_OWN), anyView(PEER), anyView(THIRD)),
    size: fc.integer({ min: 1, max: 3 }),
    dirty: fc.boolean(),
    lossAccepted: fc.boolean(),
    evidence: fc.constantFrom<FenceEvidence>('off', 'cut', 'closed'),
    node: fc.constantFrom('node-1', 'node-2', 'node-3'),
  })
  fc.assert(
    fc.property(scenario, ({ views, size, dirty, lossAccepted, evidence, node }) => {
      const members = views.slice(0, size)
      const listed = members.map(({ member }) => member)
      const before = aRecord({ epoch: 4, owner: 'node-1', logUuid: logUuidOf(4), members: listed, dirty, lastSeq: 50 })
      let state = input({ record: claim(before, { node }), node, members, proofs: [], lossAccepted })
      let step = gatherStep(state)
      for (let i = 0; i < 20 && !ENDS.includes(step.step); i++) {
        state = answer(state, step, evidence)
        step = gatherStep(state)
      }
      expect(ENDS).toContain(step.step)
      if (step.step === 'start-empty') expect(dirty).toBe(false)
      if (step.step === 'give-up') expect(lossAccepted).toBe(true)
      if (step.step !== 'blocked' && step.step !== 'need-off') expect(state.record.unfenced).toEqual([])
      if (step.step === 'take') checkTaken(step, state)
    }),
  )
})
