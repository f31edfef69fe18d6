// What is searched: how many replicas, and how often each fault and each wish of the user may happen. `x*` are sized to be
// exhausted, `good*` are larger and searched as far as the budget goes; those of the switches stand in switches.ts.
import type { Scenario } from './model/model.ts'
import type { Budget } from './model/state.ts'

/** Writes 1 and 2 go to one block, write 3 to another. */
export const BLOCKS_OF_WRITES = [0, 0, 1]

type Rest = Partial<Omit<Scenario, 'name' | 'replicas' | 'budgets'>>

export function scenario(
  name: string,
  replicas: number,
  budgets: Readonly<Partial<Record<Budget, number>>>,
  rest: Rest = {},
): Scenario {
  return { name, replicas, budgets, blocks: BLOCKS_OF_WRITES, ...rest }
}

// biome-ignore format: a table
export const EXHAUSTED: readonly Scenario[] = [
  scenario('x1-crash', 1, { writes: 1, hostCrashes: 1, claims: 1 }),
  scenario('x1-cut', 1, { writes: 1, cuts: 1, claims: 1 }),
  scenario('x1-loss', 1, { writes: 1, storeLosses: 1, claims: 1 }),
  scenario('x1-restart', 1, { writes: 2, engineCrashes: 1, removals: 1 }),
  scenario('x1-restart-drain', 1, { writes: 2, engineCrashes: 1, policyChanges: 1 }),
  scenario('x1-restart-claim', 1, { writes: 1, engineCrashes: 1, claims: 1 }),
  scenario('x1-unknown', 1, { writes: 1, engineCrashes: 1, unknownOutcomes: 1, removals: 1, learners: 1 }),
  scenario('x1-unknown-claim', 1, { writes: 1, unknownOutcomes: 1, claims: 1 }),
  scenario('x1-handoff', 1, { writes: 1, engineCrashes: 1, handOvers: 1 }),
  scenario('x1-handoff-claim', 1, { writes: 2, claims: 1, handOvers: 1 }),
  scenario('x1-handoff-unknown', 1, { writes: 1, unknownOutcomes: 1, claims: 1, handOvers: 1 }),
  scenario('x1-bypass', 1, { writes: 2, engineCrashes: 1, bypasses: 1 }),
  scenario('x1-drain', 1, { writes: 2, claims: 1, policyChanges: 1 }),
  scenario('x1-learn', 1, { writes: 2, removals: 1, learners: 1, lateAppends: 1 }),
  scenario('x1-twoclaims', 1, { writes: 1, claims: 2 }),
  scenario('x1-off', 1, { writes: 1, claims: 2 }, { powersOff: 'maybe' }),
  scenario('x1-concurrent', 1, { writes: 2, engineCrashes: 1, claims: 1 }, { concurrent: true }),
  scenario('x0-drain', 0, { writes: 2, engineCrashes: 1, unknownOutcomes: 1, policyChanges: 1 }),
  scenario('x0-claim', 0, { writes: 1, claims: 1, policyChanges: 1 }),
  scenario('x0-clean', 0, { writes: 2, cuts: 1, claims: 1, policyChanges: 1 }),
  scenario('x0-node-lease', 0, { writes: 2, cuts: 1, claims: 1, policyChanges: 1 }, { nodeLease: true }),
  scenario('x0-loss-accepted', 0, { writes: 2, hostCrashes: 1, claims: 1 }, { acceptsLoss: true, powersOff: 'always' }),
  scenario('x1-loss-accepted', 1, { writes: 2, storeLosses: 1, claims: 1 }, { acceptsLoss: true, powersOff: 'always' }),
  scenario('x2-claim', 2, { writes: 1, claims: 1 }),
  scenario('x2-restart', 2, { writes: 2, engineCrashes: 1, removals: 1 }),
  scenario('x1-restart-twice', 1, { writes: 2, engineCrashes: 2, removals: 1 }),
  scenario('x1-restart-late', 1, { writes: 2, engineCrashes: 1, lateAppends: 1 }),
  scenario('x1-late-claim', 1, { writes: 2, lateAppends: 1, claims: 1 }),
  scenario('x1-learn-through', 1, { writes: 2, engineCrashes: 1, removals: 1, learners: 1, policyChanges: 1 }),
  scenario('x1-learn-claim', 1, { writes: 1, removals: 1, learners: 1, claims: 1 }),
  scenario('x1-learn-loss', 1, { writes: 2, storeLosses: 1, learners: 1 }),
  scenario('x1-better-peer', 1, { writes: 2, learners: 1, bypasses: 1, claims: 1 }, { members: [2] }),
  scenario('x1-handoff-back', 1, { writes: 1, learners: 1, handOvers: 2 }),
  scenario('x1-handoff-loss', 1, { writes: 1, storeLosses: 1, learners: 1, handOvers: 1 }),
  scenario('x1-handoff-restart', 1, { writes: 1, engineCrashes: 2, unknownOutcomes: 1, handOvers: 1 }),
  scenario('x1-unknown-drain', 1, { writes: 2, engineCrashes: 1, unknownOutcomes: 1, policyChanges: 1 }),
  scenario('x1-unknown-loss', 1, { writes: 1, storeLosses: 1, unknownOutcomes: 1, learners: 1 }),
  scenario('x1-crash-resume', 1, { writes: 2, engineCrashes: 1, hostCrashes: 1, claims: 1 }),
  scenario('x1-claims-writes', 1, { writes: 2, claims: 2 }),
  scenario('x2-twoclaims', 2, { writes: 1, claims: 2 }),
  scenario('x2-loss', 2, { writes: 1, storeLosses: 1, claims: 1 }),
  scenario('x2-cut', 2, { writes: 1, cuts: 1, claims: 1 }),
  scenario('x2-unknown', 2, { writes: 1, engineCrashes: 1, unknownOutcomes: 1, removals: 1, learners: 1 }),
  scenario('x2-handoff', 2, { writes: 1, claims: 1, handOvers: 1 }),
  scenario('x2-learn', 2, { writes: 2, removals: 1, learners: 1, lateAppends: 1 }),
]

