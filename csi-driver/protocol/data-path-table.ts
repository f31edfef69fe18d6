// What the owner may do with a block while its volume is open: write the backing, show a record to a reader, trim, and
// call the log empty. Pure; rules 2.3, 2.4, 2.6 and 2.7 of the replication protocol (docs/decisions/0001). Whoever gives the
// facts looks at all copies: every member, every learner and the own store.
import { type DecisionRow, decide } from './decision-table.ts'

export interface BackingWriteFacts {
  /** fenced: a store or the register has shown a newer epoch. */
  readonly epoch: 'present' | 'fenced'
  /** through: acknowledged from the backing alone. destage: of a logged record, also one of DrainWT. */
  readonly kind: 'destage' | 'through'
  /** Is a backing write to one of its blocks in flight, of whatever kind and phase? */
  readonly inFlight: boolean
  /** through: does any copy hold an un-trimmed record of its blocks, or may it, since a trim was not acknowledged? */
  readonly records: 'none' | 'some'
  /** destage: is its record, the newest such of the block, on every waited-for copy? */
  readonly committed: boolean
  /** Has an open change of the register frozen through-writes (1.2)? */
  readonly frozen: boolean
}

/** log: this write has to go through the log. */
export type BackingWrite = 'submit' | 'wait' | 'log' | 'never'

const DESTAGE = { epoch: ['present'], kind: ['destage'] } as const
const THROUGH = { epoch: ['present'], kind: ['through'] } as const
const THAWED = { ...THROUGH, frozen: [false] } as const

// Asked when a write is routed, and again when it is submitted: in between its block may have been logged.
// biome-ignore format: a table
export const BACKING_WRITE_ROWS: readonly DecisionRow<BackingWriteFacts, BackingWrite>[] = [
  { label: 'write-fenced', rules: 'invariant 5', when: { epoch: ['fenced'] }, then: 'never' },
  { label: 'through-frozen', rules: '1.2', when: { ...THROUGH, frozen: [true] }, then: 'wait' },
  // A recovery would put the logged record over what was acknowledged later.
  { label: 'through-over-records', rules: '2.3 h-supersede-before h-supersede-after', when: { ...THAWED, records: ['some'] }, then: 'log' },
  { label: 'through-behind-write', rules: '2.3 h-bypass-lock h-bypass-read', when: { ...THAWED, records: ['none'], inFlight: [true] }, then: 'wait' },
  { label: 'through', rules: '2.3', when: { ...THAWED, records: ['none'], inFlight: [false] }, then: 'submit' },
  { label: 'destage-before-commit', rules: '2.7', when: { ...DESTAGE, committed: [false] }, then: 'wait' },
  { label: 'destage-behind-write', rules: '2.3 h-bypass-lock', when: { ...DESTAGE, committed: [true], inFlight: [true] }, then: 'wait' },
  { label: 'destage', rules: '2.3', when: { ...DESTAGE, committed: [true], inFlight: [false] }, then: 'submit' },
]

export function backingWriteDecision(facts: BackingWriteFacts, rows = BACKING_WRITE_ROWS): BackingWrite {
  return decide(rows, facts).then
}

export interface ReadFacts {
  /** The newest record of the block: none, on every waited-for copy, or not yet. */
  readonly newest: 'none' | 'committed' | 'uncommitted'
  /** Of the records before it, if it is uncommitted. */
  readonly older: 'none' | 'committed'
  /** What lease.ts says. */
  readonly serving: 'all' | 'uncached' | 'nothing'
  readonly cached: boolean
}

/** older-record: the newest one that is committed. */
export type ReadFrom = 'newest-record' | 'older-record' | 'cache' | 'backing' | 'wait'

const READS = { serving: ['all', 'uncached'] } as const

