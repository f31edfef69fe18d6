// Every named rule of the replication protocol (docs/decisions/0001) as a switch: the rule off, with the smallest scenario
// in which that shows. Where the rule is a row of a product table, the row decides otherwise; where it is something that an
// engine does between two decisions, a flag of the model is turned. Often the product keeps a rule twice, in two tables that
// do not trust each other: then all of these rows are named.
import type { Scenario } from './model/model.ts'
import { type Flags, PRODUCT_FLAGS, PRODUCT_TABLES, Rules, withRows } from './model/rules.ts'
import { scenario } from './scenarios.ts'

export interface Switch {
  readonly name: string
  /** Number of the rule. */
  readonly rule: string
  readonly scenario: Scenario
  /** `table/label` of a row → what it decides instead. */
  readonly rows?: Readonly<Record<string, unknown>>
  readonly flags?: Partial<Flags>
}

const ANYWAY = { 'backingWrite/through-over-records': 'submit' } as const
const NOT_MOVED = { 'settlement/not-moved': 'superseded' } as const
const NOT_SETTLED = { 'restart/change-open': 'resume' } as const

// biome-ignore format: a table
export const SWITCHES: readonly Switch[] = [
  { name: 'h-settle-get0', rule: '1.1', rows: NOT_MOVED, scenario: scenario('settle-get0', 0, { writes: 1, unknownOutcomes: 1, policyChanges: 1 }) },
  { name: 'h-settle-add', rule: '1.1', rows: NOT_MOVED,
    scenario: scenario('settle-add', 1, { writes: 1, cuts: 1, unknownOutcomes: 1, removals: 1, learners: 1 }, { unknownOnly: 'add' }) },
  { name: 'h-restart-get', rule: '1.3', rows: NOT_SETTLED, scenario: scenario('restart-get', 1, { writes: 1, engineCrashes: 1, unknownOutcomes: 1, removals: 1 }) },
  { name: 'h-restart-add', rule: '1.3', rows: NOT_SETTLED,
    scenario: scenario('restart-add', 1, { writes: 1, engineCrashes: 1, unknownOutcomes: 1, removals: 1, learners: 1 }, { unknownOnly: 'add' }) },
  { name: 'h-inc-ack', rule: '2.1', rows: { 'copy/copy-of-other-incarnation': 'counts' }, scenario: scenario('inc-ack', 1, { writes: 2, storeLosses: 1, claims: 1 }) },
  { name: 'h-inc-rec', rule: '2.1',
    rows: { 'sealAnswer/seal-of-other-incarnation': 'granted', 'source/source-of-other-incarnation': 'use', 'hello/opener-finds-nothing': 'create' },
    scenario: scenario('inc-rec', 1, { writes: 1, storeLosses: 1, claims: 1 }) },
  { name: 'h-supersede-before', rule: '2.3', rows: ANYWAY, flags: { supersedes: 'before' }, scenario: scenario('supersede-before', 1, { writes: 2, bypasses: 1 }) },
  { name: 'h-supersede-after', rule: '2.3', rows: ANYWAY, flags: { supersedes: 'after' }, scenario: scenario('supersede-after', 1, { writes: 2, engineCrashes: 1, bypasses: 1 }) },
  { name: 'h-bypass-lock', rule: '2.3', rows: ANYWAY, flags: { supersedes: 'after', destageWaitsForBypass: false }, scenario: scenario('bypass-lock', 1, { writes: 2, bypasses: 1 }) },
  { name: 'h-bypass-read', rule: '2.3', rows: ANYWAY, flags: { supersedes: 'after', readsWaitForBypass: false }, scenario: scenario('bypass-read', 1, { writes: 2, bypasses: 1 }) },
  { name: 'h-trimack', rule: '2.4', rows: { 'logEmpty/member-holds': 'empty', 'logEmpty/learner-holds': 'empty', ...ANYWAY }, scenario: scenario('trimack', 1, { writes: 2, policyChanges: 1 }) },
  { name: 'h-unk-freeze', rule: '2.4', rows: { 'logEmpty/freeze-first': 'empty' }, scenario: scenario('unk-freeze', 1, { writes: 1, unknownOutcomes: 1, removals: 1 }) },
  { name: 'h-trim-unreplied', rule: '2.6', rows: { 'trimRule/not-replied': 'trim' }, scenario: scenario('trim-unreplied', 1, { writes: 2, engineCrashes: 1 }, { concurrent: true }) },
  { name: 'h-uncommitted-read', rule: '2.7',
    rows: { 'read/read-before-commit': 'newest-record', 'read/read-before-first-commit': 'newest-record', 'read/read-before-first-commit-cached': 'newest-record' },
    scenario: scenario('uncommitted-read', 1, { writes: 1 }) },
  { name: 'h-lrnjump', rule: '2.8', flags: { learnerJumps: false }, scenario: scenario('lrnjump', 1, { writes: 2, learners: 1, bypasses: 1 }, { members: [2] }) },
  { name: 'h-lrntrim', rule: '2.8', rows: { 'logEmpty/learner-holds': 'empty', 'memberAdd/add-trim-behind': 'may-add', ...ANYWAY },
    scenario: scenario('lrntrim', 1, { writes: 2, removals: 1, learners: 1 }) },
  { name: 'h-reap', rule: '3.1', rows: { 'restart/predecessor-not-reaped': 'resume' }, scenario: scenario('reap', 1, { writes: 2, engineCrashes: 1 }) },
  { name: 'h-reconcile', rule: '3.3',
    rows: { 'resumeMember/resume-adopt': 'same', 'resumeMember/resume-differs': 'same', 'append/append-other-content': 'duplicate', 'append/append-to-other-chain': 'store' },
    scenario: scenario('reconcile', 1, { writes: 2, engineCrashes: 1 }, { blocks: [0, 1, 0] }) },
  { name: 'h-runfence', rule: '3.3', rows: { 'sender/connection-ended': 'go-on', 'sender/run-old': 'go-on', 'hello/newer-run-was-here': 'welcome' },
    scenario: scenario('runfence', 1, { writes: 2, engineCrashes: 1, removals: 1, learners: 1, lateAppends: 1 }) },
  { name: 'h-fence-pred', rule: 'S2', rows: { 'fence/fence-earlier': 'remove' }, scenario: scenario('fence-pred', 1, { writes: 1, claims: 2 }) },
  { name: 'h-fence-none', rule: 'S2', rows: { 'fence/fence-predecessor': 'remove', 'fence/fence-earlier': 'remove' }, scenario: scenario('fence-none', 1, { writes: 1, claims: 1 }) },
  { name: 'h-noseal', rule: 'S2', rows: { 'sealNeed/dirty-not-yet-sealed': 'gather', 'sealNeed/clean-not-yet-sealed': 'start-empty' }, scenario: scenario('noseal', 1, { writes: 2, claims: 1 }) },
  { name: 'h-logepoch', rule: '5.1', flags: { leavesVoidNames: false }, scenario: scenario('logepoch', 1, { writes: 1, claims: 2 }) },
  { name: 'h-pendpromote', rule: '5.1', rows: { 'source/source-promoted': 'use', 'prepare/prepare-on-promoted': 'write-pending' }, scenario: scenario('pendpromote', 1, { writes: 1, claims: 2 }, { members: [2] }) },
  { name: 'h-refence', rule: '5.3', rows: { 'handOver/new-node-busy': 'hand-over' }, flags: { drainsBeforeReturn: false }, scenario: scenario('refence', 1, { writes: 1, claims: 2 }) },
  { name: 'h-handoff-nowait', rule: '6', rows: { 'handOver/own-backing-busy': 'hand-over' }, scenario: scenario('handoff-nowait', 1, { writes: 1, handOvers: 1 }) },
  { name: 'h-old-discard', rule: '7.1', rows: { 'discard/authoritative-or-pending': 'discard' }, scenario: scenario('old-discard', 1, { writes: 1, claims: 1 }) },
  { name: 'h-learner-discard', rule: '7.1', rows: { 'sender/opener-drops-nothing': 'go-on' }, flags: { keepsUntilOwned: false }, scenario: scenario('learner-discard', 1, { writes: 1, claims: 1 }) },
  { name: 'h-restart-wait', rule: '8.2', rows: { 'seal/store-restarted': 'grant' }, scenario: scenario('restart-wait', 1, { writes: 2, hostCrashes: 1, claims: 1 }) },
  { name: 'h-nolease', rule: '8.3', rows: { 'serve/serve-without-lease': 'all' }, scenario: scenario('nolease', 1, { writes: 2, claims: 1 }) },
  { name: 'h-apilease', rule: '8.4', rows: { 'serve/serve-alone-unpermitted': 'all' }, scenario: scenario('apilease', 0, { writes: 2, claims: 1, policyChanges: 1 }) },
  { name: 'h-apilease-revoke', rule: '8.4', rows: { 'sealNeed/clean-alone-revoke': 'start-empty' },
    scenario: scenario('apilease-revoke', 0, { writes: 2, cuts: 1, claims: 1, policyChanges: 1 }, { nodeLease: true }) },
]

export function rulesOf({ rows = {}, flags = {} }: Pick<Switch, 'rows' | 'flags'>): Rules {
  return new Rules(withRows(PRODUCT_TABLES, rows), { ...PRODUCT_FLAGS, ...flags })
}
