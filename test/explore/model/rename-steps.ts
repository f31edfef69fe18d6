// S4 and S5: the claimant has a log; its copies are brought to one end and get the new name beside the one that the register
// gives, and then the register names it. Nothing old is dropped before (5.2).
import { membersOfNewLog } from '../../../csi-driver/protocol/gather-table.ts'
import { ownLog } from '../../../csi-driver/protocol/register-transitions.ts'
import { type Member, sameMember } from '../../../csi-driver/register/record.ts'
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import { type Log, uuidOf, type Volume } from './log-pool.ts'
import { fenced as stopFenced, senderOf } from './log-steps.ts'
import { meetsPolicy } from './member-steps.ts'
import type { Model } from './model.ts'
import { cacheOf, isCache, memberOf, NODES, STORES, storeOf } from './record-pool.ts'
import { changeRegister } from './register-steps.ts'
import { drained } from './resume-steps.ts'
import {
  ackedOf,
  adoptCache,
  backingOf,
  BLOCKS,
  incarnationOf,
  lowerFloor,
  MODE,
  ownCache,
  reaches,
  setAcked,
  setIncarnation,
  type State,
} from './state.ts'
import { ANSWER, askFetch, askLearn, askPrepare, keepLog } from './store-asks.ts'

/** S3: the own cache holds that log, or begins a copy of it. */
export function take(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const engine = from.engine(node)
  const held = model.volume(from, store)?.log ?? null
  if (!drained(model, from, node)) return
  // Only with a switch anything is taken from a store that holds nothing.
  const log = held ?? model.logs.freshLog(model.record(engine).logName, 0)
  if (!isCache(store) && !reaches(from, node, store)) {
    leaveOut(out, node, store)
    return
  }
  if (held !== null && !mayFetch(model, from, node, store)) return
  const next = out.fork()
  const after = next.engine(node)
  const own = cacheOf(node)
  if (store !== own) next.store(own).volume = model.logs.volumeOf(0, 0, 0, model.logs.emptyLog(log, log.trimmed)).id
  keepEpoch(model, next, node)
  after.mode = MODE.renaming
  after.log = model.logs.withoutPending(log).id
  after.joined = 1 << own
  const { record } = model.record(after)
  for (const member of record.members) {
    const other = storeOf(member)
    if (!isCache(other) && isPrepared(model, from, node, other)) joinCopy(model, next, node, other)
  }
  setAcked(after, own, model.volume(next, own)?.log?.last ?? 0)
  after.met = 0
  begin(next, node)
  out.add(action(ACTION.gather, node, store))
}

function mayFetch(model: Model, state: State, node: number, store: number): boolean {
  const volume = model.volume(state, store)
  if (isCache(store) || volume?.log == null) return true
  const answer = askFetch(model, volume, senderOf(model, state.engine(node)), volume.log.trimmed + 1)
  return answer === ANSWER.done || answer === ANSWER.already
}

/** The superblock names the epoch that writes the log. */
function keepEpoch(model: Model, next: State, node: number): void {
  const { epoch } = model.record(next.engine(node))
  const own = ownCache(next, node)
  own.volume = model.logs.volumeOf(epoch, epoch, 0, model.volume(next, cacheOf(node))?.log ?? null).id
}

/** The node has the backing from here on. */
function begin(next: State, node: number): void {
  adoptCache(next, node)
  next.globals.cutOff &= ~(1 << node)
  next.engine(node).proofs = 0
  next.engine(node).ignored = 0
  next.engine(node).sealed = 0
}

/** Has the member answered, in the life that is listed, with the log that the register names? */
function isPrepared(model: Model, state: State, node: number, store: number): boolean {
  const engine = state.engine(node)
  const { logName, incarnations } = model.record(engine)
  const { incarnation } = state.store(store)
  const isListed = incarnation === incarnations[store]
  return (
    ((engine.met >> store) & 1) === 1 &&
    isListed &&
    model.lastUnder(model.volume(state, store)?.log ?? null, logName) >= 0
  )
}

function joinCopy(model: Model, next: State, node: number, store: number): void {
  const engine = next.engine(node)
  const log = model.log(engine)
  const held = model.volume(next, store)?.log as Log
  engine.joined |= 1 << store
  setIncarnation(engine, store, next.store(store).incarnation)
  setAcked(engine, store, Math.min(held.last, log.last))
}

/** Nothing is to be gathered: an empty log of its own. */
export function startEmpty(model: Model, out: Successors, node: number, gaveUp: 0 | 1): void {
  if (!drained(model, out.from, node)) return
  const next = out.fork()
  const engine = next.engine(node)
  const { epoch, record } = model.record(engine)
  const own = cacheOf(node)
  const log = model.logs.freshLog(epoch, record.lastSeq)
  next.store(own).volume = model.logs.volumeOf(epoch, epoch, 0, log).id
  engine.mode = MODE.renaming
  engine.log = log.id
  engine.joined = engine.met = 1 << own
  engine.gaveUp = gaveUp
  begin(next, node)
  out.add(action(gaveUp === 1 ? ACTION.giveUp : ACTION.startEmpty, node))
}

