// S2 and S3: a claimant fences, seals, and takes a log. What comes next the product says (protocol/gather-table.ts); it may
// die at any point and leave everything as it is.
import type { GatherInput, GatherStep, MemberView } from '../../../csi-driver/protocol/gather-table.ts'
import { type FenceProof, gatherStep } from '../../../csi-driver/protocol/gather-table.ts'
import { fenced } from '../../../csi-driver/protocol/register-transitions.ts'
import type { Member } from '../../../csi-driver/register/record.ts'
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import { fenced as stopFenced, senderOf } from './log-steps.ts'
import type { Model } from './model.ts'
import { cacheOf, isCache, memberOf, nodeName, nodeOf, nodeOfStore, storeOf } from './record-pool.ts'
import { changeRegister } from './register-steps.ts'
import { leaveOut, startEmpty, take } from './rename-steps.ts'
import { drained } from './resume-steps.ts'
import { clearBackingWrite, MODE, NODE_LEASE, reaches, reachesRegister, type State } from './state.ts'
import { ANSWER, askHello, askPromote, askSeal, greet, keepLog } from './store-asks.ts'

export function gatherSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const step = stepOf(model, from, node)
  switch (step.step) {
    case 'get-evidence':
      fence(model, out, node, nodeOf(step.entry.node))
      break
    case 'seal':
      sealAll(model, out, node, step.pending)
      break
    case 'wait':
      sealAll(model, out, node, step.silent)
      break
    case 'revoke':
      for (const name of step.nodes) revoke(model, out, node, nodeOf(name))
      break
    case 'remove-entry':
      removeEntry(model, out, node, step)
      break
    case 'promote':
      promoteFirst(model, out, node, storeOf(step.member))
      break
    case 'take':
      if (!promotesVoidName(model, out, node)) take(model, out, node, storeOf(step.member))
      break
    case 'start-empty':
      startEmpty(model, out, node, 0)
      break
    case 'give-up':
      startEmpty(model, out, node, 1)
      break
    // Time is not modelled: whoever does not answer may answer in the next state.
    case 'ask-again':
    case 'blocked':
    case 'need-off':
      break
  }
}

function sealAll(model: Model, out: Successors, node: number, members: readonly Member[]): void {
  for (const member of members) seal(model, out, node, storeOf(member))
}

function removeEntry(
  model: Model,
  out: Successors,
  node: number,
  step: Extract<GatherStep, { step: 'remove-entry' }>,
): void {
  const { entry, evidence } = step
  const name = `fenced ${entry.node} ${entry.epoch} ${evidence}`
  const { record } = out.from.engine(node)
  const proposed = model.records.changed(record, name, (old) => fenced(old, entry, evidence))
  changeRegister(model, out, node, { action: action(ACTION.removeEntry, node, nodeOf(entry.node)), proposed })
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
  return { record, node: nodeName(node), proofs, members, revoked, lossAccepted: model.scenario.acceptsLoss === true }
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
  // Where nobody has a permission there is nothing to revoke (docs/decisions/0007).
  if (model.scenario.nodeLease !== true) return true
  return model.record(state.engine(node)).record.unfenced.every((entry) => {
    const of = nodeOf(entry.node)
    return of === node || revokeStep(model, state, of, entry.epoch) === 'go-on'
  })
}

function revokeStep(model: Model, state: State, of: number, epoch: number): string {
  const engine = state.engine(of)
  const isOld = engine.mode !== MODE.none && model.record(engine).epoch <= epoch
  const written = (state.globals.revoked >> of) & 1
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
  const { powersOff } = model.scenario
  if (powersOff !== 'always') {
    const next = out.fork()
    next.globals.cutOff |= 1 << of
    next.engine(node).proofs |= 1 << of
    out.add(action(ACTION.fence, node, of))
  }
  if (powersOff === undefined) return
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
