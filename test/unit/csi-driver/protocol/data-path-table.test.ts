// Proves that the owner's rules about blocks decide every combination by exactly one row, and what no row may allow: a
// through-write over a record of any copy, two backing writes to one block, a read of what a recovery could undo, a trim
// before its time, an empty log that is not.
import { combinationsOf, decide, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  BACKING_WRITE_ROWS,
  type BackingWriteFacts,
  backingWriteDecision,
  LOG_EMPTY_ROWS,
  type LogEmptyFacts,
  logEmptyDecision,
  mayTrim,
  READ_ROWS,
  type ReadFacts,
  readDecision,
  TRIM_RULE_ROWS,
  type TrimRuleFacts,
} from '../../../../csi-driver/protocol/data-path-table.ts'
import { idleOrDouble, undecided } from './tables.ts'

const WRITES: FactDomain<BackingWriteFacts> = {
  epoch: ['present', 'fenced'],
  kind: ['destage', 'through'],
  inFlight: [true, false],
  records: ['none', 'some'],
  committed: [true, false],
  frozen: [true, false],
}
const READS: FactDomain<ReadFacts> = {
  newest: ['none', 'committed', 'uncommitted'],
  older: ['none', 'committed'],
  serving: ['all', 'uncached', 'nothing'],
  cached: [true, false],
}
const TRIMS: FactDomain<TrimRuleFacts> = {
  destaged: [true, false],
  replied: [true, false],
  resent: ['all-read', 'may-come'],
}
const EMPTIES: FactDomain<LogEmptyFacts> = {
  ownLog: ['trimmed', 'holds', 'lost'],
  members: ['trimmed', 'holds'],
  learners: ['trimmed', 'holds'],
  appends: ['frozen', 'running'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect([undecided(BACKING_WRITE_ROWS, WRITES), idleOrDouble(BACKING_WRITE_ROWS, WRITES)]).toEqual([[], []])
  expect([undecided(READ_ROWS, READS), idleOrDouble(READ_ROWS, READS)]).toEqual([[], []])
  expect([undecided(TRIM_RULE_ROWS, TRIMS), idleOrDouble(TRIM_RULE_ROWS, TRIMS)]).toEqual([[], []])
  expect([undecided(LOG_EMPTY_ROWS, EMPTIES), idleOrDouble(LOG_EMPTY_ROWS, EMPTIES)]).toEqual([[], []])
})

test('no two writes to one block, no through-write over a record', () => {
  for (const facts of combinationsOf(WRITES)) {
    if (backingWriteDecision(facts) !== 'submit') continue
    expect([facts.epoch, facts.inFlight]).toEqual(['present', false])
    if (facts.kind === 'through') expect([facts.records, facts.frozen]).toEqual(['none', false])
    else expect(facts.committed).toBe(true)
  }
})

test('no read shows what is not committed, or anything without a lease, or the cache without permission', () => {
  for (const facts of combinationsOf(READS)) {
    const from = readDecision(facts)
    if (from === 'newest-record') expect(facts.newest).toBe('committed')
    if (from === 'older-record') expect(facts.older).toBe('committed')
    if (from === 'cache') expect([facts.serving, facts.cached]).toEqual(['all', true])
    expect(from === 'wait').toBe(facts.serving === 'nothing')
  }
})

test('trimmed is only what is destaged, replied to, and cannot be sent again', () => {
  expect([...combinationsOf(TRIMS)].filter((facts) => mayTrim(facts))).toEqual([
    { destaged: true, replied: true, resent: 'all-read' },
  ])
})

test('the log is empty when it is on every copy, and appends are frozen before that is said', () => {
  for (const facts of combinationsOf(EMPTIES)) {
    const decision = logEmptyDecision(facts)
    expect(decision === 'not-empty').toBe(Object.values(facts).includes('holds'))
    if (decision === 'empty') expect(facts.appends).toBe('frozen')
    expect(decide(LOG_EMPTY_ROWS, facts).then).toBe(decision)
  }
})
