// Proves that the simulator looks: each bug planted in a copy of the product is found within a bounded number of seeds,
// by a checker that stands for the promise it breaks.
import { PLANTED_BUGS } from './planted.ts'
import { runPlanted, SEEDS_MAX } from './planted-run.ts'

const LIMIT_MS = 300_000

describe('planted bugs', () => {
  test.each(PLANTED_BUGS.map((bug) => [bug.name, bug] as const))(
    '%s',
    async (_name, bug) => {
      const outcome = await runPlanted(bug)
      expect(outcome.found).toBe(true)
      expect(outcome.seeds).toBeLessThanOrEqual(SEEDS_MAX)
      expect(bug.checkers).toContain(outcome.checkers[0])
    },
    LIMIT_MS,
  )

  test('have names of their own', () => {
    expect(new Set(PLANTED_BUGS.map((bug) => bug.name)).size).toBe(PLANTED_BUGS.length)
  })
})
