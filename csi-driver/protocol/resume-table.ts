// RESUME: a new run of an engine, or the new owner after a hand-over, makes all copies of the log equal before it serves.
// Pure; rules 3.0, 3.2, 3.3 and 6 of the replication protocol (docs/decisions/0001). The longest tail of any copy is adopted
// (somebody may have seen an acknowledgement of it), the largest trim is taken (what it covers is on the backing, and was
// perhaps overwritten there since), and whoever cannot follow is removed by CAS before anything is acknowledged without it.
// Asked again after each step; a run that dies in between leaves nothing that the next one does not find equal or longer.
import type { BatchSeq } from '../../base/units.ts'
import { type Member, type RegisterRecord, sameMember } from '../register/record.ts'
import { type DecisionRow, decide } from './decision-table.ts'
import type { LogBegin, StoredLog } from './stored-log.ts'

export interface ResumeOwnFacts {
  /** Does the register list the own store under its incarnation? */
  readonly store: 'listed' | 'not-listed'
  /** Did this epoch come by a hand-over, so that other members hold the log? */
  readonly handedOver: boolean
  /** behind-trim: another copy has trimmed what the own log does not even hold. */
  readonly log: 'usable' | 'behind-trim'
}

const MINE = { store: ['listed'] } as const

// biome-ignore format: a table
export const RESUME_OWN_ROWS: readonly DecisionRow<ResumeOwnFacts, 'resume' | 'open'>[] = [
  { label: 'resume-own-log', rules: '3.0 3.2', when: { ...MINE, log: ['usable'] }, then: 'resume' },
  // It once acknowledged what it now lacks: not the store that was listed.
  { label: 'resume-own-lost', rules: '3.0', when: { ...MINE, log: ['behind-trim'] }, then: 'open' },
  { label: 'resume-after-hand-over', rules: '6', when: { store: ['not-listed'], handedOver: [true] }, then: 'resume' },
  { label: 'resume-not-listed', rules: '3.0', when: { store: ['not-listed'], handedOver: [false] }, then: 'open' },
]

export interface ResumeMemberFacts {
  /** silent: no answer yet. late: none within the deadline. */
  readonly answer: 'welcome' | 'silent' | 'late'
  /** Is what answered the listed store under its listed incarnation? */
  readonly store: 'listed' | 'other'
  /** What it holds under the log's name: its log, its pending name, another log, nothing. */
  readonly log: 'named' | 'pending-named' | 'other' | 'absent'
  /** Batches that were to be adopted from it cannot be read there. */
  readonly damaged: boolean
  /**
   * Its end, against the own log: equal; shorter: the own log has it and more; longer; differs: another batch under that
   * number, or its tail does not follow ours; behind-trim: it ends before the largest trim of all copies.
   */
  readonly end: 'equal' | 'shorter' | 'longer' | 'differs' | 'behind-trim'
}

export type ResumeMemberAction = 'same' | 'send' | 'adopt' | 'promote' | 'wait' | 'remove' | 'corrupt'

const ANSWERED = { answer: ['welcome'], store: ['listed'] } as const
const NAMED = { ...ANSWERED, log: ['named'], damaged: [false] } as const

// biome-ignore format: a table
export const RESUME_MEMBER_ROWS: readonly DecisionRow<ResumeMemberFacts, ResumeMemberAction>[] = [
  { label: 'resume-silent', rules: '3.2', when: { answer: ['silent'] }, then: 'wait' },
  { label: 'resume-late', rules: '3.2 4.1', when: { answer: ['late'] }, then: 'remove' },
  { label: 'resume-other-incarnation', rules: '2.1 h-inc-rec', when: { answer: ['welcome'], store: ['other'] }, then: 'remove' },
  { label: 'resume-promote', rules: '5.1', when: { ...ANSWERED, log: ['pending-named'] }, then: 'promote' },
  { label: 'resume-log-lost', rules: '3.2 S4', when: { ...ANSWERED, log: ['other', 'absent'] }, then: 'remove' },
  { label: 'resume-damaged', rules: '3.2', when: { ...ANSWERED, log: ['named'], damaged: [true] }, then: 'remove' },
  // Two runs wrote under one number without knowing of one another: neither may be overwritten by guess.
  { label: 'resume-differs', rules: '3.3 h-reconcile', when: { ...NAMED, end: ['differs'] }, then: 'corrupt' },
  { label: 'resume-adopt', rules: '3.2 h-reconcile', when: { ...NAMED, end: ['longer'] }, then: 'adopt' },
  { label: 'resume-send', rules: '3.2', when: { ...NAMED, end: ['shorter'] }, then: 'send' },
  { label: 'resume-same', rules: '3.2', when: { ...NAMED, end: ['equal'] }, then: 'same' },
  { label: 'resume-behind-trim', rules: '3.2 2.8', when: { ...NAMED, end: ['behind-trim'] }, then: 'remove' },
]