// biome-ignore format: a table
export const LARGE: readonly Scenario[] = [
  scenario('good1-failover', 1, { writes: 2, hostCrashes: 1, cuts: 1, claims: 1 }),
  scenario('good1-cut', 1, { writes: 2, cuts: 1, claims: 1 }),
  scenario('good1-recrash', 1, { writes: 1, hostCrashes: 2, claims: 2 }),
  scenario('good1-loss', 1, { writes: 1, storeLosses: 1, cuts: 1, claims: 1, learners: 1 }),
  scenario('good1-restart', 1, { writes: 2, engineCrashes: 1, unknownOutcomes: 1, claims: 1, learners: 1, lateAppends: 1 }),
  scenario('good1-unknown', 1, { writes: 1, hostCrashes: 1, cuts: 1, unknownOutcomes: 1, claims: 1, learners: 1 }),
  scenario('good1-handoff', 1, { writes: 2, claims: 1, handOvers: 1 }),
  scenario('good1-bypass', 1, { writes: 2, hostCrashes: 1, claims: 1, bypasses: 1 }),
  scenario('good1-drain', 1, { writes: 2, hostCrashes: 1, claims: 1, policyChanges: 1 }),
  scenario('good1-threeclaims', 1, { writes: 1, claims: 3 }),
  scenario('good1-late', 1, { writes: 2, engineCrashes: 1, hostCrashes: 1, claims: 1, lateAppends: 1 }),
  scenario('good1-drain-claims', 1, { writes: 2, claims: 2, policyChanges: 1 }),
  scenario('good2-claims', 2, { writes: 2, claims: 2 }),
  scenario('good2-resume', 2, { writes: 2, engineCrashes: 1, hostCrashes: 1, claims: 1 }),
  scenario('good2-failover', 2, { writes: 1, hostCrashes: 1, cuts: 1, claims: 1 }),
  scenario('good2-restart', 2, { writes: 1, engineCrashes: 1, claims: 1, lateAppends: 1 }),
  scenario('good0', 0, { writes: 2, engineCrashes: 1, hostCrashes: 1, cuts: 1, unknownOutcomes: 1, claims: 1, policyChanges: 1 }),
  ...[0, 1, 2].map((replicas) =>
    scenario(`good${replicas}-all`, replicas, {
      writes: 3, engineCrashes: 1, hostCrashes: 1, storeLosses: 1, cuts: 2, unknownOutcomes: 1, claims: 2, removals: 1,
      learners: 1, lateAppends: 1, bypasses: 1, handOvers: 1, policyChanges: 1,
    }),
  ),
]