// biome-ignore format: a table
export const READ_ROWS: readonly DecisionRow<ReadFacts, ReadFrom>[] = [
  { label: 'read-stalls', rules: '8.3 1.2', when: { serving: ['nothing'] }, then: 'wait' },
  { label: 'read-committed', rules: '2.7', when: { ...READS, newest: ['committed'] }, then: 'newest-record' },
  // What no member but us holds may be gone after a recovery, and nobody may have seen it.
  { label: 'read-before-commit', rules: '2.7 h-uncommitted-read', when: { ...READS, newest: ['uncommitted'], older: ['committed'] }, then: 'older-record' },
  { label: 'read-before-first-commit-cached', rules: '2.7 h-uncommitted-read', when: { serving: ['all'], newest: ['uncommitted'], older: ['none'], cached: [true] }, then: 'cache' },
  { label: 'read-before-first-commit', rules: '2.7 h-uncommitted-read', when: { serving: ['all'], newest: ['uncommitted'], older: ['none'], cached: [false] }, then: 'backing' },
  { label: 'read-before-first-commit-uncached', rules: '2.7 8.4', when: { serving: ['uncached'], newest: ['uncommitted'], older: ['none'] }, then: 'backing' },
  { label: 'read-cached', rules: '8.4', when: { serving: ['all'], newest: ['none'], cached: [true] }, then: 'cache' },
  { label: 'read-uncached', rules: '8.4 h-apilease', when: { serving: ['uncached'], newest: ['none'] }, then: 'backing' },
  { label: 'read-miss', rules: '2.7', when: { serving: ['all'], newest: ['none'], cached: [false] }, then: 'backing' },
]

export function readDecision(facts: ReadFacts, rows = READ_ROWS): ReadFrom {
  return decide(rows, facts).then
}

export interface TrimRuleFacts {
  /** Is it, or a newer version of its blocks, on the backing, flushed and in a durable checkpoint? */
  readonly destaged: boolean
  /** Has the front end's reply to it been sent, or does nobody wait for one any more? */
  readonly replied: boolean
  /** After a restart: have all re-sent requests been read? */
  readonly resent: 'all-read' | 'may-come'
}

// biome-ignore format: a table
export const TRIM_RULE_ROWS: readonly DecisionRow<TrimRuleFacts, 'trim' | 'keep'>[] = [
  { label: 'not-destaged', rules: '2.6', when: { destaged: [false] }, then: 'keep' },
  // It would be sent again, found unknown, and written over what came after it.
  { label: 'not-replied', rules: '2.6 h-trim-unreplied', when: { destaged: [true], replied: [false] }, then: 'keep' },
  { label: 'resends-may-come', rules: '2.6 h-trim-unreplied', when: { destaged: [true], replied: [true], resent: ['may-come'] }, then: 'keep' },
  { label: 'trimmed-last', rules: '2.6', when: { destaged: [true], replied: [true], resent: ['all-read'] }, then: 'trim' },
]

export function mayTrim(facts: TrimRuleFacts, rows = TRIM_RULE_ROWS): boolean {
  return decide(rows, facts).then === 'trim'
}

export interface LogEmptyFacts {
  readonly ownLog: 'trimmed' | 'holds' | 'lost'
  /** Every member and every learner: has it acknowledged the trim of everything? */
  readonly members: 'trimmed' | 'holds'
  readonly learners: 'trimmed' | 'holds'
  /** Are appends held back? They stay so until the change that says `clean` is settled. */
  readonly appends: 'frozen' | 'running'
}

/** freeze: hold appends back and ask again. */
export type LogEmpty = 'empty' | 'freeze' | 'not-empty'

const ALL_TRIMMED = { ownLog: ['trimmed', 'lost'], members: ['trimmed'], learners: ['trimmed'] } as const

// biome-ignore format: a table
export const LOG_EMPTY_ROWS: readonly DecisionRow<LogEmptyFacts, LogEmpty>[] = [
  { label: 'own-log-holds', rules: '2.4', when: { ownLog: ['holds'] }, then: 'not-empty' },
  { label: 'member-holds', rules: '2.4 h-trimack', when: { ownLog: ['trimmed', 'lost'], members: ['holds'] }, then: 'not-empty' },
  { label: 'learner-holds', rules: '2.4 h-trimack', when: { ownLog: ['trimmed', 'lost'], members: ['trimmed'], learners: ['holds'] }, then: 'not-empty' },
  { label: 'freeze-first', rules: '2.4 h-unk-freeze', when: { ...ALL_TRIMMED, appends: ['running'] }, then: 'freeze' },
  { label: 'log-empty', rules: '2.4', when: { ...ALL_TRIMMED, appends: ['frozen'] }, then: 'empty' },
]

export function logEmptyDecision(facts: LogEmptyFacts, rows = LOG_EMPTY_ROWS): LogEmpty {
  return decide(rows, facts).then
}
