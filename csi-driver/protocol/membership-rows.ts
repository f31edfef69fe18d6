// What the owner may do about its members: the tables. Pure; rules 1.2, 2.2, 2.8, 4.1, 4.2 and 7.1c of the replication protocol
// (docs/decisions/0001). The first three decide about one member or peer, the last one which of all that is possible is
// next; membership-table.ts finds the facts.
import type { DecisionRow } from './decision-table.ts'

export interface RemoveFacts {
  /** late: no answer within the deadline. lost: another incarnation, or no whole log, answers in its place. */
  readonly health: 'answers' | 'late' | 'lost'
  /** Would a member that answers be left? */
  readonly left: 'answering' | 'nobody'
}

/** stuck: it can only be waited for. */
export type RemoveAction = 'keep' | 'remove' | 'stuck'

// biome-ignore format: a table
export const REMOVE_ROWS: readonly DecisionRow<RemoveFacts, RemoveAction>[] = [
  { label: 'member-answers', rules: '2.1', when: { health: ['answers'] }, then: 'keep' },
  { label: 'member-late', rules: '2.2 4.1', when: { health: ['late'], left: ['answering'] }, then: 'remove' },
  { label: 'member-lost', rules: '2.1 2.2', when: { health: ['lost'], left: ['answering'] }, then: 'remove' },
  // Whoever is listed last may be the last who has the newest writes.
  { label: 'last-member', rules: '2.2 invariant 4', when: { health: ['late', 'lost'], left: ['nobody'] }, then: 'stuck' },
]

export interface LearnOrderFacts {
  readonly change: 'none' | 'open'
  /** Do the settled members list its node, under whatever store? */
  readonly listed: boolean
  readonly status: 'unreachable' | 'connected' | 'learning' | 'joined' | 'refused'
  /** Connected without a break for as long as its losses demand (damping.ts). */
  readonly stable: boolean
}

// biome-ignore format: a table
export const LEARN_ORDER_ROWS: readonly DecisionRow<LearnOrderFacts, 'may-learn' | 'no'>[] = [
  // LEARN discards every log that the store holds: no outcome of an open change may need it.
  { label: 'learn-change-open', rules: '7.1c h-learner-discard', when: { change: ['open'] }, then: 'no' },
  { label: 'learn-listed', rules: '7.1c h-learner-discard', when: { change: ['none'], listed: [true] }, then: 'no' },
  { label: 'learn-not-connected', rules: '4.2', when: { change: ['none'], listed: [false], status: ['unreachable', 'refused'] }, then: 'no' },
  { label: 'learn-under-way', rules: '4.2', when: { change: ['none'], listed: [false], status: ['learning', 'joined'] }, then: 'no' },
  { label: 'learn-unstable', rules: 'damping', when: { change: ['none'], listed: [false], status: ['connected'], stable: [false] }, then: 'no' },
  { label: 'learn-order', rules: '4.2 7.1c', when: { change: ['none'], listed: [false], status: ['connected'], stable: [true] }, then: 'may-learn' },
]

export interface AddFacts {
  /** Does every acknowledgement wait for it, and does it hold the whole un-trimmed log? */
  readonly joined: boolean
  /** Does it hold a lease of this store now? */
  readonly lease: 'held' | 'none'
  /** Has it acknowledged the owner's trim? */
  readonly trim: 'equal' | 'behind'
  readonly phase: 'logging' | 'write-through'
}

