// Proves: after any sequence of writes, zeroes, fills, evictions, freezes, settles and failed generations the extent
// index answers like a plain map from sector to newest place, counts dirty sectors exactly, tells the read cache of every
// slot that it lost, and keeps its internal invariants. How: fast-check drives the index and the map side by side on a
// few blocks, so that collisions, chains and backward shifts happen all the time.
import * as fc from 'fast-check'
import { createExtentIndexModel } from './extent-index-model.ts'
import type { Action } from './extent-index-model.ts'

const BLOCKS = 24

const block = fc.nat({ max: BLOCKS - 1 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      sector: fc.nat({ max: BLOCKS * 8 - 1 }),
      sectors: fc.integer({ min: 1, max: 24 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('rewrite' as const),
      block,
      first: fc.nat({ max: 7 }),
      sectors: fc.integer({ min: 1, max: 8 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('fill' as const), block }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('evict' as const), block }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('zero' as const),
      sector: fc.nat({ max: BLOCKS * 8 - 1 }),
      sectors: fc.integer({ min: 1, max: 100 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('freeze' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const), fill: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const) }) },
)

describe('extent index against a map of sectors', () => {
  test('same answers after any sequence, in a nearly full table', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const model = createExtentIndexModel(BLOCKS, BLOCKS)
        for (const step of actions) model.apply(step)
        model.check()
      }),
      { numRuns: 300 },
    )
  })

  test('same answers after every single step, in a table with room', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const model = createExtentIndexModel(BLOCKS, 200)
        for (const step of actions) {
          model.apply(step)
          model.check()
        }
      }),
      { numRuns: 200 },
    )
  })
})
