// What a claimant does next until it holds what it may own: fence every entry, seal a member (or wait as 8.4 says), take
// the entries off the register, choose the log to adopt. Pure; S2, S3 and S5 of the replication protocol
// (docs/decisions/0001), whose rules are the rows of gather-rows.ts. Asked again after each step; nothing old is dropped by
// any of them, so that it can be left at any point and begun anew (5.2).
//
//   get-evidence ─▶ seal | revoke | wait ─▶ remove-entry (each by CAS) ─▶ promote ─▶ take ─▶ S4, S5
//                     └─▶ blocked | need-off                              └─▶ start-empty | give-up
import type { Seq } from '../../base/units.ts'
import { type Member, MEMBERS_MAX, type RegisterRecord, sameMember, type Unfenced } from '../register/record.ts'
import { decide } from './decision-table.ts'
import {
  DETECTION_ROWS,
  FENCE_ROWS,
  type FenceAction,
  SEAL_ANSWER_ROWS,
  type SealAnswerFacts,
  SEAL_NEED_ROWS,
  type SealNeed,
  type SealNeedFacts,
  SOURCE_ROWS,
  type SourceFacts,
} from './gather-rows.ts'
import type { FenceEvidence } from './register-transitions.ts'
import type { StoredLog } from './stored-log.ts'

export const GATHER_TABLES = {
  fence: FENCE_ROWS,
  sealAnswer: SEAL_ANSWER_ROWS,
  sealNeed: SEAL_NEED_ROWS,
  source: SOURCE_ROWS,
  detection: DETECTION_ROWS,
}
export type GatherTables = typeof GATHER_TABLES

/** What proves that an engine no longer touches the backing. */
export interface FenceProof extends Unfenced {
  readonly evidence: FenceEvidence
}

/** One listed member, as far as the claimant has come with it. */
export interface MemberView {
  readonly member: Member
  /** Is it the claimant's own cache? Its lock, held, is its seal. */
  readonly own: boolean
  /** What answered at its address; null: nothing yet. */
  readonly found: { readonly storeUuid: string; readonly incarnation: number } | null
  readonly answer: SealAnswerFacts['answer']
  /** What it said it holds; undefined: it has not said so yet. */
  readonly log: StoredLog | null | undefined
  /** Batches of it could not be read back. */
  readonly damaged: boolean
}

export interface GatherInput {
  /** After the claim, as last settled; its members, logUuid, dirty and lastSeq are those that the claim read. */
  readonly record: RegisterRecord
  readonly node: string
  /** Proofs of entries, also of some that are off the register already. */
  readonly proofs: readonly FenceProof[]
  /** One for each of `record.members`. */
  readonly members: readonly MemberView[]
  /** Is the wait of 8.4 over for every node whose engine may still run (revokeDecision)? */
  readonly revoked: boolean
  readonly lossAccepted: boolean
  /** Somebody who did not answer may answer a moment later, and there is time left for that. */
  readonly mayAskAgain?: boolean
}

export interface Candidate {
  readonly member: Member
  readonly state: 'unreachable' | 'other-store' | 'no-log' | 'other-log' | 'damaged' | 'whole' | 'short'
}

export type GatherStep = { readonly label: string } & (
  | { readonly step: 'get-evidence'; readonly entry: Unfenced }
  /** Ask every listed member for its seal, and wait for the first grant. */
  | { readonly step: 'seal'; readonly pending: readonly Member[] }
  | { readonly step: 'revoke'; readonly nodes: readonly string[] }
  | { readonly step: 'need-off'; readonly entries: readonly Unfenced[] }
  /** A CAS: `fenced` of register-transitions.ts. */
  | { readonly step: 'remove-entry'; readonly entry: Unfenced; readonly evidence: FenceEvidence }
  | { readonly step: 'promote'; readonly member: Member; readonly own: boolean }
  /** Members have not yet said what they hold. */
  | { readonly step: 'wait'; readonly silent: readonly Member[] }
  /** `missingSeqs`: acknowledged records that it lacks; above 0 only where the user accepted that. */
  | { readonly step: 'take'; readonly member: Member; readonly own: boolean; readonly missingSeqs: number }
  | { readonly step: 'start-empty' }
  /** Like start-empty, but what was dirty is given up, as the user said. */
  | { readonly step: 'give-up' }
  /** Before `blocked` is said: those that did not answer are asked once more. */
  | { readonly step: 'ask-again' }
  | Blocked
)

export interface Blocked {
  readonly step: 'blocked'
  /** no-seal: no member can be reached. no-log: none holds the log. short: what they hold ends too early. */
  readonly why: 'no-seal' | 'no-log' | 'short'
  /** The newest record that is known to be acknowledged, and the newest one that can be had. */
  readonly ackedSeq: Seq
  readonly heldSeq: Seq
  readonly candidates: readonly Candidate[]
}

