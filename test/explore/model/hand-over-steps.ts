// Steps of a planned hand-over (6): when it may begin the product says (protocol/hand-over-table.ts). The old owner stops
// first and serves again only where the change is settled as not applied; the new one resumes.
import { type HandOverFacts, handOverDecision } from '../../../csi-driver/protocol/hand-over-table.ts'
import { fenced, handOver } from '../../../csi-driver/protocol/register-transitions.ts'
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import type { Model } from './model.ts'
import { cacheOf, nodeName, NODES } from './record-pool.ts'
import { changeRegister } from './register-steps.ts'
import { ackedOf, LEASE, MODE, reaches, reachesRegister, type State } from './state.ts'

/** The register names this node, whose engine has not begun yet. */
export function takeUpSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const { register } = from.globals
  const { epoch, owner, record } = model.records.get(register)
  if (from.engine(node).mode !== MODE.none || owner !== node || !reachesRegister(from, node)) return
  // A change of its own must follow the acquisition of the backing (resume-steps.ts); without the entry there is none.
  if (record.phase === 'Opening' || !record.unfenced.some((entry) => entry.epoch === epoch - 1)) return
  if (model.volume(from, cacheOf(node))?.state.epoch === epoch) return
  const engine = out.fork().engine(node)
  engine.mode = MODE.resuming
  engine.record = register
  engine.current = 1
  engine.handedOver = 1
  out.add(action(ACTION.takeUp, node))
}

/** 6: stops, releases its leases, closes the backing, and only then asks the register to name the other node. */
export function handOverSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  if (from.budgets.handOvers === 0) return
  for (let to = 0; to < NODES; to++) if (to !== node) handOverTo(model, out, node, to)
}

function handOverTo(model: Model, out: Successors, node: number, to: number): void {
  const { from } = out
  const engine = from.engine(node)
  const { record } = model.record(engine)
  const isBusy = from.backingWrites.some((write) => write.write !== 0 && write.node === node)
  const { then } = handOverDecision(
    {
      phase: record.phase,
      change: engine.intent === 0 ? 'none' : 'open',
      newOwner: newOwnerFact(model, from, node, to),
      newNodeIo: record.unfenced.some((entry) => entry.node === nodeName(to)) ? 'maybe' : 'none',
      joined: engine.joined === 0 ? 'none' : 'some',
      drain: 'over',
      writes: model.owesAny(from, node) ? 'unanswered' : 'answered',
      backingIo: isBusy ? 'in-flight' : 'ended',
    },
    model.rules.tables.handOver,
  )
  if (then !== 'hand-over') return
  const lastSeq = Math.max(record.lastSeq, model.log(engine).last)
  const proposed = model.records.changed(engine.record, `hand-over ${to} ${lastSeq}`, (old) =>
    handOver(old, { to: nodeName(to), lastSeq }),
  )
  const before = (next: State): void => {
    next.budgets.handOvers -= 1
    const stopped = next.engine(node)
    for (let store = 0; store < NODES; store++) {
      const released = (stopped.leases >> store) & 1 && reaches(next, node, store)
      if (released && next.store(store).lease === LEASE.mayRun) next.store(store).lease = LEASE.released
    }
    stopped.mode = MODE.handing
    stopped.leases = 0
    stopped.cached0 = stopped.cached1 = 0
  }
  changeRegister(model, out, node, { action: action(ACTION.handOver, node, to), proposed, before })
}

function newOwnerFact(model: Model, state: State, node: number, to: number): HandOverFacts['newOwner'] {
  const engine = state.engine(node)
  const { incarnations } = model.record(engine)
  if (incarnations[to] !== state.store(to).incarnation) return 'not-listed'
  if (!reaches(state, node, to)) return 'unreachable'
  return ackedOf(engine, to) === model.log(engine).last ? 'equal' : 'behind'
}

/** The old owner has closed the backing before it asked, and says so; if it cannot, whoever opens next does. */
export function leaveSteps(model: Model, out: Successors, node: number): void {
  const engine = out.from.engine(node)
  if (engine.intent !== 0) return
  const { record } = model.record(engine)
  const entry = record.unfenced.find((listed) => listed.node === nodeName(node))
  if (entry === undefined) return
  const proposed = model.records.changed(engine.record, `closed ${entry.node} ${entry.epoch}`, (old) =>
    fenced(old, entry, 'closed'),
  )
  changeRegister(model, out, node, { action: action(ACTION.removeEntry, node, node), proposed })
}
