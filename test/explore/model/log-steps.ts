// Steps between an engine and the stores: batches, trims, promotions and leases. A store answers as the product's tables say.
// Every message but one is delivered and answered at once or not at all; that one batch may arrive much later.
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import type { Log, Volume } from './log-pool.ts'
import type { Model } from './model.ts'
import { cacheOf, NODES } from './record-pool.ts'
import {
  ackedOf,
  type EngineView,
  incarnationOf,
  LEASE,
  MODE,
  NODE_LEASE,
  PERMISSION,
  reaches,
  reachesRegister,
  setAcked,
  type State,
} from './state.ts'
import {
  ANSWER,
  askAppend,
  askHeartbeat,
  askHello,
  askPromote,
  askTrim,
  clearLateAppend,
  greet,
  keepLog,
} from './store-asks.ts'
import type { Sender } from '../../../csi-driver/protocol/store-table.ts'

/** Stores that get batches from the engine. */
function receivers(model: Model, state: State, node: number): number {
  const engine = state.engine(node)
  if (engine.mode === MODE.renaming) return engine.joined
  if (engine.mode === MODE.resuming) return engine.met
  return model.waited(state, node) | engine.learners
}

export function senderOf(model: Model, engine: EngineView): Sender {
  const purpose = engine.mode === MODE.claimed || engine.mode === MODE.renaming ? 'opener' : 'owner'
  return model.sender(purpose, model.record(engine).epoch, engine.run)
}

/** The life of a store that the engine means: the listed one, or for a learner the one that learns. */
export function meant(model: Model, engine: EngineView, store: number): number {
  const listed = model.record(engine).incarnations[store] as number
  return listed === 0 || ((engine.learners | engine.joined) >> store) & 1 ? incarnationOf(engine, store) : listed
}

export function logSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  const to = receivers(model, from, node)
  if ((to >> cacheOf(node)) & 1) appendOwn(model, out, node)
  for (let store = 0; store < NODES; store++) {
    if (((to >> store) & 1) === 0 || !reaches(from, node, store)) continue
    if (from.store(store).incarnation !== meant(model, engine, store) && !model.rules.acceptsOtherLife) continue
    storeSteps(model, out, node, store)
  }
}

function appendOwn(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  const log = model.log(engine)
  const own = model.volume(from, cacheOf(node))?.log ?? null
  // A cache that was lost takes nothing until a new one has been formatted.
  if (own === null || engine.ackedOwn >= log.last) return
  const seq = engine.ackedOwn + 1
  const next = out.fork()
  setAcked(next.engine(node), cacheOf(node), seq)
  if (own.last < seq) keepLog(model, next, cacheOf(node), model.logs.append(own, log.batches[seq] as number))
  out.add(action(ACTION.appendOwn, node, seq))
}

function storeSteps(model: Model, out: Successors, node: number, store: number): void {
  const volume = model.volume(out.from, store)
  const engine = out.from.engine(node)
  const sender = senderOf(model, engine)
  if (volume === null || volume.state.epoch !== sender.epoch || volume.state.run !== sender.run) {
    hello(model, out, node, store)
    return
  }
  if (volume.log !== null) {
    if (engine.mode === MODE.serving && promote(model, out, node, { store, volume })) return
    append(model, out, node, { store, volume })
    if (engine.mode !== MODE.renaming) trim(model, out, node, { store, volume })
  }
  if (engine.mode === MODE.serving) heartbeat(model, out, node, { store, volume })
}

interface At {
  readonly store: number
  readonly volume: Volume
}

/** A store that has not met this engine: in another life than the one that is meant, or promised to a newer epoch. */
function hello(model: Model, out: Successors, node: number, store: number): void {
  const sender = senderOf(model, out.from.engine(node))
  const answer = askHello(model, out.from, store, sender)
  if (answer === ANSWER.fenced) fenced(out, node, store)
  if (answer !== ANSWER.done) return
  greet(model, out.fork(), store, sender)
  out.add(action(ACTION.hello, node, store))
}

export function fenced(out: Successors, node: number, store: number): void {
  out.fork().clearEngine(node)
  out.add(action(ACTION.refused, node, store))
}

/** True: everything else waits for it. */
function promote(model: Model, out: Successors, node: number, { store, volume }: At): boolean {
  const engine = out.from.engine(node)
  const log = volume.log as Log
  const { name } = model.log(engine)
  if (log.pending !== name) return false
  if (askPromote(model, volume, senderOf(model, engine), name) !== ANSWER.done) return false
  keepLog(model, out.fork(), store, model.logs.promote(log))
  out.add(action(ACTION.promote, node, store))
  return true
}

function append(model: Model, out: Successors, node: number, { store, volume }: At): void {
  const { from } = out
  const engine = from.engine(node)
  const log = model.log(engine)
  const seq = ackedOf(engine, store) + 1
  if (seq > log.last || (seq <= log.trimmed && model.rules.flags.learnerJumps)) return
  const batch = model.logs.batch(model.logs.ancestor(log.lastBatch, seq))
  const sender = senderOf(model, engine)
  const answer = askAppend(model, volume, sender, batch)
  if (answer === ANSWER.fenced) fenced(out, node, store)
  else if (answer === ANSWER.already) {
    setAcked(out.fork().engine(node), store, seq)
    out.add(action(ACTION.appended, node, store, seq))
  } else if (answer === ANSWER.done) {
    const next = out.fork()
    keepLog(model, next, store, model.logs.append(volume.log as Log, batch.id))
    out.add(action(ACTION.append, node, store, seq))
    if (from.budgets.lateAppends === 0 || from.lateAppend.to !== 0) return
    const late = out.fork()
    late.budgets.lateAppends -= 1
    Object.assign(late.lateAppend, {
      to: store + 1,
      epoch: sender.epoch,
      run: sender.run,
      opener: Number(sender.purpose === 'opener'),
      batch: batch.id,
    })
    out.add(action(ACTION.appendDelayed, node, store, seq))
  }
}

