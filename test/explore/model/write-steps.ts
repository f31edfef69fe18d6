// Steps of an engine that serves: what the application writes is logged or sent to the backing, acknowledged and read.
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import { SUPERSEDES } from './log-pool.ts'
import type { Model } from './model.ts'
import { BACKING_WRITE_KIND, CHANGE, SERVING } from './rules.ts'
import { appendRecord, canAppend, isRecorded } from './engine-log.ts'
import {
  BLOCKS,
  destagedOf,
  endWrite,
  floorOf,
  raiseFloor,
  ROUTE,
  setCached,
  type State,
  WRITE,
  WRITES,
  VIOLATION,
} from './state.ts'

/** Positions in the domain of `route`. */
const PHASE_ROUTE = { log: 0, logAndBacking: 1, backing: 2, wait: 3 } as const

export function writeSteps(model: Model, out: Successors, node: number): void {
  issue(model, out, node)
  for (let write = 1; write <= WRITES; write++) {
    if (!model.isOwed(out.from, node, write)) continue
    sendAgain(model, out, node, write)
    submitThrough(model, out, node, write)
    logSupersede(model, out, node, write)
    acknowledge(model, out, node, write)
  }
  for (let block = 0; block < BLOCKS; block++) read(model, out, node, block)
}

function issue(model: Model, out: Successors, node: number): void {
  const { from } = out
  const write = nextWrite(from)
  if (write === 0 || from.budgets.writes === 0 || model.holdsAppendsBack(from, node)) return
  const block = model.blockOf(write)
  if (model.scenario.concurrent !== true && owesBlock(model, from, node, block)) return
  // Which of two writes that nobody has answered comes last is nobody's business: what is sent again goes first.
  if (olderIsMissing(model, from, node, write)) return
  const route = model.phaseRoute(from.engine(node))
  if (route === PHASE_ROUTE.wait) return
  if (route === PHASE_ROUTE.backing) issueThrough(model, out, node, { write, route: ROUTE.backing })
  else if (canAppend(model, from, node)) {
    const next = issued(model, out, node, { write, route: ROUTE.log })
    appendRecord(model, next, node, write)
    out.add(action(ACTION.write, node, write))
  }
  if (route === PHASE_ROUTE.log && from.budgets.bypasses > 0) issueBypass(model, out, node, write)
}

function nextWrite(state: State): number {
  for (let write = 1; write <= WRITES; write++) if (state.write(write).state === WRITE.unissued) return write
  return 0
}

function owesBlock(model: Model, state: State, node: number, block: number): boolean {
  for (let write = 1; write <= WRITES; write++) {
    if (model.blockOf(write) === block && model.isOwed(state, node, write)) return true
  }
  return false
}

interface Issue {
  readonly write: number
  readonly route: number
}

function issued(model: Model, out: Successors, node: number, { write, route }: Issue): State {
  const next = out.fork()
  const view = next.write(write)
  view.state = WRITE.pending
  view.node = node
  view.epoch = model.record(next.engine(node)).epoch
  view.run = next.engine(node).run
  view.route = route
  next.budgets.writes -= 1
  return next
}

function issueThrough(model: Model, out: Successors, node: number, what: Issue): void {
  issued(model, out, node, what)
  out.add(action(ACTION.write, node, what.write))
}

/** A write that the engine would rather not log: a long sequential one, or a big discard. */
function issueBypass(model: Model, out: Successors, node: number, write: number): void {
  const { supersedes } = model.rules.flags
  const { from } = out
  if (supersedes === 'never') {
    if (throughDecision(model, from, node, model.blockOf(write)) === 'log') return
    const next = issued(model, out, node, { write, route: ROUTE.backing })
    next.budgets.bypasses -= 1
  } else {
    if (supersedes === 'before' && !canAppend(model, from, node)) return
    const next = issued(model, out, node, { write, route: ROUTE.bypass })
    next.budgets.bypasses -= 1
    if (supersedes === 'before') appendRecord(model, next, node, SUPERSEDES + write)
  }
  out.add(action(ACTION.bypass, node, write))
}

function throughDecision(model: Model, state: State, node: number, block: number): string {
  const inFlight = Number(model.backingWriteInFlight(state, node, block))
  const records = Number(isRecorded(model, state, node, block))
  const frozen = Number(model.change(state, node) === CHANGE.freezes)
  return model.rules.backingWrite.get(0, BACKING_WRITE_KIND.through, inFlight, records, 0, frozen)
}

/** After a restart: requests that the kernel sends again and that the log does not hold, oldest first. */
function sendAgain(model: Model, out: Successors, node: number, write: number): void {
  const { from } = out
  const engine = from.engine(node)
  const { route, run } = from.write(write)
  if (route !== ROUTE.log || run === engine.run || model.holdsAppendsBack(from, node)) return
  if (model.find(model.log(engine), write) !== 0) return
  if (olderIsMissing(model, from, node, write)) return
  const phaseRoute = model.phaseRoute(engine)
  if (phaseRoute === PHASE_ROUTE.backing) {
    const next = out.fork().write(write)
    next.route = ROUTE.backing
    next.run = engine.run
    out.add(action(ACTION.reroute, node, write))
  } else if (phaseRoute !== PHASE_ROUTE.wait && canAppend(model, from, node)) {
    const next = out.fork()
    next.write(write).run = engine.run
    appendRecord(model, next, node, write)
    out.add(action(ACTION.logAgain, node, write))
  }
}

