// Steps of an owner that change its members and its phase. What it does the product says (protocol/membership-table.ts,
// phase-table.ts, data-path-table.ts); what it is told differs: whether a member that does not answer counts as late
// already, and whether one that does answer came too late.
import type { CandidateView, MembershipAction, MembershipInput } from '../../../csi-driver/protocol/membership-table.ts'
import { membershipDecision } from '../../../csi-driver/protocol/membership-table.ts'
import { mayDiscard } from './discards.ts'
import { movePhase, type PhaseEvent } from '../../../csi-driver/protocol/phase-table.ts'
import { addMember, removeMember, setPhase } from '../../../csi-driver/protocol/register-transitions.ts'
import { type Phase, type RegisterRecord, sameMember } from '../../../csi-driver/register/record.ts'
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import { senderOf } from './log-steps.ts'
import type { Model } from './model.ts'
import { cacheOf, isCache, memberOf, nodeName, nodeOf, nodeOfStore, NODES, storeOf } from './record-pool.ts'
import { changeRegister, ownIsListed } from './register-steps.ts'
import { OWN_LOG } from './rules.ts'
import { ackedOf, type EngineView, incarnationOf, reaches, setAcked, setIncarnation, type State } from './state.ts'
import { ANSWER, askHello, askLearn, greet, keepLog } from './store-asks.ts'

const DOMAIN = 'one'
/** By node: has the owner given a member up? */
const HEALTH = ['answers', 'late', 'lost'] as const

export function memberSteps(model: Model, out: Successors, node: number): void {
  membership(model, out, node)
  learnerSteps(model, out, node)
  drained(model, out, node)
  policy(model, out, node)
}

function membership(model: Model, out: Successors, node: number): void {
  const { from } = out
  const { members } = model.record(from.engine(node))
  let silent = 0
  for (let store = 0; members >> store > 0; store++) {
    if ((members >> store) & 1 && !isCache(store) && !answersIn(model, from, node, store)) silent |= 1 << store
  }
  act(model, out, node, { late: 0, spends: false })
  if (silent !== 0) act(model, out, node, { late: silent, spends: false })
  if (from.budgets.removals === 0) return
  for (let store = 0; store < NODES; store++) {
    const bit = 1 << store
    if ((members & bit) !== 0 && (silent & bit) === 0) act(model, out, node, { late: silent | bit, spends: true })
  }
}

/** Is the listed store there, and goes on with this engine? */
function answersIn(model: Model, state: State, node: number, store: number): boolean {
  return reaches(state, node, store) && !isLost(model, state, node, store)
}

function isLost(model: Model, state: State, node: number, store: number): boolean {
  const listed = model.record(state.engine(node)).incarnations[store] as number
  return state.store(store).incarnation !== listed && !model.rules.acceptsOtherLife
}

interface Told {
  /** Stores that count as late. */
  readonly late: number
  /** Is one of them late that answers? */
  readonly spends: boolean
}

function act(model: Model, out: Successors, node: number, told: Told): void {
  const { from } = out
  const then = actionOf(model, from, node, told)
  const spend = (next: State): void => {
    if (told.spends) next.budgets.removals -= 1
  }
  const { record: id } = from.engine(node)
  switch (then.action) {
    case 'remove':
    case 'drop-surplus': {
      if (then.action === 'drop-surplus' && told.spends) return
      const degrades = then.action === 'remove' && then.degrade
      const store = storeOf(then.member)
      const proposed = model.records.changed(id, `remove ${store} ${degrades}`, (record) => {
        const without = removeMember(record, then.member)
        return degrades ? moved(without, 'want-write-through', record.lastSeq) : without
      })
      changeRegister(model, out, node, { action: action(ACTION.removeMember, node, store), proposed, before: spend })
      break
    }
    case 'add': {
      const store = storeOf(then.member)
      const proposed = model.records.changed(id, `add ${store} ${then.member.incarnation}`, (record) =>
        addMember(record, then.member),
      )
      changeRegister(model, out, node, { action: action(ACTION.addMember, node, store), proposed })
      break
    }
    case 'learn':
      if (!told.spends) startLearner(model, out, node, nodeOf(then.node))
      break
    case 'stop-learning':
      if (!told.spends) dropLearner(out, node, nodeOf(then.node))
      break
    case 'degrade':
      phaseChange(model, out, node, 'want-write-through', ACTION.phaseDrain)
      break
    case 'restore':
      phaseChange(model, out, node, 'want-write-back', ACTION.phaseWriteBack)
      break
    case 'none':
      break
  }
}