// biome-ignore format: a table
export const ADD_ROWS: readonly DecisionRow<AddFacts, 'may-add' | 'no'>[] = [
  { label: 'add-not-joined', rules: '2.2 4.2', when: { joined: [false] }, then: 'no' },
  // From the moment that the change is sent a successor may seal there instead of anywhere else.
  { label: 'add-without-lease', rules: '1.2 h-leaseadd', when: { joined: [true], lease: ['none'] }, then: 'no' },
  // What it holds un-trimmed would be replayed over through-writes.
  { label: 'add-trim-behind', rules: '2.8 h-lrntrim', when: { joined: [true], lease: ['held'], trim: ['behind'], phase: ['write-through'] }, then: 'no' },
  { label: 'add-trim-behind-logging', rules: '2.2', when: { joined: [true], lease: ['held'], trim: ['behind'], phase: ['logging'] }, then: 'may-add' },
  { label: 'add-joined', rules: '2.2', when: { joined: [true], lease: ['held'], trim: ['equal'] }, then: 'may-add' },
]

export interface ActionFacts {
  /** Is a change of the register unsettled? */
  readonly change: 'none' | 'open'
  /** through: DrainWT or WriteThrough. */
  readonly phase: 'write-back' | 'through' | 'other'
  readonly lost: 'none' | 'removable' | 'stuck'
  /** Can a joined learner be added that is better than what there is? */
  readonly add: boolean
  /** Are the wanted copies listed and answering, the own one included? */
  readonly policy: 'met' | 'unmet'
  readonly wish: 'write-back' | 'write-through'
  /** Is a member listed that the policy does not need, and that is nobody's place-holder? */
  readonly surplus: boolean
  /** Does a learner learn that nobody needs any more? */
  readonly idleLearner: boolean
  /** Is there a peer that should begin to learn? */
  readonly learn: boolean
}

export type ActionKind = 'none' | 'remove' | 'add' | 'degrade' | 'restore' | 'drop-surplus' | 'stop-learning' | 'learn'

const SETTLED = { change: ['none'], phase: ['write-back', 'through'] } as const
const WHOLE = { ...SETTLED, lost: ['none'], add: [false] } as const
const UNMET = { ...WHOLE, policy: ['unmet'] } as const
const MET = { ...WHOLE, policy: ['met'] } as const
const AT_REST = [
  { ...MET, phase: ['write-back'] },
  { ...MET, phase: ['through'], wish: ['write-through'] },
  { ...UNMET, phase: ['through'] },
] as const

// biome-ignore format: a table
export const ACTION_ROWS: readonly DecisionRow<ActionFacts, ActionKind>[] = [
  { label: 'change-open', rules: '1.2', when: { change: ['open'] }, then: 'none' },
  { label: 'not-serving', rules: 'S6', when: { change: ['none'], phase: ['other'] }, then: 'none' },
  { label: 'remove', rules: '2.2 4.1', when: { ...SETTLED, lost: ['removable'] }, then: 'remove' },
  { label: 'wait-for-last', rules: '2.2 invariant 4', when: { ...SETTLED, lost: ['stuck'] }, then: 'none' },
  { label: 'add', rules: '2.2 4.2', when: { ...SETTLED, lost: ['none'], add: [true] }, then: 'add' },
  { label: 'degrade', rules: '4.1', when: { ...UNMET, phase: ['write-back'] }, then: 'degrade' },
  { label: 'restore', rules: '4.1 2.5', when: { ...MET, phase: ['through'], wish: ['write-back'] }, then: 'restore' },
  // The new one is there before the old one goes (4.2): only what is left over is dropped.
  ...AT_REST.flatMap((rest, i): DecisionRow<ActionFacts, ActionKind>[] => [
    { label: `drop-surplus-${i}`, rules: '4.2', when: { ...rest, surplus: [true] }, then: 'drop-surplus' },
    { label: `stop-learning-${i}`, rules: '4.2', when: { ...rest, surplus: [false], idleLearner: [true] }, then: 'stop-learning' },
    { label: `learn-${i}`, rules: '4.2', when: { ...rest, surplus: [false], idleLearner: [false], learn: [true] }, then: 'learn' },
    { label: `nothing-${i}`, rules: '4.2', when: { ...rest, surplus: [false], idleLearner: [false], learn: [false] }, then: 'none' },
  ]),
]
