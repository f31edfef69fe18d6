// Steps of a node that takes the volume over, S0 to S6: claim, fence, seal, gather, give the log its new name, own it. What
// comes next the product says (protocol/gather-table.ts); a claimant may die at any point and leave everything as it is.
import { claim, fenced, ownLog } from '../../../csi-driver/protocol/register-transitions.ts'
import type { GatherInput, GatherStep, MemberView } from '../../../csi-driver/protocol/gather-table.ts'
import { type FenceProof, gatherStep, membersOfNewLog } from '../../../csi-driver/protocol/gather-table.ts'
import { type Member, sameMember } from '../../../csi-driver/register/record.ts'
import { ACTION, action, FATE, withFate } from '../actions.ts'
import type { Successors } from '../successors.ts'
import { fenced as stopFenced, senderOf } from './log-steps.ts'
import { type Log, uuidOf, type Volume } from './log-pool.ts'
import type { Model } from './model.ts'
import { cacheOf, isCache, memberOf, nodeName, nodeOf, nodeOfStore, NODES, storeOf } from './record-pool.ts'
import { meetsPolicy } from './member-steps.ts'
import { changeRegister, setRegister } from './register-steps.ts'
import { drained } from './resume-steps.ts'
import {
  ackedOf,
  adoptCache,
  clearBackingWrite,
  type EngineView,
  incarnationOf,
  MODE,
  NODE_LEASE,
  ownCache,
  reaches,
  reachesRegister,
  setAcked,
  setIncarnation,
  type State,
} from './state.ts'
import { ANSWER, askFetch, askHello, askLearn, askPrepare, askPromote, askSeal, greet, keepLog } from './store-asks.ts'

/** A stopped or opening engine's node claims (again). */
export function claimSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const { mode } = from.engine(node)
  if (from.budgets.claims === 0 || !reachesRegister(from, node)) return
  if (mode !== MODE.none && mode !== MODE.claimed && mode !== MODE.renaming) return
  const proposed = model.records.changed(from.globals.register, `claim ${node}`, (record) =>
    claim(record, { node: nodeName(node) }),
  )
  const others = model.records.get(proposed).members & 0b111
  for (let ignored = 0; ignored <= others; ignored++) {
    if ((ignored & ~others) === 0) claimWith(out, node, proposed, ignored)
  }
  if (from.budgets.unknownOutcomes === 0 || model.scenario.unknownOnly !== undefined) return
  // Whoever does not hear of his claim gives up and begins anew.
  const lost = claimed(out, node)
  lost.budgets.unknownOutcomes -= 1
  setRegister(lost, proposed)
  out.add(withFate(action(ACTION.claim, node), FATE.replyLost))
  if (from.globals.lateChange !== 0) return
  const late = claimed(out, node)
  late.budgets.unknownOutcomes -= 1
  late.globals.lateChange = proposed
  out.add(withFate(action(ACTION.claim, node), FATE.delayed))
}

function claimed(out: Successors, node: number): State {
  const next = out.fork()
  next.clearEngine(node)
  next.budgets.claims -= 1
  return next
}

function claimWith(out: Successors, node: number, proposed: number, ignored: number): void {
  const next = claimed(out, node)
  setRegister(next, proposed)
  const engine = next.engine(node)
  engine.mode = MODE.claimed
  engine.record = proposed
  engine.current = 1
  engine.ignored = ignored
  next.globals.revoked &= ~(1 << node)
  out.add(action(ACTION.claim, node, 0, ignored))
}

export function openSteps(model: Model, out: Successors, node: number): void {
  const { mode, intent } = out.from.engine(node)
  // An opener changes nothing while it does not know what became of its last change.
  if (intent !== 0) return
  if (mode === MODE.claimed) gatherSteps(model, out, node)
  else if (mode === MODE.renaming) renameSteps(model, out, node)
}

function gatherSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const { record } = model.record(from.engine(node))
  const step = stepOf(model, from, node)
  switch (step.step) {
    case 'get-evidence':
      fence(model, out, node, nodeOf(step.entry.node))
      break
    case 'seal':
      for (const member of step.pending) seal(model, out, node, storeOf(member))
      break
    case 'wait':
      for (const member of step.silent) seal(model, out, node, storeOf(member))
      break
    case 'revoke':
      for (const name of step.nodes) revoke(model, out, node, nodeOf(name))
      break
    case 'remove-entry': {
      const { entry, evidence } = step
      const name = `fenced ${entry.node} ${entry.epoch} ${evidence}`
      const proposed = model.records.changed(from.engine(node).record, name, (old) => fenced(old, entry, evidence))
      changeRegister(model, out, node, { action: action(ACTION.removeEntry, node, nodeOf(entry.node)), proposed })
      break
    }
    case 'promote':
      promoteFirst(model, out, node, storeOf(step.member))
      break
    case 'take':
      if (promotesVoidName(model, out, node)) break
      take(model, out, node, storeOf(step.member))
      break
    case 'start-empty':
      if (drained(model, from, node)) startEmpty(model, out, node, record.epoch)
      break
    case 'give-up':
    case 'blocked':
    case 'need-off':
      break
  }
}

/** What the product does next. */
export function stepOf(model: Model, state: State, node: number): GatherStep {
  const engine = state.engine(node)
  const known = model.record(engine)
  const views: number[] = []
  for (const member of known.record.members) views.push(viewKey(state, node, storeOf(member)))
  const revoked = isRevoked(model, state, node)
  const proofs = engine.proofs | (Number(revoked) << 6)
  const key = `${node} ${engine.record} ${proofs} ${views.join()}`
  return model.gatherStep(key, () => gatherStep(gatherInput(model, state, node, revoked), model.rules.tables))
}

/** All that memberView looks at, as a number. */
function viewKey(state: State, node: number, store: number): number {
  const { incarnation, volume } = state.store(store)
  const engine = state.engine(node)
  const bit = 1 << store
  const known = Number((engine.met & bit) !== 0) | (Number((engine.sealed & bit) !== 0) << 1)
  const reached = Number((engine.ignored & bit) === 0 && reaches(state, node, store))
  return ((volume * 4 + incarnation) * 4 + known) * 2 + reached
}

function gatherInput(model: Model, state: State, node: number, revoked: boolean): GatherInput {
  const engine = state.engine(node)
  const { record } = model.record(engine)
  const proofs = record.unfenced.flatMap((entry): FenceProof[] => {
    const of = nodeOf(entry.node)
    if (((engine.proofs >> (3 + of)) & 1) === 1) return [{ ...entry, evidence: 'off' }]
    if (((engine.proofs >> of) & 1) === 0) return []
    return [{ ...entry, evidence: of === node ? 'lock' : 'cut' }]
  })
  const members = record.members.map((member) => memberView(model, state, node, member))
  return { record, node: nodeName(node), proofs, members, revoked, lossAccepted: false }
}

function memberView(model: Model, state: State, node: number, member: Member): MemberView {
  const store = storeOf(member)
  const engine = state.engine(node)
  const bit = 1 << store
  const own = store === cacheOf(node)
  const { storeUuid, incarnation } = memberOf(store, state.store(store).incarnation)
  const log = model.volume(state, store)?.log?.stored ?? null
  const known = { member, own, found: { storeUuid, incarnation }, damaged: false }
  if (own) return { ...known, answer: 'granted', log }
  const ignored = (engine.ignored & bit) !== 0
  if ((engine.sealed & bit) !== 0) return { ...known, answer: 'granted', log }
  if (ignored || !reaches(state, node, store)) return { ...known, found: null, answer: 'gone', log: undefined }
  if ((engine.met & bit) !== 0) return { ...known, answer: 'waiting', log }
  return { ...known, found: null, answer: 'silent', log: undefined }
}

/** 8.4: is every node whose engine may still run told, and has it stopped or lapsed? */
function isRevoked(model: Model, state: State, node: number): boolean {
  return model.record(state.engine(node)).record.unfenced.every((entry) => {
    const of = nodeOf(entry.node)
    return of === node || revokeStep(model, state, of, entry.epoch) === 'go-on'
  })
}