export function gatherStep(input: GatherInput, tables: GatherTables = GATHER_TABLES): GatherStep {
  const step = firstStep(input, tables)
  return step.step === 'blocked' && input.mayAskAgain === true ? { label: step.label, step: 'ask-again' } : step
}

function firstStep(input: GatherInput, tables: GatherTables): GatherStep {
  const { unfenced } = input.record
  for (const entry of unfenced) {
    const { label, then } = fenceAction(input, entry, 'may-run', tables)
    if (then === 'get-evidence') return { label, step: 'get-evidence', entry }
  }
  const need = decide(tables.sealNeed, sealNeedFacts(input, tables))
  const waiting = waitStep(input, need, tables)
  if (waiting !== null) return waiting
  for (const entry of unfenced) {
    const { label, then } = fenceAction(input, entry, 'over', tables)
    if (then === 'remove') return { label, step: 'remove-entry', entry, evidence: evidenceOf(input, entry) ?? 'cut' }
  }
  const { label, then } = need
  return then === 'gather' ? sourceStep(input, tables) : { label, step: then === 'give-up' ? 'give-up' : 'start-empty' }
}

function fenceAction(
  input: GatherInput,
  entry: Unfenced,
  leases: 'over' | 'may-run',
  tables: GatherTables,
): { readonly label: string; readonly then: FenceAction } {
  const newest = Math.max(...input.record.unfenced.map(({ epoch }) => epoch))
  return decide(tables.fence, {
    entry: entry.epoch === newest ? 'predecessor' : 'earlier',
    node: entry.node === input.node ? 'own' : 'other',
    evidence: evidenceOf(input, entry) ?? 'none',
    leases,
  })
}

function evidenceOf({ proofs }: GatherInput, entry: Unfenced): FenceEvidence | null {
  const found = proofs.filter(({ node, epoch }) => node === entry.node && epoch === entry.epoch)
  // Of several the one that says most: cut leaves an engine that reads its cache.
  return (found.find(({ evidence }) => evidence !== 'cut') ?? found[0])?.evidence ?? null
}

/** Engines on the list that may still run: what fences them proves only that they do not reach the backing. */
export function runningEntries(input: Pick<GatherInput, 'record' | 'proofs'>): readonly Unfenced[] {
  return input.record.unfenced.filter((entry) => {
    const evidence = evidenceOf(input as GatherInput, entry)
    return evidence === null || evidence === 'cut'
  })
}

/** For SEAL: a store need not wait for the lease of an engine that has ended. */
export function predecessorOff(input: Pick<GatherInput, 'record' | 'proofs'>): boolean {
  return runningEntries(input).length === 0
}

function sealNeedFacts(input: GatherInput, tables: GatherTables): SealNeedFacts {
  const { record, revoked, lossAccepted } = input
  const running = runningEntries(input)
  const answers = input.members.map((view) => sealAnswer(view, tables))
  return {
    data: record.dirty ? 'dirty' : 'clean',
    members: membersFact(record, running),
    engines: running.length === 0 ? 'ended' : 'may-run',
    seal: answers.includes('granted') ? 'granted' : answers.includes('pending') ? 'pending' : 'unreachable',
    revocation: revoked ? 'done' : 'open',
    lossAccepted,
  }
}

/** Who served last cannot always be told from the record, so all that may still run must be on the members' one node. */
function membersFact({ members }: RegisterRecord, running: readonly Unfenced[]): SealNeedFacts['members'] {
  const [first] = members
  if (first === undefined) return 'nobody'
  const alone = members.every(({ node }) => node === first.node) && running.every(({ node }) => node === first.node)
  return alone ? 'predecessor-alone' : 'others'
}

function sealAnswer(view: MemberView, tables: GatherTables): 'granted' | 'pending' | 'unreachable' {
  return decide(tables.sealAnswer, { store: storeFact(view), answer: view.answer }).then
}

function storeFact({ member, found }: MemberView): 'listed' | 'other' {
  return found === null || sameMember(member, { ...found, node: member.node }) ? 'listed' : 'other'
}

function waitStep(
  input: GatherInput,
  { label, then }: { readonly label: string; readonly then: SealNeed },
  tables: GatherTables,
): GatherStep | null {
  const running = runningEntries(input)
  switch (then) {
    case 'seal': {
      const pending = input.members.filter((view) => sealAnswer(view, tables) === 'pending')
      return { label, step: 'seal', pending: pending.map(({ member }) => member) }
    }
    case 'revoke':
      return { label, step: 'revoke', nodes: [...new Set(running.map(({ node }) => node))] }
    case 'need-off':
      return { label, step: 'need-off', entries: running }
    case 'blocked':
      return { label, ...blocked(input, 'no-seal', tables) }
    case 'gather':
    case 'start-empty':
    case 'give-up':
      return null
  }
}

