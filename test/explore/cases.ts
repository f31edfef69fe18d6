// What a run of the explorer consists of, one case each: a scenario searched, a switch shown, a walk, a liveness pass. A
// case says in one line what came out, and where it failed how that came about.
import { textOf } from './actions.ts'
import { type Found, searchBreadthFirst, type SearchResult } from './breadth-first.ts'
import { Exploration } from './exploration.ts'
import { checkLiveness } from './liveness.ts'
import { violationText } from './model/checks.ts'
import { Model, type Scenario } from './model/model.ts'
import { Rules } from './model/rules.ts'
import { rulesOf, type Switch } from './switches.ts'
import { walk } from './walk.ts'

export interface CaseResult {
  readonly name: string
  readonly passed: boolean
  readonly line: string
  /** What happened, step by step; of a switch, how the rule that is off is missed. */
  readonly trace: readonly string[]
  /** For the rate. */
  readonly states: number
}

/** The product's, which many models share. */
const RULES = new Rules()

export type OnLevel = (depth: number, states: number, width: number) => void

/** The whole scenario, without a violation. */
export function exhaust(scenario: Scenario, statesMax: number, onLevel?: OnLevel): CaseResult {
  return searched(scenario, { statesMax, mustEnd: true, onLevel })
}

/** As far as the budget goes. */
export function searchLarge(scenario: Scenario, statesMax: number, onLevel?: OnLevel): CaseResult {
  return searched(scenario, { statesMax, mustEnd: false, onLevel })
}

interface Search {
  readonly statesMax: number
  readonly mustEnd: boolean
  readonly onLevel: OnLevel | undefined
}

function searched(scenario: Scenario, { statesMax, mustEnd, onLevel }: Search): CaseResult {
  const exploration = new Exploration(new Model(scenario))
  const options = onLevel === undefined ? { statesMax } : { statesMax, onLevel }
  const result = searchBreadthFirst(exploration, options)
  const passed = result.end === 'exhausted' || (result.end === 'states-max' && !mustEnd)
  return {
    name: scenario.name,
    passed,
    line: `${describe(result)}${violationOf(result.found, exploration)}`,
    trace: traceOf(result.found?.trace ?? []),
    states: result.states,
  }
}

function describe({ states, depth, end }: SearchResult): string {
  const ends = { exhausted: 'exhausted', 'states-max': 'bound reached', violation: 'VIOLATION' }
  return `states ${states} depth ${depth} ${ends[end]}`
}

function violationOf(found: Found | null, { asserted }: Exploration): string {
  if (found === null) return ''
  return `: ${violationText(found.violation)}${asserted === '' ? '' : ` (${asserted})`}`
}

function traceOf(trace: readonly number[]): string[] {
  return trace.map((action, i) => `${String(i + 1).padStart(3)}. ${textOf(action)}`)
}

/** How far a switch is looked for, and its scenario with the rule in force. */
const SWITCH_STATES_MAX = 2_000_000

export interface SwitchResult extends CaseResult {
  readonly steps: number
  /** Seen until then. */
  readonly statesOff: number
  /** What is violated with the rule off. */
  readonly violation: string
}

/** With the rule off there is a violation; with it on there is none in the same scenario. */
export function showSwitch(of: Switch): SwitchResult {
  const off = searchBreadthFirst(new Exploration(new Model(of.scenario, rulesOf(of))), { statesMax: SWITCH_STATES_MAX })
  const on = searchBreadthFirst(new Exploration(new Model(of.scenario)), { statesMax: SWITCH_STATES_MAX })
  const violation = off.found === null ? 'nothing' : violationText(off.found.violation)
  const steps = off.found?.trace.length ?? 0
  const inForce = on.found === null ? `in force: ${on.states} ${on.end}` : `but ALSO WITH THE RULE IN FORCE`
  return {
    name: of.name,
    passed: off.found !== null && on.end === 'exhausted',
    line: `off: ${violation}, ${steps} steps, ${off.states} states; ${inForce}`,
    trace: traceOf(off.found?.trace ?? []),
    states: off.states + on.states,
    steps,
    statesOff: off.states,
    violation,
  }
}

export function walkThrough(
  scenario: Scenario,
  options: { readonly seed: string; readonly steps: number },
): CaseResult {
  const powersOff = { ...scenario, powersOff: 'maybe' } as const
  const { steps, walks, found } = walk(() => new Exploration(new Model(powersOff, RULES)), options)
  return {
    name: `walk ${scenario.name}`,
    passed: found === null,
    line: `steps ${steps} walks ${walks}${found === null ? '' : ` VIOLATION: ${violationText(found.violation)}`}`,
    trace: traceOf(found?.trace ?? []),
    states: steps,
  }
}

export function showLiveness(
  scenario: Scenario,
  options: { readonly seed: string; readonly samples: number },
): CaseResult {
  // What only the proof that a host is off can end, it does end.
  const powersOff = { ...scenario, powersOff: 'maybe' } as const
  const { samples, progressed, lost, stuck } = checkLiveness(() => new Model(powersOff, RULES), options)
  return {
    name: `live ${scenario.name}`,
    passed: stuck === null,
    line: `samples ${samples} progressed ${progressed} lost ${lost}${stuck === null ? '' : ` STUCK: ${stuck.why}`}`,
    trace: traceOf(stuck?.trace ?? []),
    states: 0,
  }
}