export const RESUME_TABLES = { own: RESUME_OWN_ROWS, member: RESUME_MEMBER_ROWS }
export type ResumeTables = typeof RESUME_TABLES

/** The log in the own cache. */
export interface OwnLog {
  readonly tail: LogBegin
  readonly lastBatchSeq: BatchSeq
  readonly lastHash: bigint
  /** headerHash of a batch that it holds; null of any other. */
  hashAt(batchSeq: BatchSeq): bigint | null
}

export interface ResumeMember {
  readonly member: Member
  readonly answer: ResumeMemberFacts['answer']
  /** What answered; null: nothing yet. */
  readonly found: { readonly storeUuid: string; readonly incarnation: number } | null
  /** As WELCOME said, with what was done since. */
  readonly log: StoredLog | null
  readonly damaged: boolean
  /** The batches that were fetched from it do not follow the own end. */
  readonly diverges: boolean
}

export interface ResumeInput {
  /** As settled; no change is open (1.3). */
  readonly record: RegisterRecord
  readonly ownStore: Member
  /** null: nothing of the log is in the own cache yet, as after a hand-over. */
  readonly own: OwnLog | null
  readonly handedOver: boolean
  /** One for each listed member but the own store. */
  readonly members: readonly ResumeMember[]
}

export interface Order {
  readonly member: Member
  readonly batchSeq: BatchSeq
}

export type ResumeStep = { readonly label: string } /** Leave this epoch's log alone and open by S0 to S6. */ & (
  | { readonly step: 'open' }
  | { readonly step: 'promote'; readonly member: Member }
  | { readonly step: 'corrupt'; readonly members: readonly Member[] }
  | { readonly step: 'wait'; readonly members: readonly Member[] }
  /** By CAS, settled before going on. */
  | { readonly step: 'remove'; readonly member: Member }
  /** FETCH and append to the own log, byte for byte; the first batch must follow the own end. */
  | { readonly step: 'adopt'; readonly member: Member; readonly from: BatchSeq; readonly to: BatchSeq }
  /** Persist this as the own trim: everything below `before` is on the backing. */
  | { readonly step: 'trim-own'; readonly before: BatchSeq }
  /** APPEND from `batchSeq` on; TRIM up to `batchSeq`. Byte for byte as they stand in the own log. */
  | { readonly step: 'equalise'; readonly sends: readonly Order[]; readonly trims: readonly Order[] }
  | { readonly step: 'serve' }
)

export function resumeStep(input: ResumeInput, tables: ResumeTables = RESUME_TABLES): ResumeStep {
  const trim = largestTrim(input)
  const own = decide(tables.own, ownFacts(input, trim))
  if (own.then === 'open') return { label: own.label, step: 'open' }
  const decided = input.members.map((entry) => {
    const { label, then } = decide(tables.member, memberFacts(input, entry, trim))
    return { entry, label, then }
  })
  const of = (action: ResumeMemberAction) => decided.filter(({ then }) => then === action)
  const membersOf = (action: ResumeMemberAction) => of(action).map(({ entry }) => entry.member)
  const [promote] = of('promote')
  if (promote !== undefined) return { label: promote.label, step: 'promote', member: promote.entry.member }
  const [corrupt] = of('corrupt')
  if (corrupt !== undefined) return { label: corrupt.label, step: 'corrupt', members: membersOf('corrupt') }
  const [wait] = of('wait')
  if (wait !== undefined) return { label: wait.label, step: 'wait', members: membersOf('wait') }
  const [remove] = of('remove')
  if (remove !== undefined) return removal(input, remove.label, remove.entry.member)
  const adopted = longest(of('adopt'))
  if (adopted !== null) return { label: adopted.label, ...adoption(input, adopted.entry, trim) }
  return equalising(input, trim, membersOf('send'))
}

