// The model as something to be searched: first state, all steps of all parts, checks.
import { ACTION, action } from './actions.ts'
import type { Explored } from './breadth-first.ts'
import { destageSteps, landingSteps } from './model/backing-steps.ts'
import { check } from './model/checks.ts'
import { claimSteps } from './model/claim-steps.ts'
import { faultSteps } from './model/fault-steps.ts'
import { gatherSteps } from './model/gather-steps.ts'
import { handOverSteps, leaveSteps, takeUpSteps } from './model/hand-over-steps.ts'
import { lateAppendSteps, leaseSteps, logSteps } from './model/log-steps.ts'
import { memberSteps } from './model/member-steps.ts'
import type { Model } from './model/model.ts'
import { ChangeAsserted, NODES } from './model/record-pool.ts'
import { registerSteps } from './model/register-steps.ts'
import { renameSteps } from './model/rename-steps.ts'
import { crashSteps, resumeSteps } from './model/resume-steps.ts'
import { isUp, MODE, type State, VIOLATION } from './model/state.ts'
import { writeSteps } from './model/write-steps.ts'
import type { Successors } from './successors.ts'

export class Exploration implements Explored {
  readonly model: Model

  constructor(model: Model) {
    this.model = model
  }

  first(state: State): void {
    this.model.first(state)
  }

  /** Of the change that asserted last. */
  asserted = ''

  successors(out: Successors): void {
    try {
      this.#successors(out)
    } catch (error) {
      if (!(error instanceof ChangeAsserted)) throw error
      this.asserted = error.message
      out.fork().globals.violation = VIOLATION.asserts
      out.add(action(ACTION.asserts))
    }
  }

  #successors(out: Successors): void {
    const { model } = this
    for (let node = 0; node < NODES; node++) if (isUp(out.from, node)) nodeSteps(model, out, node)
    leaseSteps(model, out)
    registerSteps(model, out)
    landingSteps(model, out)
    lateAppendSteps(model, out)
    faultSteps(model, out)
  }

  check(state: State): number {
    return check(this.model, state)
  }
}

function nodeSteps(model: Model, out: Successors, node: number): void {
  const { mode, intent } = out.from.engine(node)
  if (mode === MODE.serving) {
    writeSteps(model, out, node)
    destageSteps(model, out, node)
    memberSteps(model, out, node)
    handOverSteps(model, out, node)
  }
  if (mode === MODE.serving || mode === MODE.renaming) logSteps(model, out, node)
  // An opener changes nothing while it does not know what became of its last change.
  if (mode === MODE.claimed && intent === 0) gatherSteps(model, out, node)
  if (mode === MODE.renaming && intent === 0) renameSteps(model, out, node)
  if (mode === MODE.resuming) resumeSteps(model, out, node)
  if (mode === MODE.leaving) leaveSteps(model, out, node)
  if (mode === MODE.none) takeUpSteps(model, out, node)
  crashSteps(model, out, node)
  claimSteps(model, out, node)
}
