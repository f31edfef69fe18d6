// Liveness: states of random walks are healed (hosts and links up, no further fault), and from each it must be possible to
// come to a volume that is served, with every write of its owner answered; unless no copy of what was acknowledged is
// left: then nobody may ever serve it as if nothing had been lost.
import { createPrng } from '../../base/prng.ts'
import { Digest } from './digest.ts'
import { Exploration } from './exploration.ts'
import type { Model } from './model/model.ts'
import { NODES, storeOf } from './model/record-pool.ts'
import { SERVING } from './model/rules.ts'
import { BUDGETS, type Budget, MODE, State } from './model/state.ts'
import { Successors } from './successors.ts'
import { Walker } from './walk.ts'

const SAMPLE_STEPS_MIN = 5
const SAMPLE_STEPS_MAX = 80
/** Random schedules from a healed state before a search by breadth. */
const SCHEDULES = 40
const SCHEDULE_STEPS = 150
const SEARCH_STATES_MAX = 100_000
/** What may still happen: the user opens the volume, and learners come. */
const HEALED: Readonly<Partial<Record<Budget, number>>> = { claims: 2, learners: 2 }

export interface LivenessResult {
  readonly samples: number
  readonly progressed: number
  /** No copy was left, and nobody served the volume. */
  readonly lost: number
  /** How the first state came about from which nothing leads on, or in which a lost volume was served. */
  readonly stuck: { readonly trace: readonly number[]; readonly why: string } | null
}

export interface LivenessOptions {
  readonly seed: string
  readonly samples: number
}

export function checkLiveness(start: () => Model, { seed, samples }: LivenessOptions): LivenessResult {
  const prng = createPrng(seed)
  const walker = new Walker(prng)
  let progressed = 0
  let lost = 0
  for (let sample = 0; sample < samples; sample++) {
    const model = start()
    const steps = SAMPLE_STEPS_MIN + prng.below(SAMPLE_STEPS_MAX - SAMPLE_STEPS_MIN)
    if (walker.walk(new Exploration(model), steps) !== 0) continue
    const { trace } = walker
    const healed = healedOf(walker.end)
    const isLost = !hasCopy(model, healed)
    // The owner itself may go on with what it still has; whoever comes after it must not (checks.ts).
    const goesWrong = isLost
      ? schedules(model, healed, walker, () => false) === 'violated'
      : !leadsOn(model, healed, walker)
    if (goesWrong) {
      const why = isLost
        ? 'no copy was left, and it was served all the same'
        : 'nothing leads to a volume that is served'
      return { samples: sample + 1, progressed, lost, stuck: { trace, why } }
    }
    if (isLost) lost++
    else progressed++
  }
  return { samples, progressed, lost, stuck: null }
}

function healedOf(end: State): State {
  const healed = new State()
  healed.copyFrom(end)
  for (const budget of Object.keys(BUDGETS) as Budget[]) healed.budgets[budget] = HEALED[budget] ?? 0
  healed.globals.links = 0b111_111
  healed.globals.up = 0b111
  return healed
}

/** Is there a listed member, in the life that is listed, with the log that the register names? A clean volume needs none. */
function hasCopy(model: Model, state: State): boolean {
  const { record, dirty, logName } = model.records.get(state.globals.register)
  if (!dirty) return true
  return record.members.some((member) => {
    const store = storeOf(member)
    if (state.store(store).incarnation !== member.incarnation) return false
    return model.lastUnder(model.volume(state, store)?.log ?? null, logName) >= 0
  })
}

/** Somebody serves in the newest epoch, nothing is open, and no write of his waits for an answer. */
function isServed(model: Model, state: State): boolean {
  const newest = model.records.get(state.globals.register).epoch
  for (let node = 0; node < NODES; node++) {
    const engine = state.engine(node)
    if (engine.mode !== MODE.serving || model.record(engine).epoch !== newest || engine.intent !== 0) continue
    if (model.serving(state, node) !== SERVING.nothing && !model.owesAny(state, node)) return true
  }
  return false
}

function leadsOn(model: Model, healed: State, walker: Walker): boolean {
  return schedules(model, healed, walker, (state) => isServed(model, state)) === 'reached' || searched(model, healed)
}

/** Does any of some random schedules reach the goal, or a state that must not be? */
function schedules(
  model: Model,
  healed: State,
  walker: Walker,
  isGoal: (state: State) => boolean,
): 'reached' | 'not-reached' | 'violated' {
  const explored = new Exploration(model)
  for (let i = 0; i < SCHEDULES; i++) {
    walker.end.copyFrom(healed)
    if (walker.walkOn(explored, { stepsMax: SCHEDULE_STEPS, isGoal }) !== 0) return 'violated'
    if (isGoal(walker.end)) return 'reached'
  }
  return 'not-reached'
}

function searched(model: Model, healed: State): boolean {
  const explored = new Exploration(model)
  const out = new Successors()
  const digest = new Digest()
  const seen = new Set<bigint>()
  let level: State[] = [healed]
  while (level.length > 0 && seen.size < SEARCH_STATES_MAX) {
    const next: State[] = []
    for (const state of level) {
      if (isServed(model, state)) return true
      out.from.copyFrom(state)
      out.begin()
      explored.successors(out)
      for (let i = 0; i < out.count; i++) {
        digest.of(out.state(i))
        const key = (BigInt(digest.high) << 32n) | BigInt(digest.low)
        if (seen.has(key)) continue
        seen.add(key)
        const copy = new State()
        copy.copyFrom(out.state(i))
        next.push(copy)
      }
    }
    level = next
  }
  return false
}
