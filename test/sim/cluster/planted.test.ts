// Proves that the simulator of a cluster looks: each bug of replication planted in a copy of the product is found within a
// bounded number of seeds, by a checker that stands for the promise it breaks.
import { runPlanted, SEEDS_MAX } from '../planted-run.ts'
import { PLANTED_CLUSTER_BUGS } from './planted.ts'

const LIMIT_MS = 300_000

describe('planted bugs of replication', () => {
  test.each(PLANTED_CLUSTER_BUGS.map((bug) => [bug.name, bug] as const))(
    '%s',
    async (_name, bug) => {
      const outcome = await runPlanted(bug, { script: 'test/sim/cluster/run.ts' })
      expect(outcome.found).toBe(true)
      expect(outcome.seeds).toBeLessThanOrEqual(SEEDS_MAX)
      expect(bug.checkers).toContain(outcome.checkers[0])
    },
    LIMIT_MS,
  )

  test('have names of their own', () => {
    expect(new Set(PLANTED_CLUSTER_BUGS.map((bug) => bug.name)).size).toBe(PLANTED_CLUSTER_BUGS.length)
  })
})