function trim(model: Model, out: Successors, node: number, { store, volume }: At): void {
  const engine = out.from.engine(node)
  const { trimmed } = model.log(engine)
  const log = volume.log as Log
  if (log.trimmed >= trimmed || ackedOf(engine, store) < trimmed) return
  if (askTrim(model, volume, senderOf(model, engine), trimmed) !== ANSWER.done) return
  keepLog(model, out.fork(), store, model.logs.trim(log, trimmed))
  out.add(action(ACTION.trim, node, store, trimmed))
}

function heartbeat(model: Model, out: Successors, node: number, { store, volume }: At): void {
  const { from } = out
  const engine = from.engine(node)
  const bit = 1 << store
  if (((model.standing(from, node).leases | engine.joined) & bit) === 0) return
  if ((engine.leases & bit) !== 0 && from.store(store).lease === LEASE.mayRun) return
  const answer = askHeartbeat(model, volume, senderOf(model, engine))
  if (answer !== ANSWER.done) return
  const next = out.fork()
  next.engine(node).leases |= bit
  next.store(store).lease = LEASE.mayRun
  out.add(action(ACTION.heartbeat, node, store))
}

/** Leases end on the owner's side first; the store's clock is asked only while somebody wants its seal. */
export function leaseSteps(model: Model, out: Successors): void {
  const { from } = out
  let used = 0
  let wanted = 0
  for (let node = 0; node < NODES; node++) {
    const engine = from.engine(node)
    used |= engine.leases
    if (engine.mode === MODE.claimed) wanted |= engine.met & ~engine.sealed
    for (let store = 0; store < NODES; store++) lapse(model, out, node, store)
    if (engine.mode === MODE.serving && model.scenario.nodeLease === true) nodeLease(model, out, node)
  }
  for (let store = 0; store < NODES; store++) {
    if (((wanted & ~used) >> store) & 1) storeLease(out, store)
  }
}

function lapse(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const engine = from.engine(node)
  if (((engine.leases >> store) & 1) === 0) return
  const promise = model.volume(from, store)?.state.promise ?? 0
  const answers =
    reaches(from, node, store) &&
    promise <= model.record(engine).epoch &&
    (from.store(store).incarnation === meant(model, engine, store) || model.rules.acceptsOtherLife)
  if (answers) return
  out.fork().engine(node).leases &= ~(1 << store)
  out.add(action(ACTION.leaseLapses, node, store))
}

function storeLease(out: Successors, store: number): void {
  const { lease, recent } = out.from.store(store)
  if (lease !== LEASE.none) {
    out.fork().store(store).lease = LEASE.none
    out.add(action(ACTION.storeLeaseOver, store))
  }
  if (recent === 0) return
  out.fork().store(store).recent = 0
  out.add(action(ACTION.storeOldEnough, store))
}

/** 8.4; kept only by engines to which it matters. */
function nodeLease(model: Model, out: Successors, node: number): void {
  const { from } = out
  const { leases } = from.engine(node)
  const revoked = ((from.globals.revoked >> node) & 1) === 1
  const register = reachesRegister(from, node)
  if ((leases & NODE_LEASE) !== 0 && (!register || revoked)) {
    out.fork().engine(node).leases &= ~(NODE_LEASE | PERMISSION)
    out.add(action(ACTION.nodeLeaseLapses, node))
  }
  if (!register || !model.standing(from, node).alone) return
  if (revoked) {
    out.fork().clearEngine(node)
    out.add(action(ACTION.fenced, node))
  } else if ((leases & NODE_LEASE) === 0) {
    out.fork().engine(node).leases |= NODE_LEASE
    out.add(action(ACTION.nodeLease, node))
  } else if ((leases & PERMISSION) === 0 && from.engine(node).current === 1) {
    out.fork().engine(node).leases |= PERMISSION
    out.add(action(ACTION.permission, node))
  }
}

/** The delayed batch arrives, on a connection that a newer HELLO may have ended. */
export function lateAppendSteps(model: Model, out: Successors): void {
  const { to, epoch, run, opener, batch: id, ended } = out.from.lateAppend
  if (to === 0) return
  const store = to - 1
  const next = out.fork()
  clearLateAppend(next)
  const volume = model.volume(next, store)
  const batch = model.logs.batch(id)
  const sender = { ...model.sender(opener === 1 ? 'opener' : 'owner', epoch, run), present: ended === 0 }
  const stored = volume?.log != null && askAppend(model, volume, sender, batch) === ANSWER.done
  if (stored) keepLog(model, next, store, model.logs.append(volume.log, id))
  out.add(action(stored ? ACTION.lateStored : ACTION.lateDropped, store, batch.seq))
}
