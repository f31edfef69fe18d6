// Proves: a seed repeats its sequence, forks depend on seed and name only, draws stay in range and are not skewed.
import { createPrng } from '../../../base/prng.ts'

const draw = (seed: string | number | bigint, count = 8): number[] => {
  const prng = createPrng(seed)
  return Array.from({ length: count }, () => prng.u32())
}

test('one seed gives one sequence; number, bigint and decimal text are the same seed', () => {
  expect(draw(7)).toEqual(draw(7n))
  expect(draw(7)).toEqual(draw('7'))
  expect(draw(7)).not.toEqual(draw(8))
})

test('the sequence of a seed never changes, so that printed seeds stay valid', () => {
  expect(draw(1, 4)).toMatchInlineSnapshot(`
[
  4219823071,
  3382064005,
  206023868,
  4257975326,
]
`)
  expect(draw('8ceb62d', 4)).toMatchInlineSnapshot(`
[
  1088254980,
  526167008,
  3143461340,
  3717556289,
]
`)
})

test('a fork does not depend on earlier draws of its parent, nor shifts them', () => {
  const quiet = createPrng(3)
  const busy = createPrng(3)
  for (let i = 0; i < 100; i++) busy.u32()
  expect(busy.fork('disk').u32()).toBe(quiet.fork('disk').u32())
  const untouched = createPrng(3)
  expect(quiet.u32()).toBe(untouched.u32())
})

test('forks of different names and depths differ', () => {
  const root = createPrng(3)
  const firsts = [root, root.fork('a'), root.fork('b'), root.fork('a').fork('b'), root.fork('a/1:b'), root.fork('')]
  expect(new Set(firsts.map((prng) => prng.u32())).size).toBe(firsts.length)
})

test('below covers its range evenly enough', () => {
  const prng = createPrng('even')
  const hits = new Uint32Array(10)
  for (let i = 0; i < 20_000; i++) hits[prng.below(10)]!++
  for (const hit of hits) expect(Math.abs(hit - 2000)).toBeLessThan(250)
})

test('bits are balanced', () => {
  const prng = createPrng('bits')
  const ones = new Uint32Array(32)
  for (let i = 0; i < 10_000; i++) {
    const value = prng.u32()
    for (let bit = 0; bit < 32; bit++) ones[bit]! += (value >>> bit) & 1
  }
  for (const count of ones) expect(Math.abs(count - 5000)).toBeLessThan(300)
})

test('edges', () => {
  const prng = createPrng(0)
  expect(prng.below(1)).toBe(0)
  expect(prng.below(0x1_0000_0000)).toBeGreaterThanOrEqual(0)
  expect(() => prng.below(0)).toThrow('limit out of range')
  expect(() => prng.below(1.5)).toThrow('limit out of range')
  expect(() => prng.pick([])).toThrow('nothing to pick')
  expect(prng.pick(['only'])).toBe('only')
  for (let i = 0; i < 100; i++) {
    expect(prng.chance(0)).toBe(false)
    expect(prng.chance(1)).toBe(true)
    expect(prng.float()).toBeLessThan(1)
  }
})
