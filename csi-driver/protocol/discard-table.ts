// May a store drop a log that it holds? Pure; rules 7.1 and 7.2 of the replication protocol (docs/decisions/0001). That
// some newer epoch exists is no reason: its owner may never have copied what this log holds.
import { logEpoch, sameMember, type Member, type RegisterRecord } from '../register/record.ts'
import { type DecisionRow, decide } from './decision-table.ts'

export interface DiscardFacts {
  /** The log that the register names, compared with this one by the epoch that created it. */
  readonly registerNames: 'newer-log' | 'this-log' | 'older-log' | 'nothing'
  /** Is this store a member under its incarnation? */
  readonly store: 'listed' | 'not-listed'
  /** Does this store hold the log that the register names, promoted? */
  readonly holdsNamedLog: boolean
  /** An owner of this or a newer epoch, whose settled members lack this store, has ordered a new start (7.1 c). */
  readonly learnOrdered: boolean
  /** Is the volume gone for good? destaged: the register shows that nothing is dirty. named: the user named it. */
  readonly volumeGone: 'no' | 'destaged' | 'named'
}

export type DiscardDecision = 'discard' | 'keep'

const STAYS = { volumeGone: ['no'] } as const
const UNORDERED = { ...STAYS, learnOrdered: [false] } as const

export const DISCARD_ROWS: readonly DecisionRow<DiscardFacts, DiscardDecision>[] = [
  { label: 'volume-gone', rules: '7.2', when: { volumeGone: ['destaged', 'named'] }, then: 'discard' },
  { label: 'learn', rules: '7.1c', when: { ...STAYS, learnOrdered: [true], store: ['not-listed'] }, then: 'discard' },
  // The order speaks of a membership that is not the settled one.
  {
    label: 'learn-while-listed',
    rules: '7.1c',
    when: { ...STAYS, learnOrdered: [true], store: ['listed'] },
    then: 'keep',
  },
  {
    label: 'superseded-not-listed',
    rules: '7.1a',
    when: { ...UNORDERED, registerNames: ['newer-log'], store: ['not-listed'] },
    then: 'discard',
  },
  {
    label: 'superseded-by-own-log',
    rules: '7.1b',
    when: { ...UNORDERED, registerNames: ['newer-log'], store: ['listed'], holdsNamedLog: [true] },
    then: 'discard',
  },
  // Listed, but what it was listed for is not here: the old log may be the last that is left to look at.
  {
    label: 'named-log-missing',
    rules: '7.1 h-old-discard',
    when: { ...UNORDERED, registerNames: ['newer-log'], store: ['listed'], holdsNamedLog: [false] },
    then: 'keep',
  },
  {
    label: 'authoritative-or-pending',
    rules: '7.1 5.1 h-old-discard',
    when: { ...UNORDERED, registerNames: ['this-log', 'older-log', 'nothing'] },
    then: 'keep',
  },
]

export interface DiscardInput {
  /** The register as read; null: it has no record of the volume. */
  readonly record: RegisterRecord | null
  readonly store: Member
  readonly logUuid: string
  /** Names of the logs that this store holds promoted. */
  readonly promotedLogUuids: readonly string[]
  readonly learnOrdered: boolean
  readonly volumeGone: DiscardFacts['volumeGone']
}

export function discardFacts({ record, store, logUuid, promotedLogUuids, ...rest }: DiscardInput): DiscardFacts {
  return {
    registerNames: record === null ? 'nothing' : compareLogs(record.logUuid, logUuid),
    store: record?.members.some((member) => sameMember(member, store)) ? 'listed' : 'not-listed',
    holdsNamedLog: record !== null && promotedLogUuids.includes(record.logUuid),
    learnOrdered: rest.learnOrdered,
    volumeGone: rest.volumeGone,
  }
}

export function mayDiscardLog(input: DiscardInput, rows = DISCARD_ROWS): boolean {
  return decide(rows, discardFacts(input)).then === 'discard'
}

/** An equal epoch with another name cannot have been promoted since: treated like an older one, so that it is kept. */
function compareLogs(named: string, held: string): DiscardFacts['registerNames'] {
  if (named === held) return 'this-log'
  return logEpoch(named) > logEpoch(held) ? 'newer-log' : 'older-log'
}
