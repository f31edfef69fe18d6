// Proves that every situation of a new engine process has exactly one answer, and that the engine resumes only where rules
// 3.0, 3.1 and 1.3 allow it. All combinations are walked; the facts are derived from superblocks.
import { combinationsOf, decide, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  RESTART_ROWS,
  restartDecision,
  type RestartFacts,
  type RestartInput,
} from '../../../../csi-driver/protocol/restart-table.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { anIntent, aRecord, MEMBER } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const DOMAIN: FactDomain<RestartFacts> = {
  holder: ['same', 'new'],
  predecessor: ['reaped', 'maybe-alive'],
  superblock: ['readable', 'unreadable'],
  intent: ['none', 'open'],
  store: ['listed', 'not-listed'],
  phase: ['opening', 'serving', 'closing', 'detached', 'blocked', 'moved'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect(undecided(RESTART_ROWS, DOMAIN)).toEqual([])
  expect(idleOrDouble(RESTART_ROWS, DOMAIN)).toEqual([])
})

test('an engine resumes only as a listed member, with nothing open, after its predecessor was reaped', () => {
  for (const facts of combinationsOf(DOMAIN)) {
    const { then } = decide(RESTART_ROWS, facts)
    if (then !== 'resume' && then !== 'resume-closing') continue
    expect(facts).toMatchObject({
      holder: 'same',
      predecessor: 'reaped',
      superblock: 'readable',
      intent: 'none',
      store: 'listed',
    })
  }
})

function input(settled: RegisterRecord | null, changes: Partial<RestartInput> = {}): RestartInput {
  return { sameHolder: true, predecessorReaped: true, superblock: { store: MEMBER, settled, intent: null }, ...changes }
}

test.each([
  ['serving', input(aRecord()), 'resume'],
  ['closing', input(aRecord({ phase: 'Closing' })), 'resume-closing'],
  ['closed', input(aRecord({ phase: 'Detached', dirty: false })), 'closed'],
  ['opening', input(aRecord({ phase: 'Opening' })), 'open'],
  ['creating', input(null), 'open'],
  ['blocked', input(aRecord({ phase: 'Blocked' })), 'open'],
  ['handed over', input(aRecord({ owner: 'node-b' })), 'moved'],
  [
    'a change open',
    input(null, { superblock: { store: MEMBER, settled: aRecord(), intent: anIntent() } }),
    'settle-first',
  ],
  [
    'a store of another life',
    input(null, { superblock: { store: { ...MEMBER, incarnation: 8 }, settled: aRecord(), intent: null } }),
    'open',
  ],
  ['no superblock', input(null, { superblock: null }), 'open'],
  ['a new holder', input(aRecord(), { sameHolder: false }), 'open'],
  ['a predecessor that may live', input(aRecord(), { predecessorReaped: false }), 'wait'],
])('after a crash while %s', (_name, situation, decision) => {
  expect(restartDecision(situation)).toMatchObject({ decision })
})
