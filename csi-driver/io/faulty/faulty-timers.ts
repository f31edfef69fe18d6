// Timers that go off late or never, as a FaultPlan says (op=timer): an overloaded host, a stopped virtual machine.
// Never early: the port promises "not before", and no code may be tested against less.
import type { Timer, Timers } from '../../../base/clock.ts'
import type { Ms } from '../../../base/units.ts'
import type { FaultPlan } from './fault-plan.ts'

const NEVER: Timer = { cancel() {} }

export class FaultyTimers implements Timers {
  private readonly timers: Timers
  private readonly plan: FaultPlan

  constructor(timers: Timers, plan: FaultPlan) {
    this.timers = timers
    this.plan = plan
  }

  after(delayMs: Ms, callback: () => void): Timer {
    const effect = this.plan.strike('timer')
    if (effect?.kind === 'hang' || effect?.kind === 'lost') return NEVER
    return this.timers.after(delayMs + (effect?.kind === 'delay' ? effect.delayMs : 0), callback)
  }

  /** The end of the present callback is not subject to faults: no host makes it late by itself. */
  soon(callback: () => void): void {
    this.timers.soon(callback)
  }
}