/** 2.2: never the last member; then only an open can say what is left. */
function removal({ record }: ResumeInput, label: string, member: Member): ResumeStep {
  return record.members.length > 1 ? { label, step: 'remove', member } : { label, step: 'open' }
}

function isNamed({ log }: ResumeMember, { logUuid }: RegisterRecord): boolean {
  return log?.lineage.at(-1)?.logUuid === logUuid
}

/** First batch that no copy has trimmed. */
function largestTrim({ own, members, record }: ResumeInput): BatchSeq {
  const tails = members.flatMap((entry) => {
    const counts = entry.answer === 'welcome' && storeFact(entry) === 'listed' && isNamed(entry, record)
    return counts && entry.log !== null ? [entry.log.tail.batchSeq] : []
  })
  return Math.max(own?.tail.batchSeq ?? 1, ...tails)
}

function ownFacts({ record, ownStore, own, handedOver }: ResumeInput, trim: BatchSeq): ResumeOwnFacts {
  return {
    store: record.members.some((member) => sameMember(member, ownStore)) ? 'listed' : 'not-listed',
    handedOver,
    log: own !== null && own.lastBatchSeq < trim - 1 ? 'behind-trim' : 'usable',
  }
}

function storeFact({ member, found }: ResumeMember): 'listed' | 'other' {
  return found !== null && sameMember(member, { ...found, node: member.node }) ? 'listed' : 'other'
}

function memberFacts(input: ResumeInput, entry: ResumeMember, trim: BatchSeq): ResumeMemberFacts {
  const { log } = entry
  const { logUuid } = input.record
  const pending = log?.pending?.logUuid === logUuid
  const other = log === null ? 'absent' : pending ? 'pending-named' : 'other'
  return {
    answer: entry.answer,
    store: storeFact(entry),
    log: isNamed(entry, input.record) ? 'named' : other,
    damaged: entry.damaged,
    end: log === null ? 'differs' : endFact(input.own, log, { trim, diverges: entry.diverges }),
  }
}

function endFact(
  own: OwnLog | null,
  log: StoredLog,
  { trim, diverges }: { readonly trim: BatchSeq; readonly diverges: boolean },
): ResumeMemberFacts['end'] {
  if (diverges) return 'differs'
  if (log.lastBatchSeq < trim - 1) return 'behind-trim'
  if (own === null || log.lastBatchSeq > own.lastBatchSeq) return 'longer'
  const here = log.lastBatchSeq === own.tail.batchSeq - 1 ? own.tail.previousHash : own.hashAt(log.lastBatchSeq)
  if (here !== log.lastHash) return 'differs'
  return log.lastBatchSeq === own.lastBatchSeq ? 'equal' : 'shorter'
}

interface Adoptable {
  readonly entry: ResumeMember
  readonly label: string
}

function longest(all: readonly Adoptable[]): Adoptable | null {
  const end = ({ entry }: Adoptable): BatchSeq => entry.log?.lastBatchSeq ?? 0
  return all.reduce<Adoptable | null>((best, next) => (best === null || end(next) > end(best) ? next : best), null)
}

function adoption(
  { own }: ResumeInput,
  { member, log }: ResumeMember,
  trim: BatchSeq,
): Omit<ResumeStep & { readonly step: 'adopt' }, 'label'> {
  const from = own === null ? trim : own.lastBatchSeq + 1
  return { step: 'adopt', member, from, to: log?.lastBatchSeq ?? from }
}

/** The own log is the longest by now. */
function equalising({ own, members }: ResumeInput, trim: BatchSeq, short: readonly Member[]): ResumeStep {
  if (own !== null && own.tail.batchSeq < trim) return { label: 'resume-trim', step: 'trim-own', before: trim }
  const sends = members.flatMap(({ member, log }) =>
    log !== null && short.includes(member) ? [{ member, batchSeq: log.lastBatchSeq + 1 }] : [],
  )
  const trims = members.flatMap(({ member, log }) =>
    log !== null && log.tail.batchSeq < trim ? [{ member, batchSeq: trim - 1 }] : [],
  )
  const equal = sends.length === 0 && trims.length === 0
  return equal ? { label: 'resume-equal', step: 'serve' } : { label: 'resume-equalise', step: 'equalise', sends, trims }
}
