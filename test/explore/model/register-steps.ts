// Changes of the register and what engines learn of it: a change is answered, or applied while its reply is lost, or its
// request is delayed and lands later, unless the version has moved by then. What an engine concludes from what it reads
// the product says (register/settlement.ts).
import type { RegisterIntent, Settlement } from '../../../csi-driver/register/settlement.ts'
import { ACTION, action, FATE, withFate } from '../actions.ts'
import type { Successors } from '../successors.ts'
import type { Log } from './log-pool.ts'
import type { Model } from './model.ts'
import { cacheOf, NODES } from './record-pool.ts'
import {
  BLOCKS,
  endWrite,
  floorOf,
  MODE,
  ownCache,
  raiseFloor,
  reachesRegister,
  setAcked,
  type State,
  WRITE,
  WRITES,
  VIOLATION,
} from './state.ts'
import { keepLog } from './store-asks.ts'

export interface Change {
  /** What a trace says of it. */
  readonly action: number
  /** Number of the new record. */
  readonly proposed: number
  /** What else happens in the step. */
  readonly before?: (next: State) => void
}

/** Nothing happens where an engine must not or cannot send a change now. */
export function changeRegister(model: Model, out: Successors, node: number, change: Change): void {
  const { from } = out
  const engine = from.engine(node)
  const { proposed, before } = change
  if (engine.intent !== 0 || engine.current === 0 || !reachesRegister(from, node)) return
  const answered = out.fork()
  before?.(answered)
  setRegister(answered, proposed)
  answered.engine(node).intent = proposed
  settle(model, answered, node, proposed)
  out.add(change.action)
  const { unknownOnly } = model.scenario
  if (from.budgets.unknownOutcomes === 0 || (unknownOnly === 'add' && !isAdd(model, engine.record, proposed))) return
  const lost = out.fork()
  before?.(lost)
  lost.budgets.unknownOutcomes -= 1
  setRegister(lost, proposed)
  lost.engine(node).intent = proposed
  out.add(withFate(change.action, FATE.replyLost))
  if (from.globals.lateChange !== 0) return
  const delayed = out.fork()
  before?.(delayed)
  delayed.budgets.unknownOutcomes -= 1
  delayed.globals.lateChange = proposed
  delayed.engine(node).intent = proposed
  out.add(withFate(change.action, FATE.delayed))
}

function isAdd(model: Model, record: number, proposed: number): boolean {
  return (model.records.get(proposed).members & ~model.records.get(record).members) !== 0
}

/** A new version: whatever else was sent on top of the one before can no longer land. */
export function setRegister({ globals, engines }: State, record: number): void {
  globals.register = record
  globals.lateChange = 0
  for (const engine of engines) engine.current = 0
}

export function registerSteps(model: Model, out: Successors): void {
  for (let node = 0; node < NODES; node++) {
    const engine = out.from.engine(node)
    if (engine.mode === MODE.none || !reachesRegister(out.from, node)) continue
    if (engine.current === 0) learn(model, out, node)
    else if (engine.intent !== 0) settleOpenChange(model, out, node)
  }
  if (out.from.globals.lateChange === 0) return
  const next = out.fork()
  setRegister(next, next.globals.lateChange)
  out.add(action(ACTION.lateLands))
}

function learn(model: Model, out: Successors, node: number): void {
  const next = out.fork()
  const { register } = next.globals
  const engine = next.engine(node)
  const outcome = settlement(model, engine.record, register, engine.intent === register)
  settle(model, next, node, register)
  out.add(action(outcome === 'fenced' ? ACTION.fenced : ACTION.learn, node))
}

/** The request of this very engine can be repeated; of an intent that was found only the version can be moved. */
function settleOpenChange(model: Model, out: Successors, node: number): void {
  const engine = out.from.engine(node)
  const next = out.fork()
  if (settlement(model, engine.record, engine.record, false, 'unmoved') !== 'unsettled') {
    next.engine(node).intent = 0
    next.engine(node).found = 0
    if (engine.mode === MODE.handing) next.engine(node).mode = MODE.serving
    out.add(action(ACTION.readsOldValue, node))
    return
  }
  const applies = engine.found === 1 ? engine.record : engine.intent
  setRegister(next, applies)
  settle(model, next, node, applies)
  out.add(action(engine.found === 1 ? ACTION.moveVersion : ACTION.repeat, node))
}

