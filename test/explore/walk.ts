// Random walks: deeper than a search by breadth can go, in scenarios that are too large for one. Faults are drawn more
// seldom than what else can happen. One seed gives one walk.
import { createPrng, type Prng } from '../../base/prng.ts'
import { ACTION, codeOf, FATE, fateOf } from './actions.ts'
import type { Explored, Found } from './breadth-first.ts'
import type { State } from './model/state.ts'
import { Successors } from './successors.ts'

/** A walk begins anew after this many steps. */
const WALK_STEPS_MAX = 250
/** One of so many faults that are drawn happens. */
const FAULT_ODDS = 20

const FAULTS: ReadonlySet<number> = new Set([
  ACTION.hostDown,
  ACTION.hostDownCacheLost,
  ACTION.storeLost,
  ACTION.storeRestart,
  ACTION.cut,
  ACTION.restart,
  ACTION.endEngine,
  ACTION.claim,
  ACTION.handOver,
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
  const walker = new Walker(prng)
  let done = 0
  let walks = 0
  while (done < steps) {
    walks++
    const violation = walker.walk(start(), WALK_STEPS_MAX)
    done += walker.trace.length
    if (violation !== 0) return { steps: done, walks, found: { violation, trace: walker.trace } }
  }
  return { steps: done, walks, found: null }
}

const KINDS = 1 << 8
/** All changes whose outcome is unknown. */
const UNKNOWN = KINDS - 1

export class Walker {
  /** What happened in the last walk. */
  trace: number[] = []
  readonly #out = new Successors()
  readonly #prng: Prng
  readonly #ofKind = new Int32Array(KINDS)

  constructor(prng: Prng) {
    this.#prng = prng
  }

  /** Where the last walk ended. */
  get end(): State {
    return this.#out.from
  }

  /** 0, or what is violated at its end. */
  walk(explored: Explored, stepsMax: number): number {
    explored.first(this.#out.from)
    return this.walkOn(explored, { stepsMax, isGoal: () => false })
  }

  /** From where it stands; it ends also where `isGoal` is reached. */
  walkOn(explored: Explored, { stepsMax, isGoal }: { stepsMax: number; isGoal: (state: State) => boolean }): number {
    const out = this.#out
    this.trace = []
    while (this.trace.length < stepsMax && !isGoal(out.from)) {
      out.begin()
      explored.successors(out)
      if (out.count === 0) return 0
      const chosen = this.#choose()
      this.trace.push(out.action(chosen))
      out.from.copyFrom(out.state(chosen))
      const violation = explored.check(out.from)
      if (violation !== 0) return violation
    }
    return 0
  }

  /** First what kind of thing happens, then which: there are many ways to claim and only one to go on. */
  #choose(): number {
    const kinds = this.#countKinds()
    for (;;) {
      const kind = this.#nthKind(this.#prng.below(kinds))
      const isFault = kind === UNKNOWN || FAULTS.has(kind)
      if (isFault && kinds > 1 && this.#prng.below(FAULT_ODDS) !== 0) continue
      let left = this.#prng.below(this.#ofKind[kind] as number)
      for (let i = 0; ; i++) if (kindOf(this.#out.action(i)) === kind && left-- === 0) return i
    }
  }

  #countKinds(): number {
    this.#ofKind.fill(0)
    let kinds = 0
    for (let i = 0; i < this.#out.count; i++) {
      const kind = kindOf(this.#out.action(i))
      if (this.#ofKind[kind] === 0) kinds++
      this.#ofKind[kind] = (this.#ofKind[kind] as number) + 1
    }
    return kinds
  }

  #nthKind(n: number): number {
    let left = n
    for (let kind = 0; ; kind++) if (this.#ofKind[kind] !== 0 && left-- === 0) return kind
  }
}

/** The action without its objects. */
function kindOf(action: number): number {
  return fateOf(action) === FATE.answered ? codeOf(action) : UNKNOWN
}
