// Random walks: deeper than a search by breadth can go, in scenarios that are too large for one. Faults are drawn more
// seldom than what else can happen. One seed gives one walk.
import { createPrng, type Prng } from '../../base/prng.ts'
import { ACTION, type ActionName, FATE, fateOf, nameOfAction } from './actions.ts'
import type { Explored, Found, Step } from './breadth-first.ts'
import { State } from './model/state.ts'
import { Successors } from './successors.ts'

/** A walk begins anew after this many steps. */
const WALK_STEPS_MAX = 250
/** One of so many faults that are drawn happens. */
const FAULT_ODDS = 6

const FAULTS: ReadonlySet<ActionName> = new Set([
  'hostDown',
  'hostDownCacheLost',
  'storeLost',
  'storeRestart',
  'cut',
  'restart',
  'endEngine',
  'claim',
  'handOver',
])

export interface WalkResult {
  readonly steps: number
  readonly walks: number
  readonly found: Found | null
}

export interface WalkOptions {
  readonly seed: string
  readonly steps: number
}

/** `start` gives something to explore for each walk, so that what one has gathered does not grow without end. */
export function walk(start: () => Explored, { seed, steps }: WalkOptions): WalkResult {
  const prng = createPrng(seed)
  let done = 0
  let walks = 0
  while (done < steps) {
    walks++
    const trace: Step[] = []
    const found = walkOnce(start(), prng, WALK_STEPS_MAX, trace)
    done += trace.length
    if (found !== null) return { steps: done, walks, found }
  }
  return { steps: done, walks, found: null }
}

/** Adds what happens to `trace`; its last state is where the walk ended. */
export function walkOnce(explored: Explored, prng: Prng, stepsMax: number, trace: Step[]): Found | null {
  const out = new Successors()
  explored.first(out.from)
  for (let i = 0; i < stepsMax; i++) {
    out.begin()
    explored.successors(out)
    if (out.count === 0) return null
    const chosen = choose(out, prng)
    const state = new State()
    state.copyFrom(out.state(chosen))
    trace.push({ action: out.action(chosen), state })
    const violation = explored.check(state)
    if (violation !== 0) return { violation, trace }
    out.from.copyFrom(state)
  }
  return null
}

/** First what kind of thing happens, then which: there are many ways to claim and only one to go on. */
function choose(out: Successors, prng: Prng): number {
  for (;;) {
    const kinds = [...new Set(Array.from({ length: out.count }, (_, i) => kindOf(out.action(i))))]
    const kind = prng.pick(kinds)
    const isFault = kind < 0 || FAULTS.has(nameOfAction(kind))
    if (isFault && kinds.length > 1 && prng.below(FAULT_ODDS) !== 0) continue
    const of = Array.from({ length: out.count }, (_, i) => i).filter((i) => kindOf(out.action(i)) === kind)
    return prng.pick(of)
  }
}

/** The action without its objects; changes of unknown outcome are all of one kind. */
function kindOf(action: number): number {
  return fateOf(action) === FATE.answered ? ACTION[nameOfAction(action)] : -1
}
