// What a claimant may conclude before it owns the volume: the tables of S2 and S3 of the replication protocol
// (docs/decisions/0001). gather-table.ts finds the facts and puts the answers in order; a name in brackets of the protocol
// stands in `rules` and is the rule's switch in the explorer.
import type { DecisionRow } from './decision-table.ts'

export interface FenceFacts {
  /** Of the list `unfenced`: the owner before this claim, or an earlier one. */
  readonly entry: 'predecessor' | 'earlier'
  /** Is it an engine of this node? */
  readonly node: 'own' | 'other'
  /** See FenceEvidence. */
  readonly evidence: 'none' | 'lock' | 'off' | 'cut' | 'closed'
  /** Has every lease that lets it read or acknowledge ended (sealed, or waited for as 8.4 says)? */
  readonly leases: 'over' | 'may-run'
}

/** get-evidence: from the fence, or from the user. wait-leases: it is cut from the backing, but may still read its cache. */
export type FenceAction = 'get-evidence' | 'wait-leases' | 'remove'

const OTHER = { node: ['other'] } as const
const CUT = { ...OTHER, evidence: ['cut'] } as const

// biome-ignore format: a table
export const FENCE_ROWS: readonly DecisionRow<FenceFacts, FenceAction>[] = [
  { label: 'fence-predecessor', rules: 'S2 h-fence-none', when: { entry: ['predecessor'], evidence: ['none'] }, then: 'get-evidence' },
  // Its writes may come as late as those of the last owner.
  { label: 'fence-earlier', rules: 'S2 h-fence-pred', when: { entry: ['earlier'], evidence: ['none'] }, then: 'get-evidence' },
  { label: 'fenced-by-lock', rules: '5.3', when: { node: ['own'], evidence: ['lock'] }, then: 'remove' },
  { label: 'lock-of-other-node', rules: '5.3 h-refence', when: { ...OTHER, evidence: ['lock'] }, then: 'get-evidence' },
  // What would be off or cut is this very node: only its lock says that the engines before are gone with their I/O.
  { label: 'own-node-needs-lock', rules: '5.3 h-refence', when: { node: ['own'], evidence: ['off', 'cut'] }, then: 'get-evidence' },
  { label: 'fenced-closed', rules: 'S1 6', when: { evidence: ['closed'] }, then: 'remove' },
  { label: 'fenced-off', rules: 'S2', when: { ...OTHER, evidence: ['off'] }, then: 'remove' },
  // Once the entry is gone nobody will wait for this engine any more.
  { label: 'fenced-cut-leases-run', rules: 'S2 8.1 8.4', when: { ...CUT, leases: ['may-run'] }, then: 'wait-leases' },
  { label: 'fenced-cut', rules: 'S2', when: { ...CUT, leases: ['over'] }, then: 'remove' },
]

export interface SealAnswerFacts {
  /** Is what answered the listed store under its listed incarnation? */
  readonly store: 'listed' | 'other'
  /** silent: no answer yet. gone: none until the deadline. refused: not by this claim. */
  readonly answer: 'granted' | 'waiting' | 'silent' | 'refused' | 'gone'
}

// biome-ignore format: a table
export const SEAL_ANSWER_ROWS: readonly DecisionRow<SealAnswerFacts, 'granted' | 'pending' | 'unreachable'>[] = [
  { label: 'seal-granted', rules: 'S2', when: { store: ['listed'], answer: ['granted'] }, then: 'granted' },
  { label: 'seal-pending', rules: '8.1', when: { store: ['listed'], answer: ['waiting', 'silent'] }, then: 'pending' },
  { label: 'seal-not-had', rules: 'S2', when: { store: ['listed'], answer: ['refused', 'gone'] }, then: 'unreachable' },
  // It gave no lease in that life, and holds nothing of it.
  { label: 'seal-of-other-incarnation', rules: '2.1 h-inc-rec', when: { store: ['other'] }, then: 'unreachable' },
]

export interface SealNeedFacts {
  /** Only `dirty` says whether there is anything to gather, whatever phases say (1.5). */
  readonly data: 'dirty' | 'clean'
  /**
   * nobody: no log was ever owned. predecessor-alone: all on one node, of which alone engines may still run. others: any
   * other, so that somebody who may still run needs their leases (8.5).
   */
  readonly members: 'nobody' | 'predecessor-alone' | 'others'
  /** May an engine of `unfenced` still run: is one of them neither off, nor closed, nor locked out? */
  readonly engines: 'may-run' | 'ended'
  /** The best answer of any listed member. */
  readonly seal: 'granted' | 'pending' | 'unreachable'
  /** Of the node whose engines may still run, as 8.4 says. */
  readonly revocation: 'done' | 'open'
  readonly lossAccepted: boolean
}

/**
 * gather: S3. start-empty: nothing is to be gathered. give-up: nothing can be gathered, and the user accepts the loss.
 * seal: ask, or wait for an answer. revoke: 8.4. need-off: only the proof that the old hosts are off helps.
 */
export type SealNeed = 'gather' | 'start-empty' | 'give-up' | 'seal' | 'revoke' | 'need-off' | 'blocked'

const DIRTY = { data: ['dirty'], members: ['predecessor-alone', 'others'] } as const
const DIRTY_UNREACHABLE = { ...DIRTY, seal: ['unreachable'] } as const
const ACCEPTED = { ...DIRTY_UNREACHABLE, lossAccepted: [true] } as const
const CLEAN_ALONE = { data: ['clean'], members: ['predecessor-alone'] } as const
const CLEAN = { data: ['clean'], members: ['others'] } as const

