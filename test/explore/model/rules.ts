// The product's decisions as the model asks them: its tables, each with all combinations looked up in advance, and flags
// for the rules that are not a row but something an engine does between two decisions. A switch (switches.ts) exchanges
// the decision of a row, or turns a flag.
import {
  ACKNOWLEDGE_ROWS,
  type AcknowledgeFacts,
  acknowledgeDecision,
  COPY_ROWS,
} from '../../../csi-driver/protocol/acknowledge-table.ts'
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
} from '../../../csi-driver/protocol/data-path-table.ts'
import { decide, type FactDomain } from '../../../csi-driver/protocol/decision-table.ts'
import { DISCARD_ROWS } from '../../../csi-driver/protocol/discard-table.ts'
import { GATHER_TABLES } from '../../../csi-driver/protocol/gather-table.ts'
import { HAND_OVER_ROWS } from '../../../csi-driver/protocol/hand-over-table.ts'
import { MEMBERSHIP_TABLES, type MembershipTables } from '../../../csi-driver/protocol/membership-table.ts'
import { nextOpenStep, OPEN_STEP_ROWS } from '../../../csi-driver/protocol/open-steps.ts'
import { RESUME_TABLES, type ResumeTables } from '../../../csi-driver/protocol/resume-table.ts'
import { SERVE_ROWS, type ServeFacts } from '../../../csi-driver/protocol/lease.ts'
import {
  PERMISSION_ROWS,
  type PermissionFacts,
  REVOKE_ROWS,
  type RevokeFacts,
} from '../../../csi-driver/protocol/node-lease-table.ts'
import { RESTART_ROWS } from '../../../csi-driver/protocol/restart-table.ts'
import { STORE_TABLES } from '../../../csi-driver/protocol/store-table.ts'
import { SETTLEMENT_ROWS } from '../../../csi-driver/register/settlement.ts'
import { Tabulated } from '../tabulated.ts'

export const PRODUCT_TABLES = {
  ...STORE_TABLES,
  ...GATHER_TABLES,
  acknowledge: ACKNOWLEDGE_ROWS,
  copy: COPY_ROWS,
  backingWrite: BACKING_WRITE_ROWS,
  read: READ_ROWS,
  trimRule: TRIM_RULE_ROWS,
  logEmpty: LOG_EMPTY_ROWS,
  serve: SERVE_ROWS,
  permission: PERMISSION_ROWS,
  revoke: REVOKE_ROWS,
  discard: DISCARD_ROWS,
  restart: RESTART_ROWS,
  settlement: SETTLEMENT_ROWS,
  openStep: OPEN_STEP_ROWS,
  handOver: HAND_OVER_ROWS,
  resumeOwn: RESUME_TABLES.own,
  resumeMember: RESUME_TABLES.member,
  memberRemove: MEMBERSHIP_TABLES.remove,
  memberLearn: MEMBERSHIP_TABLES.learn,
  memberAdd: MEMBERSHIP_TABLES.add,
  memberAction: MEMBERSHIP_TABLES.action,
}
export type Tables = typeof PRODUCT_TABLES
export type TableName = keyof Tables

/** The tables with other decisions in some rows, each named `table/label`. */
export function withRows(tables: Tables, changes: Readonly<Record<string, unknown>>): Tables {
  const changed: Record<string, readonly { readonly label: string }[]> = { ...tables }
  for (const [path, then] of Object.entries(changes)) {
    const [table = '', label = ''] = path.split('/')
    const rows = changed[table]
    if (rows === undefined || !rows.some((row) => row.label === label)) throw new Error(`there is no row ${path}`)
    changed[table] = rows.map((row) => (row.label === label ? { ...row, then } : row))
  }
  return changed as unknown as Tables
}

/** What an engine does between two decisions; every flag stands for a rule, and is as the product is. */
export const PRODUCT_FLAGS = {
  /** 2.8: a learner behind the trim point begins anew at it. */
  learnerJumps: true,
  /** 5.3: the I/O of older engines of the own node has drained before a fence of the node is lifted. */
  drainsBeforeReturn: true,
  /** 5.1: a claimant leaves a pending name alone that the register does not name. */
  leavesVoidNames: true,
  /** 5.2: an opener gives a log a new name; it does not begin it anew. */
  keepsUntilOwned: true,
  /** 2.3: no read, and no destage, of a block while a write past the log is on its way to it; only where 2.3 is broken. */
  readsWaitForBypass: true,
  destageWaitsForBypass: true,
  /** 2.3: there is no record of a write past the log. */
  supersedes: 'never' as 'never' | 'before' | 'after',
}
export type Flags = typeof PRODUCT_FLAGS

const NO_YES = [false, true] as const