function actionOf(model: Model, state: State, node: number, { late }: Told): MembershipAction {
  const engine = state.engine(node)
  let key = engine.record
  const parts: number[] = []
  const { members } = model.record(engine)
  for (let store = 0; store < 2 * NODES; store++) {
    const health = (members >> store) & 1 ? healthOf(model, state, node, { store, late }) : 3
    key = key * 4 + health
    parts.push(health)
  }
  for (let other = 0; other < NODES; other++)
    key = key * 64 + (other === node ? 0 : candidateKey(model, state, node, other))
  const ownWhole = Number(((engine.joined >> cacheOf(node)) & 1) === 1 && engine.ackedOwn === model.log(engine).last)
  key = key * 8 + incarnationOf(engine, cacheOf(node)) * 2 + ownWhole
  key = key * 16 + (engine.wish << 3) + (Number(engine.intent !== 0) << 2) + node
  return model.membership(
    key,
    () => membershipDecision(inputOf(model, state, node, parts), model.rules.membershipTables).then,
  )
}

/** Position in HEALTH. */
function healthOf(model: Model, state: State, node: number, { store, late }: { store: number; late: number }): number {
  if (store === cacheOf(node)) return ownIsListed(model, state, node, state.engine(node).record) ? 0 : 2
  // A cache of another node has no engine that would answer.
  if (isCache(store)) return 1
  if (reaches(state, node, store) && isLost(model, state, node, store)) return 2
  return (late >> store) & 1
}

const STATUS = ['unreachable', 'connected', 'learning', 'joined'] as const

function statusOf(state: State, node: number, store: number): number {
  const engine = state.engine(node)
  if ((engine.joined >> store) & 1) return 3
  if ((engine.learners >> store) & 1) return 2
  return reaches(state, node, store) && state.budgets.learners > 0 ? 1 : 0
}

function candidateKey(model: Model, state: State, node: number, store: number): number {
  const engine = state.engine(node)
  const status = statusOf(state, node, store)
  const incarnation = candidateIncarnation(state, engine, store)
  const { lease, trim } = addFacts(model, state, engine, store)
  return (status * 4 + incarnation) * 4 + Number(lease) * 2 + Number(trim)
}

/** Of a learner the life that it learned in, whatever has become of it since. */
function candidateIncarnation(state: State, engine: EngineView, store: number): number {
  const learned = incarnationOf(engine, store)
  return learned === 0 || (((engine.learners | engine.joined) >> store) & 1) === 0
    ? state.store(store).incarnation
    : learned
}

function addFacts(model: Model, state: State, engine: EngineView, store: number): { lease: boolean; trim: boolean } {
  const lease = ((engine.leases >> store) & 1) === 1
  const trimmed = model.volume(state, store)?.log?.trimmed ?? -1
  return { lease, trim: trimmed === model.log(engine).trimmed }
}

function inputOf(model: Model, state: State, node: number, health: readonly number[]): MembershipInput {
  const engine = state.engine(node)
  const { record } = model.record(engine)
  const candidates: CandidateView[] = []
  for (let other = 0; other < NODES; other++) {
    if (other === node) continue
    const { storeUuid, incarnation } = memberOf(other, candidateIncarnation(state, engine, other))
    const { lease, trim } = addFacts(model, state, engine, other)
    candidates.push({
      node: nodeName(other),
      domain: DOMAIN,
      status: STATUS[statusOf(state, node, other)] as (typeof STATUS)[number],
      sinceMs: 0,
      store: { storeUuid, incarnation },
      lease: lease ? 'held' : 'none',
      trim: trim ? 'equal' : 'behind',
    })
  }
  return {
    nowMs: 0,
    node: nodeName(node),
    domain: DOMAIN,
    wish: {
      same: 0,
      other: 0,
      any: model.scenario.replicas,
      policy: engine.wish === 1 ? 'write-through' : 'write-back',
    },
    record,
    changeOpen: engine.intent !== 0,
    ownStore: memberOf(cacheOf(node), incarnationOf(engine, cacheOf(node))),
    ownJoined: (engine.joined >> cacheOf(node)) % 2 === 1 && engine.ackedOwn === model.log(engine).last,
    members: record.members.map((member) => ({
      member,
      health: HEALTH[health[storeOf(member)] as number] as (typeof HEALTH)[number],
    })),
    candidates,
    damping: new Map(),
  }
}

/** 4.2 and 2.8: HELLO and LEARN; every log that the store held is gone, an empty one begins at the owner's trim. */
function startLearner(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const engine = from.engine(node)
  const again = (engine.learners >> store) & 1
  if (!reaches(from, node, store)) return
  const sender = senderOf(model, engine)
  const hello = askHello(model, from, store, sender)
  if (hello !== ANSWER.done && hello !== ANSWER.already) return
  const next = out.fork()
  greet(model, next, store, sender)
  const volume = model.volume(next, store)
  const log = model.log(engine)
  const begin = model.logs.emptyLog(log, log.trimmed)
  if (volume === null || askLearn(model, volume, sender, begin) !== ANSWER.done) return
  const { record } = model.record(engine)
  const learner = memberOf(store, next.store(store).incarnation)
  const learnOrdered = engine.intent === 0 && !record.members.some((member) => sameMember(member, learner))
  if (volume.log !== null && !mayDiscard(model, { record, store: learner, log: volume.log, learnOrdered })) return
  keepLog(model, next, store, begin)
  const after = next.engine(node)
  after.learners |= 1 << store
  setIncarnation(after, store, next.store(store).incarnation)
  setAcked(after, store, log.trimmed)
  if (again === 0) next.budgets.learners -= 1
  out.add(action(ACTION.startLearner, node, store))
}

function learnerSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  const log = model.log(engine)
  for (let store = 0; store < NODES; store++) {
    const bit = 1 << store
    if (((engine.learners | engine.joined) & bit) === 0) continue
    const goesOn = reaches(from, node, store) && from.store(store).incarnation === incarnationOf(engine, store)
    if (!goesOn) {
      // While an add of it is open it is waited for (1.2).
      if (engine.intent === 0) dropLearner(out, node, store)
    } else if ((engine.learners & bit) !== 0) {
      if (ackedOf(engine, store) < log.trimmed && model.rules.flags.learnerJumps) startLearner(model, out, node, store)
      if (ackedOf(engine, store) === log.last) {
        const next = out.fork().engine(node)
        next.learners &= ~bit
        next.joined |= bit
        out.add(action(ACTION.joinLearner, node, store))
      }
    }
  }
}

function dropLearner(out: Successors, node: number, store: number): void {
  const next = out.fork().engine(node)
  next.learners &= ~(1 << store)
  next.joined &= ~(1 << store)
  next.leases &= ~(1 << store)
  setAcked(next, store, 0)
  setIncarnation(next, store, 0)
  out.add(action(ACTION.dropLearner, node, store))
}

/** 2.4: nothing is logged any more in any copy; until the change is settled nothing may be appended. */
function drained(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  if (model.record(engine).phase !== 'DrainWT' || engine.intent !== 0) return
  const members = Number(holdsAny(model, from, node, model.waited(from, node)))
  const learners = Number(holdsAny(model, from, node, engine.learners))
  const asked = model.rules.logEmpty.get(ownLogFact(model, from, node), members, learners, 0)
  const again =
    asked === 'freeze' ? model.rules.logEmpty.get(ownLogFact(model, from, node), members, learners, 1) : asked
  if (again === 'empty') phaseChange(model, out, node, 'log-empty', ACTION.phaseWriteThrough)
}

function ownLogFact(model: Model, state: State, node: number): number {
  const engine = state.engine(node)
  const log = model.log(engine)
  if (log.trimmed < log.last) return OWN_LOG.holds
  return ownIsListed(model, state, node, engine.record) ? OWN_LOG.trimmed : OWN_LOG.lost
}

/** Has one of these stores not acknowledged the trim of everything? */
function holdsAny(model: Model, state: State, node: number, stores: number): boolean {
  const log = model.log(state.engine(node))
  for (let store = 0; store < NODES; store++) {
    if ((stores >> store) & 1 && model.volume(state, store)?.log?.trimmed !== log.trimmed) return true
  }
  return false
}

function phaseChange(model: Model, out: Successors, node: number, event: PhaseEvent, code: number): void {
  const engine = out.from.engine(node)
  const lastSeq = Math.max(model.record(engine).record.lastSeq, model.committed(out.from, node))
  const proposed = model.records.changed(engine.record, `${event} ${lastSeq}`, (record) =>
    moved(record, event, lastSeq),
  )
  if (proposed !== engine.record) changeRegister(model, out, node, { action: action(code, node), proposed })
}

function moved(record: RegisterRecord, event: PhaseEvent, lastSeq: number): RegisterRecord {
  const move = movePhase(record.phase, event)
  if (move === null || move.cas === undefined) return record
  return setPhase(record, { phase: move.to as Exclude<Phase, 'Detached' | 'Opening'>, dirty: move.cas.dirty, lastSeq })
}

/** The user wants write-through for a while. */
function policy(model: Model, out: Successors, node: number): void {
  const { from } = out
  const { wish, record } = from.engine(node)
  const { phase } = model.records.get(record)
  if (wish === 1 && phase === 'WriteBack') phaseChange(model, out, node, 'want-write-through', ACTION.phaseDrain)
  const toThrough = wish === 0 && phase === 'WriteBack' && from.budgets.policyChanges > 0
  if (!toThrough && !(wish === 1 && phase === 'WriteThrough')) return
  const next = out.fork()
  next.engine(node).wish = 1 - wish
  if (toThrough) next.budgets.policyChanges -= 1
  out.add(action(toThrough ? ACTION.policy : ACTION.policyBack, node))
}

/** Policy: as many replicas on other nodes as are wanted. */
export function meetsPolicy(model: Model, node: number, stores: number): boolean {
  const others = new Set<number>()
  for (let store = 0; store < NODES; store++)
    if ((stores >> store) & 1 && nodeOfStore(store) !== node) others.add(store)
  return others.size >= model.scenario.replicas
}