/** What a read of the register says about an open change, asked with versions that stand for the case. */
function settlement(
  model: Model,
  record: number,
  seen: number,
  isOwn: boolean,
  version: 'moved' | 'unmoved' = 'moved',
): Settlement {
  const { record: base } = model.records.get(record)
  const { record: found } = model.records.get(seen)
  const intent: RegisterIntent = {
    change: 'explored',
    expectedRv: 1,
    baseEpoch: base.epoch,
    registerNonce: base.registerNonce,
    changeId: 'own',
  }
  const read = { ...found, rv: version === 'moved' ? 2 : 1, changeId: isOwn ? 'own' : 'other' }
  const row = model.rules.tables.settlement.find(({ when }) => when(intent, read))
  return row?.then ?? 'unsettled'
}

/** The engine knows that the register holds `seen` now, and nothing of it is open. */
export function settle(model: Model, next: State, node: number, seen: number): void {
  const engine = next.engine(node)
  const record = model.records.get(seen)
  if (record.epoch > model.record(engine).epoch || record.owner !== node) {
    if (engine.mode === MODE.handing && engine.intent === seen) leave(next, node, seen)
    else next.clearEngine(node)
    return
  }
  engine.record = seen
  engine.intent = 0
  engine.found = 0
  engine.current = 1
  // A hand-over that did not take effect.
  if (engine.mode === MODE.handing) engine.mode = MODE.serving
  if (engine.mode === MODE.renaming) {
    if (record.logName === record.epoch) ownNewLog(model, next, node)
    return
  }
  engine.joined &= ~record.members
  engine.learners &= ~record.members
}

/** The hand-over is settled as applied. */
function leave(next: State, node: number, seen: number): void {
  next.clearEngine(node)
  const engine = next.engine(node)
  engine.mode = MODE.leaving
  engine.record = seen
  engine.current = 1
}

/** S5 is settled: the pending name becomes the own log's, and the volume serves. */
function ownNewLog(model: Model, next: State, node: number): void {
  const engine = next.engine(node)
  engine.mode = MODE.serving
  engine.joined = engine.met = engine.sealed = engine.proofs = engine.ignored = engine.gaveUp = 0
  const log = model.logs.promote(model.log(engine))
  engine.log = log.id
  if (model.volume(next, cacheOf(node))?.log) keepLog(model, next, cacheOf(node), log)
  setAcked(engine, cacheOf(node), log.last)
  engine.destaged0 = engine.destaged1 = log.trimmed
  serve(model, next, node)
}

/** The first time that this epoch shows what it has to users. */
export function serve(model: Model, next: State, node: number): void {
  const { globals } = next
  const { epoch } = model.record(next.engine(node))
  if (epoch <= globals.served) return
  globals.served = epoch
  for (let write = 1; write <= WRITES; write++) {
    const view = next.write(write)
    const isOpen = view.state === WRITE.pending || view.state === WRITE.onBacking
    if (isOpen && view.epoch < epoch) endWrite(view, WRITE.undecided)
  }
  const log = model.log(next.engine(node))
  for (let block = 0; block < BLOCKS; block++) {
    const shows = model.over(next, log, log.last, block)
    if (shows < floorOf(globals, block)) globals.violation = VIOLATION.servesWithout
    raiseFloor(globals, block, shows)
  }
}

/** Whether the own cache is the member that the record lists. */
export function ownIsListed(model: Model, state: State, node: number, record: number): boolean {
  const known = model.records.get(record)
  return known.incarnations[cacheOf(node)] === ownCache(state, node).incarnation
}

export function ownLogOf(model: Model, state: State, node: number): Log | null {
  return model.volume(state, cacheOf(node))?.log ?? null
}