function sourceStep(input: GatherInput, tables: GatherTables): GatherStep {
  const uses = input.members.map((view) => ({ view, use: decide(tables.source, sourceFacts(input.record, view)) }))
  const promoted = uses.find(({ use }) => use.then === 'promote')
  if (promoted !== undefined) {
    return { label: promoted.use.label, step: 'promote', member: promoted.view.member, own: promoted.view.own }
  }
  const silent = input.members.filter(isSilent)
  const usable = uses.filter(({ use }) => use.then === 'use').map(({ view }) => view)
  const ackedSeq = ackedSeqOf(input)
  const best = bestSource(usable, ackedSeq)
  const missingSeqs = best === null ? 0 : Math.max(0, ackedSeq - lastSeqOf(best))
  const end = best === null ? 'none' : missingSeqs > 0 ? 'short' : 'reaches'
  const { label, then } = decide(tables.detection, {
    end,
    silent: silent.length > 0,
    lossAccepted: input.lossAccepted,
  })
  if (then === 'wait') return { label, step: 'wait', silent: silent.map(({ member }) => member) }
  if (then === 'blocked') return { label, ...blocked(input, end === 'none' ? 'no-log' : 'short', tables) }
  if (then === 'give-up' || best === null) return { label, step: 'give-up' }
  return { label, step: 'take', member: best.member, own: best.own, missingSeqs }
}

/** Whoever can still answer: the listed store, or one of which nothing is known. */
function isSilent(view: MemberView): boolean {
  return view.log === undefined && view.answer !== 'gone' && view.answer !== 'refused' && storeFact(view) === 'listed'
}

function sourceFacts({ logUuid }: RegisterRecord, view: MemberView): SourceFacts {
  return { store: storeFact(view), log: logFact(view.log, logUuid), chain: view.damaged ? 'damaged' : 'whole' }
}

/** By its name, which the register gives: which of two logs is newer says nothing (5.1). */
function logFact(log: MemberView['log'], logUuid: string): SourceFacts['log'] {
  if (log === null || log === undefined) return 'absent'
  if (log.lineage.at(-1)?.logUuid === logUuid) return 'named'
  return log.pending?.logUuid === logUuid ? 'pending-named' : 'other'
}

/** 5.4: the newest record of which anybody knows that it was acknowledged. */
function ackedSeqOf({ record, members }: GatherInput): Seq {
  const known = members.flatMap((view) => {
    const { log } = view
    const counts = storeFact(view) === 'listed' && log !== null && log !== undefined
    return counts && logFact(log, record.logUuid) === 'named' ? [log.ackedSeq] : []
  })
  return Math.max(record.lastSeq, ...known)
}

function lastSeqOf({ log }: MemberView): Seq {
  return log?.lastSeq ?? 0
}

/** The own store first, else the longest; but a log that ends too early only where none does better. */
function bestSource(usable: readonly MemberView[], ackedSeq: Seq): MemberView | null {
  const whole = usable.filter((view) => lastSeqOf(view) >= ackedSeq)
  const choice = whole.length > 0 ? whole : usable
  const longest = [...choice].sort((a, b) => (b.log?.lastBatchSeq ?? 0) - (a.log?.lastBatchSeq ?? 0))[0]
  return (whole.length > 0 ? whole.find(({ own }) => own) : undefined) ?? longest ?? null
}

function blocked(input: GatherInput, why: Blocked['why'], tables: GatherTables): Blocked {
  const ackedSeq = ackedSeqOf(input)
  const usable = input.members.filter((view) => decide(tables.source, sourceFacts(input.record, view)).then === 'use')
  const heldSeq = Math.max(0, ...usable.map(lastSeqOf))
  const candidates = input.members.map((view) => ({
    member: view.member,
    state: candidateState(input.record, view, ackedSeq),
  }))
  return { step: 'blocked', why, ackedSeq, heldSeq, candidates }
}

function candidateState(record: RegisterRecord, view: MemberView, ackedSeq: Seq): Candidate['state'] {
  if (storeFact(view) === 'other') return 'other-store'
  if (view.log === undefined) return 'unreachable'
  if (view.damaged) return 'damaged'
  const log = logFact(view.log, record.logUuid)
  if (log === 'absent') return 'no-log'
  if (log === 'other') return 'other-log'
  return lastSeqOf(view) >= ackedSeq ? 'whole' : 'short'
}

/**
 * S5: every reachable old member on which S4 succeeded stays, and the own store joins where there is room. Where there is
 * none (which needs four reachable old members on other nodes) it joins later, as a learner does. Another store of the own
 * node does not stay beside it: all that it holds is here now, and it would die with this node.
 */
export function membersOfNewLog(prepared: readonly Member[], own: Member): readonly Member[] {
  const others = prepared.filter((member) => member.node !== own.node)
  return others.length < MEMBERS_MAX ? [own, ...others] : others
}