/** S4 and S5. */
export function renameSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  for (let store = 0; store < STORES; store++) {
    if (((engine.joined & ~engine.met) >> store) & 1) prepareStep(model, out, node, store)
  }
  if ((engine.joined & ~engine.met) === 0) own(model, out, node)
}

function prepareStep(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const engine = from.engine(node)
  const isOwn = store === cacheOf(node)
  const isThere = reaches(from, node, store) && from.store(store).incarnation === incarnationOf(engine, store)
  if (!isOwn && !isThere) {
    leaveOut(out, node, store)
    return
  }
  const log = model.log(engine)
  const volume = model.volume(from, store)
  if (ackedOf(engine, store) < log.last || volume?.log == null) return
  if (!isOwn && !isPreparedBy(model, out, node, { store, volume })) return
  const { epoch } = model.record(engine)
  const next = out.fork()
  const prepared = model.logs.prepare(volume.log, epoch, log.last)
  keepLog(model, next, store, prepared)
  next.engine(node).met |= 1 << store
  if (isOwn) next.engine(node).log = prepared.id
  out.add(action(ACTION.prepare, node, store))
}

/** PREPARE at a replica store; false: it is not done, and what follows from that is a step of its own. */
function isPreparedBy(
  model: Model,
  out: Successors,
  node: number,
  { store, volume }: { readonly store: number; readonly volume: Volume },
): boolean {
  const engine = out.from.engine(node)
  const { epoch, logName } = model.record(engine)
  if (!model.rules.flags.keepsUntilOwned && volume.log?.name === logName) {
    startsAnew(model, out, node, store)
    return false
  }
  const { last, lastBatch } = model.log(engine)
  const asks = { authoritative: logName, name: epoch, last, lastBatch }
  const answer = askPrepare(model, volume, senderOf(model, engine), asks)
  if (answer === ANSWER.fenced) stopFenced(out, node, store)
  if (answer === ANSWER.refused) leaveOut(out, node, store)
  return answer === ANSWER.done || answer === ANSWER.already
}

/** 5.2 switched off: the old log goes before the new one is owned. */
function startsAnew(model: Model, out: Successors, node: number, store: number): void {
  const engine = out.from.engine(node)
  const log = model.log(engine)
  const volume = model.volume(out.from, store) as Volume
  if (askLearn(model, volume, senderOf(model, engine), model.logs.emptyLog(log, log.trimmed)) !== ANSWER.done) return
  keepLog(model, out.fork(), store, model.logs.emptyLog(log, log.trimmed))
  out.add(action(ACTION.learnAtOpen, node, store))
}

export function leaveOut(out: Successors, node: number, store: number): void {
  const next = out.fork()
  const engine = next.engine(node)
  const bit = 1 << store
  if (engine.mode === MODE.claimed) {
    if ((engine.ignored & bit) !== 0) return
    engine.ignored |= bit
    engine.sealed &= ~bit
    engine.met &= ~bit
  } else {
    engine.joined &= ~bit
    engine.met &= ~bit
    setAcked(engine, store, 0)
    setIncarnation(engine, store, 0)
  }
  out.add(action(ACTION.leaveOut, node, store))
}

/** S5. */
function own(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  const { record, epoch } = model.record(engine)
  const log = model.log(engine)
  const incarnations = [0, 1, 2].map((store) => incarnationOf(engine, store))
  const joined: Member[] = []
  for (let store = 0; store < NODES; store++) {
    if ((engine.joined >> store) & 1) joined.push(memberOf(store, incarnations[store] as number))
  }
  const ownMember = memberOf(cacheOf(node), incarnationOf(engine, cacheOf(node)))
  const members = membersOfNewLog(joined, ownMember)
  const unreachable = record.members.filter((member) => !members.some((other) => sameMember(other, member)))
  const isEmpty = log.last === log.trimmed
  const phase = meetsPolicy(model, node, engine.joined) ? 'WriteBack' : isEmpty ? 'WriteThrough' : 'DrainWT'
  const lastSeq = Math.max(log.last, record.lastSeq)
  const lossAccepted = engine.gaveUp === 1
  const key = `own ${lossAccepted} ${engine.joined} ${engine.incarnations} ${ownMember.incarnation} ${phase} ${lastSeq}`
  const proposed = model.records.changed(engine.record, key, (old) =>
    ownLog(old, { logUuid: uuidOf(epoch), members, phase, lastSeq, unreachable, lossAccepted }),
  )
  const before = (next: State): void => {
    if (!lossAccepted) return
    for (let block = 0; block < BLOCKS; block++) lowerFloor(next.globals, block, backingOf(next.globals, block))
  }
  changeRegister(model, out, node, { action: action(ACTION.ownLog, node), proposed, before })
}
