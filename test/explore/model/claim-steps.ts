// S1: a node claims the next epoch. Which of the members will not answer in time is drawn here, once for the whole opening.
import { claim } from '../../../csi-driver/protocol/register-transitions.ts'
import { ACTION, action, FATE, withFate } from '../actions.ts'
import type { Successors } from '../successors.ts'
import type { Model } from './model.ts'
import { nodeName } from './record-pool.ts'
import { setRegister } from './register-steps.ts'
import { MODE, reachesRegister, type State } from './state.ts'

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
