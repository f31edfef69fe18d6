// What the owner does next about its members: takes out who does not answer, brings up new copies, adds them, drops what is
// left over, and goes to write-through and back as the policy is missed and met. Pure; rules are the rows of
// membership-rows.ts, preferences are placement.ts, patience is damping.ts. Asked after every event, and at `askAgainAtMs`.
//
//   connected ─learn▶ learning ─(whole)▶ joined ─add▶ member ─(late, lost)▶ removed │ (better one added)▶ dropped
// A peer is replaced by a better one (earlier in the list, in the right domain) only after that one was added.
import type { Ms } from '../../base/units.ts'
import { type Member, MEMBERS_MAX, type RegisterRecord, sameMember } from '../register/record.ts'
import { type Damping, NEVER_LOST, stableAtMs } from './damping.ts'
import { decide } from './decision-table.ts'
import {
  ACTION_ROWS,
  type ActionFacts,
  type ActionKind,
  ADD_ROWS,
  LEARN_ORDER_ROWS,
  type LearnOrderFacts,
  REMOVE_ROWS,
  type RemoveFacts,
} from './membership-rows.ts'
import { type Absent, choosePlaces, isComplete, type Place, type Placement, type ReplicaWish } from './placement.ts'
import type { RefusalCode } from './stored-log.ts'

export const MEMBERSHIP_TABLES = {
  remove: REMOVE_ROWS,
  learn: LEARN_ORDER_ROWS,
  add: ADD_ROWS,
  action: ACTION_ROWS,
}
export type MembershipTables = typeof MEMBERSHIP_TABLES

/** Peers that learn at a time: each takes the whole un-trimmed log over the same network. */
export const LEARNERS_MAX = 2

export interface CandidateView extends Place {
  readonly status: LearnOrderFacts['status']
  /** Of this status, by the clock of `nowMs`; for connected: without a break. */
  readonly sinceMs: Ms
  /** What answered there; null while nothing did. */
  readonly store: { readonly storeUuid: string; readonly incarnation: number } | null
  readonly lease: 'held' | 'none'
  readonly trim: 'equal' | 'behind'
  /** Where it refused. */
  readonly refusal?: RefusalCode
}

export interface MembershipInput {
  readonly nowMs: Ms
  readonly node: string
  readonly domain: string
  readonly wish: ReplicaWish & { readonly policy: 'write-back' | 'write-through' }
  /** As settled. */
  readonly record: RegisterRecord
  readonly changeOpen: boolean
  /** The own cache; its health as a member is `lost` when the device has failed. null: there is none. */
  readonly ownStore: Member | null
  /** Does the own cache, though not listed (as after a hand-over), hold the whole un-trimmed log, all new batches included? */
  readonly ownJoined?: boolean
  /** One for each of `record.members`. */
  readonly members: readonly { readonly member: Member; readonly health: RemoveFacts['health'] }[]
  /** In the order of the user's list, without the own node. */
  readonly candidates: readonly CandidateView[]
  /** By node. */
  readonly damping: ReadonlyMap<string, Damping>
}

export type MembershipAction =
  | { readonly action: 'none' }
  /** One CAS: the member out and, where the policy is missed without it, the phase DrainWT (4.1). */
  | { readonly action: 'remove'; readonly member: Member; readonly why: 'late' | 'lost'; readonly degrade: boolean }
  | { readonly action: 'drop-surplus'; readonly member: Member }
  | { readonly action: 'add'; readonly member: Member }
  | { readonly action: 'learn' | 'stop-learning'; readonly node: string }
  /** Events `want-write-through` and `want-write-back` of the phase table. */
  | { readonly action: 'degrade' | 'restore' }

export interface MembershipDecision {
  readonly label: string
  readonly then: MembershipAction
  /** When a peer will have been stable for long enough; null: only an event changes anything. */
  readonly askAgainAtMs: Ms | null
  readonly policyMet: boolean
  /** Where the policy is missed: by what, and who could help; for tooFewPeersText. */
  readonly missing: ReplicaWish
  readonly absent: readonly Absent[]
}

/** What could be done now, each with its object, and whether the policy is met as it is. */
interface Situation {
  /** Of the members that answer. */
  readonly present: Placement
  readonly ownAnswers: boolean
  /** A member does not answer, and nobody would be left without it. */
  readonly stuck: boolean
  readonly possible: Readonly<Record<Exclude<ActionKind, 'none' | 'degrade' | 'restore'>, MembershipAction | null>>
}

export function membershipDecision(
  input: MembershipInput,
  tables: MembershipTables = MEMBERSHIP_TABLES,
): MembershipDecision {
  const situation = situationOf(input, tables)
  const facts = actionFacts(input, situation)
  const { label, then } = decide(tables.action, facts)
  return {
    label,
    then:
      then === 'none' || then === 'degrade' || then === 'restore' ? { action: then } : orNone(situation.possible[then]),
    askAgainAtMs: nextStableAtMs(input),
    policyMet: facts.policy === 'met',
    missing: situation.present.missing,
    absent: absentOf(input),
  }
}