function olderIsMissing(model: Model, state: State, node: number, write: number): boolean {
  const log = model.log(state.engine(node))
  for (let older = 1; older < write; older++) {
    const isSame = model.blockOf(older) === model.blockOf(write) && model.isOwed(state, node, older)
    if (isSame && model.find(log, older) === 0) return true
  }
  return false
}

function submitThrough(model: Model, out: Successors, node: number, write: number): void {
  const { from } = out
  const { route, state: is } = from.write(write)
  if (route === ROUTE.log || is !== WRITE.pending) return
  if (from.backingWrites.some((other) => other.write === write && other.node === node)) return
  const block = model.blockOf(write)
  const log = model.log(from.engine(node))
  if (route === ROUTE.bypass && model.rules.flags.supersedes === 'before') {
    const seq = model.find(log, write)
    if (seq === 0 || seq > model.committed(from, node)) return
  }
  const decision =
    route === ROUTE.bypass && !model.backingWriteInFlight(from, node, block)
      ? 'submit'
      : throughDecision(model, from, node, block)
  if (decision === 'log' && model.phaseRoute(from.engine(node)) < PHASE_ROUTE.backing && canAppend(model, from, node)) {
    const next = out.fork()
    next.write(write).route = ROUTE.log
    appendRecord(model, next, node, write)
    out.add(action(ACTION.rerouteToLog, node, write))
  }
  if (decision !== 'submit') return
  const next = out.fork()
  if (!startBackingWrite(model, next, node, { write, seq: 0, through: 1 })) return
  setCached(next.engine(node), block, 0)
  out.add(action(ACTION.submitThrough, node, write))
}

/** False: as many are in flight as the model has room for. */
export function startBackingWrite(
  model: Model,
  next: State,
  node: number,
  { write, seq, through }: { write: number; seq: number; through: number },
): boolean {
  const free = next.backingWrites.find((other) => other.write === 0)
  if (free === undefined) return false
  const engine = next.engine(node)
  free.write = write
  free.node = node
  free.epoch = model.record(engine).epoch
  free.run = engine.run
  free.seq = seq
  free.through = through
  return true
}

function logSupersede(model: Model, out: Successors, node: number, write: number): void {
  const { from } = out
  const { route, state: is } = from.write(write)
  if (route !== ROUTE.bypass || is !== WRITE.onBacking || model.rules.flags.supersedes !== 'after') return
  if (model.find(model.log(from.engine(node)), write) !== 0 || !canAppend(model, from, node)) return
  appendRecord(model, out.fork(), node, SUPERSEDES + write)
  out.add(action(ACTION.logSupersede, node, write))
}

function acknowledge(model: Model, out: Successors, node: number, write: number): void {
  const { from } = out
  if (!mayAcknowledge(model, from, node, write)) return
  const next = out.fork()
  const { route } = next.write(write)
  const engine = next.engine(node)
  endWrite(next.write(write), WRITE.answered)
  if (model.record(engine).epoch < next.globals.served) next.globals.violation = VIOLATION.oldAcknowledges
  raiseFloor(next.globals, model.blockOf(write), write)
  // What is on the backing, too, may stay readable without its record.
  if (route !== ROUTE.log || model.phaseRoute(engine) !== PHASE_ROUTE.log)
    setCached(engine, model.blockOf(write), write)
  out.add(action(ACTION.acknowledge, node, write))
}

function mayAcknowledge(model: Model, state: State, node: number, write: number): boolean {
  const engine = state.engine(node)
  const { route, state: is } = state.write(write)
  const seq = model.find(model.log(engine), write)
  const copies = seq !== 0 && seq <= model.committed(state, node)
  if (route === ROUTE.bypass && !copies) return false
  const standing = model.standing(state, node)
  const written = route === ROUTE.log ? destagedOf(engine, model.blockOf(write)) >= seq : is === WRITE.onBacking
  const decision = model.rules.acknowledge.get(
    0,
    model.change(state, node),
    Number(model.serving(state, node) !== SERVING.nothing),
    route === ROUTE.log ? model.phaseRoute(engine) : PHASE_ROUTE.backing,
    Number(standing.maybeClean),
    Number(copies),
    Number(written),
  )
  return decision === 'acknowledge' && (route !== ROUTE.log || seq !== 0)
}

function read(model: Model, out: Successors, node: number, block: number): void {
  const { from } = out
  if (model.rules.flags.readsWaitForBypass && model.bypassUnderWay(from, node, block)) return
  const content = model.reads(from, node, block)
  if (content <= floorOf(from.globals, block)) return
  const next = out.fork()
  raiseFloor(next.globals, block, content)
  out.add(action(ACTION.read, node, block, content))
}
