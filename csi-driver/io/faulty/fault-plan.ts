// The rules in force for one wrapped device or stream, and how often each has struck. Deterministic: the outcome
// depends on the rules, the seed and the order of the operations. Every rule has its own fork of the generator, so
// that adding one does not change what the others do.
import type { Prng } from '../../../base/prng.ts'
import type { Bytes } from '../../../base/units.ts'
import type { FaultEffect, FaultOperation, FaultRule } from './fault-rule.ts'

interface RuleState {
  readonly rule: FaultRule
  readonly prng: Prng
  matched: number
  struck: number
}

export class FaultPlan {
  /** For the effects: which sectors, which bits. */
  readonly prng: Prng
  private readonly target: string
  private states: RuleState[] = []
  private added = 0

  constructor(target: string, prng: Prng, rules: readonly FaultRule[] = []) {
    this.target = target
    this.prng = prng.fork(`effects of ${target}`)
    for (const rule of rules) this.add(rule)
  }

  /** Rules for other targets are ignored, so that one list can be given to every plan. */
  add(rule: FaultRule): void {
    if (rule.target !== '*' && rule.target !== this.target) return
    this.added++
    this.states.push({ rule, prng: this.prng.fork(`rule ${this.added}`), matched: 0, struck: 0 })
  }

  /** Ends all faults; what hangs goes on hanging until it is released. */
  clear(): void {
    this.states = []
  }

  /** The rules and how often each has struck. */
  list(): { rule: FaultRule; struck: number }[] {
    return this.states.map(({ rule, struck }) => ({ rule, struck }))
  }

  /**
   * What happens to this operation; null: nothing. Operations without a place (flush, connect) match every range.
   * The first rule that strikes decides, but all of them count the operation.
   */
  strike(operation: FaultOperation, position: Bytes = 0, length: Bytes = Infinity): FaultEffect | null {
    let effect: FaultEffect | null = null
    for (const state of this.states) {
      const { rule } = state
      if (rule.operation !== 'any' && rule.operation !== operation) continue
      if (position >= rule.to || position + length <= rule.from) continue
      state.matched++
      if (state.matched <= rule.begin || state.struck >= rule.count || !state.prng.chance(rule.chance)) continue
      if (effect !== null) continue
      state.struck++
      effect = rule.effect
    }
    return effect
  }
}