function orNone(action: MembershipAction | null): MembershipAction {
  return action ?? { action: 'none' }
}

function situationOf(input: MembershipInput, tables: MembershipTables): Situation {
  const { wish, domain } = input
  const answering = placesOf(input, ({ node }) => isAnswering(input, node))
  const present = choosePlaces(wish, answering, domain)
  const usable = placesOf(input, (place) => answering.includes(place) || isUsable(input, place))
  const wanted = choosePlaces(wish, usable, domain).chosen
  const removal = removalOf(input, tables)
  return {
    present,
    ownAnswers: ownAnswers(input, null),
    stuck: removal === 'stuck',
    possible: {
      remove: removal === 'stuck' ? null : removal,
      add: addition(input, answering, tables),
      'drop-surplus': surplusOf(input, present, wanted),
      'stop-learning': idleLearner(input, present, wanted),
      learn: learning(input, wanted, tables),
    },
  }
}

function hasRoom({ record }: MembershipInput): boolean {
  return record.members.length < MEMBERS_MAX
}

function ownAnswers(input: MembershipInput, without: Member | null): boolean {
  return input.members.some(({ member, health }) => member !== without && isOwn(input, member) && health === 'answers')
}

/** The own copy first; else a joined learner that is among the best of what would then be there. */
function addition(
  input: MembershipInput,
  answering: readonly CandidateView[],
  tables: MembershipTables,
): MembershipAction | null {
  const { ownStore, record } = input
  const ownListed = record.members.some((member) => isOwn(input, member))
  if (ownStore !== null && input.ownJoined === true && !ownListed && hasRoom(input)) {
    return { action: 'add', member: ownStore }
  }
  const addable = placesOf(input, (place) => mayAdd(input, place, tables))
  const places = placesOf(input, (place) => answering.includes(place) || addable.includes(place))
  const { chosen } = choosePlaces(input.wish, places, input.domain)
  const found = addable.find(({ node }) => chosen.includes(node))
  if (found === undefined || found.store === null || !hasRoom(input)) return null
  const { storeUuid, incarnation } = found.store
  return { action: 'add', member: { node: found.node, storeUuid, incarnation } }
}

function idleLearner(input: MembershipInput, present: Placement, wanted: readonly string[]): MembershipAction | null {
  const idle = placesOf(input, (place) => isLearner(input, place) && !wanted.includes(place.node))[0]
  return idle === undefined || !isComplete(present) ? null : { action: 'stop-learning', node: idle.node }
}

function learning(
  input: MembershipInput,
  wanted: readonly string[],
  tables: MembershipTables,
): MembershipAction | null {
  const learners = placesOf(input, (place) => isLearner(input, place))
  if (input.wish.policy === 'write-through' || learners.length >= LEARNERS_MAX || !hasRoom(input)) return null
  const next = placesOf(
    input,
    (place) => wanted.includes(place.node) && learnOrder(input, place, tables) === 'may-learn',
  )[0]
  return next === undefined ? null : { action: 'learn', node: next.node }
}

function placesOf(input: MembershipInput, keep: (place: CandidateView) => boolean): readonly CandidateView[] {
  return input.candidates.filter((place) => place.node !== input.node && keep(place))
}

function isOwn({ ownStore }: MembershipInput, member: Member): boolean {
  return ownStore !== null && sameMember(member, ownStore)
}

function isListed({ record }: MembershipInput, node: string): boolean {
  return record.members.some((member) => member.node === node)
}

function isAnswering({ members }: MembershipInput, node: string): boolean {
  return members.some(({ member, health }) => member.node === node && health === 'answers')
}

function isLearner(input: MembershipInput, { node, status }: CandidateView): boolean {
  return (status === 'learning' || status === 'joined') && !isListed(input, node)
}

/** Could it become a copy now or soon? */
function isUsable(input: MembershipInput, candidate: CandidateView): boolean {
  if (isTwin(input, candidate)) return false
  const ready = candidate.status === 'connected' && isStable(input, candidate)
  return isLearner(input, candidate) || (ready && !isListed(input, candidate.node))
}

/** Does its store have the identity of one that is listed, as after its file was copied? The register can hold one of them. */
function isTwin({ record }: MembershipInput, { node, store }: CandidateView): boolean {
  return store !== null && record.members.some((member) => member.storeUuid === store.storeUuid && member.node !== node)
}

function isStable({ damping, nowMs }: MembershipInput, { node, sinceMs }: CandidateView): boolean {
  return stableAtMs(damping.get(node) ?? NEVER_LOST, sinceMs, nowMs) <= nowMs
}