function revokeStep(model: Model, state: State, of: number, epoch: number): string {
  const engine = state.engine(of)
  const isOld = engine.mode !== MODE.none && model.record(engine).epoch <= epoch
  const written = Number((state.globals.revoked >> of) & 1)
  const lapsed = Number(!isOld || (engine.leases & NODE_LEASE) === 0)
  return model.rules.revoke.get(0, written, 0, lapsed)
}

function fence(model: Model, out: Successors, node: number, of: number): void {
  const { from } = out
  if (of === node) {
    if (!drained(model, from, node)) return
    out.fork().engine(node).proofs |= 1 << node
    out.add(action(ACTION.lock, node))
    return
  }
  const next = out.fork()
  next.globals.cutOff |= 1 << of
  next.engine(node).proofs |= 1 << of
  out.add(action(ACTION.fence, node, of))
  if (model.scenario.powersOff !== true) return
  const off = out.fork()
  powerOff(off, of)
  off.engine(node).proofs |= 8 << of
  out.add(action(ACTION.fenceOff, node, of))
}

/** Nothing of the host goes on, and what it had under way to the backing is over. */
function powerOff(next: State, node: number): void {
  next.globals.up &= ~(1 << node)
  next.clearEngine(node)
  for (const write of next.backingWrites) {
    if (write.write !== 0 && write.node === node) clearBackingWrite(write)
  }
}

function revoke(model: Model, out: Successors, node: number, of: number): void {
  const { from } = out
  if (of === node || ((from.globals.revoked >> of) & 1) === 1 || !reachesRegister(from, node)) return
  out.fork().globals.revoked |= 1 << of
  out.add(action(ACTION.revoke, node, of))
}

/** HELLO and SEAL; the second answer may take longer than the first. */
function seal(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const engine = from.engine(node)
  if (!reaches(from, node, store)) return
  const sender = senderOf(model, engine)
  const bit = 1 << store
  const hello = askHello(model, from, store, sender)
  if (hello === ANSWER.fenced) {
    stopFenced(out, node, store)
    return
  }
  const next = out.fork()
  const after = next.engine(node)
  if (hello === ANSWER.refused) {
    after.ignored |= bit
    out.add(action(ACTION.leaveOut, node, store))
    return
  }
  greet(model, next, store, sender)
  after.met |= bit
  if (grantsSeal(model, next, node, store)) after.sealed |= bit
  // A wait that was known before is no step.
  if ((engine.met & bit) !== 0 && (after.sealed & bit) === 0) return
  out.add(action((after.sealed & bit) === 0 ? ACTION.sealAsked : ACTION.sealed, node, store))
}

function grantsSeal(model: Model, next: State, node: number, store: number): boolean {
  const engine = next.engine(node)
  const { lease, recent } = next.store(store)
  const sender = senderOf(model, engine)
  const on = nodeOfStore(store)
  const older = next.engine(on)
  const hasOlder = on !== node && older.mode !== MODE.none && model.record(older).epoch < sender.epoch
  const predecessorOff = model.record(engine).record.unfenced.every((entry) => {
    const of = nodeOf(entry.node)
    return ((engine.proofs >> (3 + of)) & 1) === 1 || (of === node && ((engine.proofs >> of) & 1) === 1)
  })
  const volume = model.volume(next, store)
  if (volume === null) return false
  const ask = (ownEngine: 'unasked' | 'ended'): number =>
    askSeal(model, volume, sender, { lease, recent, predecessorOff, ownEngine })
  let answer = ask(hasOlder ? 'unasked' : 'ended')
  if (answer === ANSWER.endEngine) {
    next.clearEngine(on)
    answer = ask('ended')
  }
  return answer === ANSWER.done
}

function promoteFirst(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const { logName } = model.record(from.engine(node))
  const volume = model.volume(from, store)
  if (volume === null || volume.log === null) return
  if (!isCache(store)) {
    if (!reaches(from, node, store)) {
      leaveOut(out, node, store)
      return
    }
    if (askPromote(model, volume, senderOf(model, from.engine(node)), logName) !== ANSWER.done) return
  }
  keepLog(model, out.fork(), store, model.logs.promote(volume.log))
  out.add(action(ACTION.promoteFirst, node, store))
}