// biome-ignore format: a table
export const SEAL_NEED_ROWS: readonly DecisionRow<SealNeedFacts, SealNeed>[] = [
  { label: 'never-owned', rules: 'S2', when: { members: ['nobody'] }, then: 'start-empty' },
  { label: 'dirty-sealed', rules: 'S2 S3', when: { ...DIRTY, seal: ['granted'] }, then: 'gather' },
  { label: 'dirty-not-yet-sealed', rules: 'S2 h-noseal', when: { ...DIRTY, seal: ['pending'] }, then: 'seal' },
  { label: 'dirty-nobody-to-seal', rules: 'S2 invariant 9', when: { ...DIRTY_UNREACHABLE, lossAccepted: [false] }, then: 'blocked' },
  { label: 'loss-accepted-engines-ended', rules: 'invariant 9', when: { ...ACCEPTED, engines: ['ended'] }, then: 'give-up' },
  // Nobody can be asked about leases, and an owner that is dirty and alone needs none: it would go on showing what is given up.
  { label: 'loss-accepted-engine-may-run', rules: 'invariant 9 8.4', when: { ...ACCEPTED, engines: ['may-run'] }, then: 'need-off' },
  { label: 'clean-engines-ended', rules: '1.5 8.4', when: { ...CLEAN_ALONE, engines: ['ended'] }, then: 'start-empty' },
  { label: 'clean-alone-revoke', rules: 'S2 8.4 h-apilease', when: { ...CLEAN_ALONE, engines: ['may-run'], revocation: ['open'] }, then: 'revoke' },
  { label: 'clean-alone', rules: 'S2 8.4', when: { ...CLEAN_ALONE, engines: ['may-run'], revocation: ['done'] }, then: 'start-empty' },
  { label: 'clean-sealed', rules: '1.5 8.5', when: { ...CLEAN, seal: ['granted'] }, then: 'start-empty' },
  { label: 'clean-not-yet-sealed', rules: 'S2 8.5 h-noseal', when: { ...CLEAN, seal: ['pending'] }, then: 'seal' },
  { label: 'clean-unreachable-off', rules: 'S2', when: { ...CLEAN, seal: ['unreachable'], engines: ['ended'] }, then: 'start-empty' },
  { label: 'clean-unreachable', rules: 'S2', when: { ...CLEAN, seal: ['unreachable'], engines: ['may-run'] }, then: 'need-off' },
]

export interface SourceFacts {
  readonly store: 'listed' | 'other'
  /** What it holds under the name that the register gave this claim: its log, its pending name, another log, nothing. */
  readonly log: 'named' | 'pending-named' | 'other' | 'absent'
  /** damaged: batches of it cannot be read back, here or while they were fetched. */
  readonly chain: 'whole' | 'damaged'
}

/** promote: PROMOTE it first; what it holds beyond was never acknowledged. */
export type SourceUse = 'use' | 'promote' | 'useless'

const LISTED = { store: ['listed'] } as const

// biome-ignore format: a table
export const SOURCE_ROWS: readonly DecisionRow<SourceFacts, SourceUse>[] = [
  { label: 'source-of-other-incarnation', rules: '2.1 h-inc-rec', when: { store: ['other'] }, then: 'useless' },
  { label: 'source', rules: 'S3', when: { ...LISTED, log: ['named'], chain: ['whole'] }, then: 'use' },
  { label: 'source-promoted', rules: '5.1 h-pendpromote', when: { ...LISTED, log: ['pending-named'], chain: ['whole'] }, then: 'promote' },
  // A newer one is one that was never owned.
  { label: 'source-of-other-name', rules: '5.1 h-logepoch', when: { ...LISTED, log: ['other'], chain: ['whole'] }, then: 'useless' },
  { label: 'source-absent', rules: 'S4', when: { ...LISTED, log: ['absent'], chain: ['whole'] }, then: 'useless' },
  { label: 'source-damaged', rules: 'S3', when: { ...LISTED, chain: ['damaged'] }, then: 'useless' },
]

export interface DetectionFacts {
  /** Is there a log to take? short: it ends before what some member or the register knows to be acknowledged (5.4). */
  readonly end: 'reaches' | 'short' | 'none'
  /** Listed members that have not yet said what they hold. */
  readonly silent: boolean
  readonly lossAccepted: boolean
}

export type Detection = 'take' | 'wait' | 'blocked' | 'take-short' | 'give-up'

const SAID = { silent: [false] } as const

// biome-ignore format: a table
export const DETECTION_ROWS: readonly DecisionRow<DetectionFacts, Detection>[] = [
  // Somebody may hold more, or know of more.
  { label: 'gather-waits', rules: 'S3 5.4', when: { silent: [true] }, then: 'wait' },
  { label: 'gathered', rules: 'S3 5.4', when: { ...SAID, end: ['reaches'] }, then: 'take' },
  { label: 'gathered-short', rules: '5.4 invariant 9', when: { ...SAID, end: ['short'], lossAccepted: [false] }, then: 'blocked' },
  { label: 'gathered-nothing', rules: 'S3 invariant 9', when: { ...SAID, end: ['none'], lossAccepted: [false] }, then: 'blocked' },
  { label: 'short-accepted', rules: '5.4 invariant 9', when: { ...SAID, end: ['short'], lossAccepted: [true] }, then: 'take-short' },
  { label: 'nothing-accepted', rules: 'S3 invariant 9', when: { ...SAID, end: ['none'], lossAccepted: [true] }, then: 'give-up' },
]