function learnOrder(input: MembershipInput, candidate: CandidateView, tables: MembershipTables): 'may-learn' | 'no' {
  return decide(tables.learn, {
    change: input.changeOpen ? 'open' : 'none',
    listed: isListed(input, candidate.node),
    status: candidate.status,
    stable: isStable(input, candidate),
  }).then
}

function mayAdd(input: MembershipInput, candidate: CandidateView, tables: MembershipTables): boolean {
  if (isListed(input, candidate.node) || candidate.store === null || isTwin(input, candidate)) return false
  const { then } = decide(tables.add, {
    joined: candidate.status === 'joined',
    lease: candidate.lease,
    trim: candidate.trim,
    phase: input.record.phase === 'WriteThrough' ? 'write-through' : 'logging',
  })
  return then === 'may-add'
}

function removalOf(input: MembershipInput, tables: MembershipTables): MembershipAction | 'stuck' | null {
  const decided = input.members.map((entry) => {
    const left = input.members.some((other) => other !== entry && other.health === 'answers')
    const facts: RemoveFacts = { health: entry.health, left: left ? 'answering' : 'nobody' }
    return { entry, then: decide(tables.remove, facts).then }
  })
  const found = decided.find(({ then }) => then === 'remove')
  if (found === undefined) return decided.some(({ then }) => then === 'stuck') ? 'stuck' : null
  const { member, health } = found.entry
  const why = health === 'lost' ? 'lost' : 'late'
  return { action: 'remove', member, why, degrade: degradesWithout(input, member) }
}

/**
 * A member that the policy does not count: another store of the own node, which dies with it; where the policy is met, any
 * that is not needed; where there is no room for one that is needed, one in its way. The last in the list goes first.
 */
function surplusOf(input: MembershipInput, present: Placement, wanted: readonly string[]): MembershipAction | null {
  const spare = input.members.filter(({ member }) => !isOwn(input, member) && !present.chosen.includes(member.node))
  const inTheWay = !hasRoom(input) && wanted.some((node) => !isListed(input, node))
  // Without the own copy every other one counts: the volume drains from them.
  if (!ownAnswers(input, null)) return null
  const beside = spare.find(({ member }) => member.node === input.node)
  if (beside !== undefined) return { action: 'drop-surplus', member: beside.member }
  if (!isComplete(present) && !inTheWay) return null
  const place = (member: Member): number => input.candidates.findIndex(({ node }) => node === member.node)
  const last = [...spare].sort((a, b) => rank(place(b.member)) - rank(place(a.member)))[0]
  return last === undefined ? null : { action: 'drop-surplus', member: last.member }
}

/** Who is not in the list at all comes after everybody. */
function rank(index: number): number {
  return index < 0 ? Number.MAX_SAFE_INTEGER : index
}

function actionFacts(input: MembershipInput, situation: Situation): ActionFacts {
  const { present, possible, stuck } = situation
  const { phase } = input.record
  const through = phase === 'DrainWT' || phase === 'WriteThrough' ? 'through' : 'other'
  const lost = possible.remove === null ? 'none' : 'removable'
  return {
    change: input.changeOpen ? 'open' : 'none',
    phase: phase === 'WriteBack' ? 'write-back' : through,
    lost: stuck ? 'stuck' : lost,
    add: possible.add !== null,
    policy: isComplete(present) && situation.ownAnswers ? 'met' : 'unmet',
    wish: input.wish.policy,
    surplus: possible['drop-surplus'] !== null,
    idleLearner: possible['stop-learning'] !== null,
    learn: possible.learn !== null,
  }
}

/** 4.1: in write-back only if the policy is still met. */
function degradesWithout(input: MembershipInput, member: Member): boolean {
  if (input.record.phase !== 'WriteBack') return false
  const left = placesOf(input, ({ node }) => node !== member.node && isAnswering(input, node))
  return !ownAnswers(input, member) || !isComplete(choosePlaces(input.wish, left, input.domain))
}

function nextStableAtMs(input: MembershipInput): Ms | null {
  const waiting = input.candidates.filter(
    (candidate) => candidate.status === 'connected' && !isListed(input, candidate.node) && !isStable(input, candidate),
  )
  const times = waiting.map(({ node, sinceMs }) =>
    stableAtMs(input.damping.get(node) ?? NEVER_LOST, sinceMs, input.nowMs),
  )
  return times.length === 0 ? null : Math.min(...times)
}

function absentOf(input: MembershipInput): readonly Absent[] {
  return placesOf(input, ({ node }) => !isAnswering(input, node)).map((candidate) => {
    const { node, domain, refusal } = candidate
    const unstable = candidate.status === 'connected' && !isStable(input, candidate)
    const status = isTwin(input, candidate) ? 'same-store' : unstable ? 'unstable' : candidate.status
    return { node, domain, status, ...(refusal === undefined ? {} : { refusal }) }
  })
}