/** 5.1 switched off: what is pending counts as the newer log, whatever the register names. */
function promotesVoidName(model: Model, out: Successors, node: number): boolean {
  const { from } = out
  if (model.rules.flags.leavesVoidNames) return false
  for (const member of model.record(from.engine(node)).record.members) {
    const store = storeOf(member)
    const log = model.volume(from, store)?.log ?? null
    if (log === null || log.pending === 0 || ((from.engine(node).met >> store) & 1) === 0) continue
    keepLog(model, out.fork(), store, model.logs.promote(log))
    out.add(action(ACTION.promoteFirst, node, store))
    return true
  }
  return false
}

/** S3: the own cache holds that log, or begins a copy of it. */
function take(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const engine = from.engine(node)
  const held = model.volume(from, store)?.log ?? null
  if (!drained(model, from, node)) return
  // Only with a switch anything is taken from a store that holds nothing.
  const log = held ?? model.logs.freshLog(model.record(engine).logName)
  if (!isCache(store)) {
    if (!reaches(from, node, store)) {
      leaveOut(out, node, store)
      return
    }
    const volume = model.volume(from, store)
    if (volume !== null && held !== null && askFetch(model, volume, senderOf(model, engine), log.trimmed + 1) > ANSWER.already) return
  }
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
  return ((engine.met >> store) & 1) === 1 && isListed && model.lastUnder(model.volume(state, store)?.log ?? null, logName) >= 0
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
function startEmpty(model: Model, out: Successors, node: number, epoch: number): void {
  const next = out.fork()
  const engine = next.engine(node)
  const own = cacheOf(node)
  const log = model.logs.freshLog(epoch)
  next.store(own).volume = model.logs.volumeOf(epoch, epoch, 0, log).id
  engine.mode = MODE.renaming
  engine.log = log.id
  engine.joined = engine.met = 1 << own
  begin(next, node)
  out.add(action(ACTION.startEmpty, node))
}

/** S4 and S5. */
function renameSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  for (let store = 0; store < 2 * NODES; store++) {
    if (((engine.joined & ~engine.met) >> store) & 1) prepareStep(model, out, node, store)
  }
  if ((engine.joined & ~engine.met) === 0) own(model, out, node)
}

function prepareStep(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const engine = from.engine(node)
  const isOwn = store === cacheOf(node)
  const lost = !isOwn && from.store(store).incarnation !== incarnationOf(engine, store)
  if (!isOwn && (lost || !reaches(from, node, store))) {
    leaveOut(out, node, store)
    return
  }
  const log = model.log(engine)
  if (ackedOf(engine, store) < log.last) return
  const volume = model.volume(from, store)
  if (volume === null || volume.log === null) return
  const { epoch, logName } = model.record(engine)
  if (!isOwn && !model.rules.flags.keepsUntilOwned && volume.log.name === logName) {
    startsAnew(model, out, node, store)
    return
  }
  if (!isOwn) {
    const { last, lastBatch } = log
    const answer = askPrepare(model, volume, senderOf(model, engine), { authoritative: logName, name: epoch, last, lastBatch })
    if (answer === ANSWER.fenced) stopFenced(out, node, store)
    if (answer === ANSWER.refused) leaveOut(out, node, store)
    if (answer !== ANSWER.done && answer !== ANSWER.already) return
  }
  const next = out.fork()
  const prepared = model.logs.prepare(volume.log, epoch, log.last)
  keepLog(model, next, store, prepared)
  next.engine(node).met |= 1 << store
  if (isOwn) next.engine(node).log = prepared.id
  out.add(action(ACTION.prepare, node, store))
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

function leaveOut(out: Successors, node: number, store: number): void {
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
  const key = `own ${engine.joined} ${engine.incarnations} ${ownMember.incarnation} ${phase} ${lastSeq}`
  const proposed = model.records.changed(engine.record, key, (old) =>
    ownLog(old, { logUuid: uuidOf(epoch), members, phase, lastSeq, unreachable }),
  )
  changeRegister(model, out, node, { action: action(ACTION.ownLog, node), proposed })
}