const ACKNOWLEDGE: FactDomain<AcknowledgeFacts> = {
  epoch: ['present', 'fenced'],
  change: ['none', 'keeps', 'freezes'],
  lease: ['lapsed', 'held'],
  route: ['log', 'log-and-backing', 'backing', 'wait'],
  register: ['dirty', 'maybe-clean'],
  copies: ['missing', 'all'],
  backing: ['not-yet', 'written'],
}
/** Positions in the domain of `change`. */
export const CHANGE = { none: 0, keeps: 1, freezes: 2 } as const

const BACKING_WRITE: FactDomain<BackingWriteFacts> = {
  epoch: ['present', 'fenced'],
  kind: ['destage', 'through'],
  inFlight: NO_YES,
  records: ['none', 'some'],
  committed: NO_YES,
  frozen: NO_YES,
}
/** Positions in the domain of `kind`. */
export const BACKING_WRITE_KIND = { destage: 0, through: 1 } as const
const READ: FactDomain<ReadFacts> = {
  newest: ['none', 'committed', 'uncommitted'],
  older: ['none', 'committed'],
  serving: ['all', 'uncached', 'nothing'],
  cached: NO_YES,
}
export const NEWEST = { none: 0, committed: 1, uncommitted: 2 } as const
export const SERVING = { all: 0, uncached: 1, nothing: 2 } as const
const TRIM_RULE: FactDomain<TrimRuleFacts> = { destaged: NO_YES, replied: NO_YES, resent: ['may-come', 'all-read'] }
const LOG_EMPTY: FactDomain<LogEmptyFacts> = {
  ownLog: ['trimmed', 'holds', 'lost'],
  members: ['trimmed', 'holds'],
  learners: ['trimmed', 'holds'],
  appends: ['running', 'frozen'],
}
export const OWN_LOG = { trimmed: 0, holds: 1, lost: 2 } as const
const SERVE: FactDomain<ServeFacts> = {
  epoch: ['present', 'fenced'],
  frozen: NO_YES,
  peerLeases: ['lapsed', 'held'],
  alone: NO_YES,
  register: ['dirty', 'maybe-clean'],
  permission: ['withdrawn', 'granted'],
}

const PERMISSION: FactDomain<PermissionFacts> = {
  lease: ['lapsed', 'valid'],
  revoked: NO_YES,
  read: ['none', 'since-renewal', 'before-renewal'],
  shows: ['own-epoch', 'newer-epoch'],
}
const REVOKE: FactDomain<RevokeFacts> = {
  node: ['maybe-on', 'off'],
  written: NO_YES,
  acknowledged: NO_YES,
  unchanged: ['too-short', 'long-enough'],
}

export class Rules {
  readonly tables: Tables
  readonly flags: Flags
  readonly resumeTables: ResumeTables
  readonly membershipTables: MembershipTables
  /** 2.1: is what a store says in another life than the one that is meant taken for the member's word? */
  readonly acceptsOtherLife: boolean
  /** 3.3: does what an ended connection still delivers come to nothing? */
  readonly endedIsDropped: boolean
  readonly acknowledge
  readonly backingWrite
  readonly read
  readonly trimRule
  readonly logEmpty
  readonly serve
  readonly permission
  readonly revoke

  constructor(tables: Tables = PRODUCT_TABLES, flags: Flags = PRODUCT_FLAGS) {
    this.tables = tables
    this.flags = flags
    this.resumeTables = { own: tables.resumeOwn, member: tables.resumeMember }
    this.membershipTables = {
      remove: tables.memberRemove,
      learn: tables.memberLearn,
      add: tables.memberAdd,
      action: tables.memberAction,
    }
    this.acceptsOtherLife = decide(tables.copy, { holds: true, store: 'lost' }).then === 'counts'
    const opens = (['claim', 'gather', 'new-log', 'own-log'] as const).map(
      (step) => nextOpenStep({ step, outcome: 'done', kind: 'open-gather' }, tables.openStep).next,
    )
    if (opens.join() !== 'gather,new-log,own-log,serve')
      throw new Error(`the model opens in another order: ${opens.join()}`)
    const late = { connection: 'ended', engine: 'same', purpose: 'owner', order: 'APPEND' } as const
    this.endedIsDropped = decide(tables.sender, late).then === 'drop'
    this.acknowledge = new Tabulated(ACKNOWLEDGE, (facts) => acknowledgeDecision(facts, tables.acknowledge).then)
    this.backingWrite = new Tabulated(BACKING_WRITE, (facts) => backingWriteDecision(facts, tables.backingWrite))
    this.read = new Tabulated(READ, (facts) => readDecision(facts, tables.read))
    this.trimRule = new Tabulated(TRIM_RULE, (facts) => mayTrim(facts, tables.trimRule))
    this.logEmpty = new Tabulated(LOG_EMPTY, (facts) => logEmptyDecision(facts, tables.logEmpty))
    this.serve = new Tabulated(SERVE, (facts) => SERVING[decide(tables.serve, facts).then])
    this.permission = new Tabulated(PERMISSION, (facts) => decide(tables.permission, facts).then === 'granted')
    this.revoke = new Tabulated(REVOKE, (facts) => decide(tables.revoke, facts).then)
  }
}
