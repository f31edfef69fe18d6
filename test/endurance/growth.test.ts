// Proves: the rule sees leaks, steady, in steps and below the noise, and is not misled by noise, a peak, an early step or a
// plateau; too few samples are no judgement. How: series made from a seed, with the noise of a collected heap.
import { createPrng } from '../../base/prng.ts'
import { type Allowance, growthOf, medianOf } from './growth.ts'

const MIB = 1024 * 1024
const MEMORY: Allowance = { share: 0.05, least: 4 * MIB }
const SECONDS = 300

/** Resident memory of an engine, a sample a second: 90 MiB, and a heap that grows by up to 12 MiB until it is collected. */
function memory(extra: (second: number) => number, seconds = SECONDS): number[] {
  const prng = createPrng('memory')
  return Array.from({ length: seconds }, (_, second) => (90 + (second % 17) * 0.7 + prng.float()) * MIB + extra(second))
}

describe('sees', () => {
  test.each([
    ['a steady leak below the noise of each sample', (second: number) => second * 0.05 * MIB],
    ['a leak that comes in steps', (second: number) => Math.floor(second / 60) * 4 * MIB],
    ['a leak that begins after a third', (second: number) => Math.max(0, second - 100) * 0.1 * MIB],
  ])('%s', (_, leak) => {
    expect(growthOf(memory(leak), MEMORY).grew).toBe(true)
  })

  test('descriptors that are not closed, one in a minute', () => {
    const open = Array.from({ length: SECONDS }, (_, second) => 40 + Math.floor(second / 60))
    expect(growthOf(open, { share: 0, least: 2 }).grew).toBe(true)
  })

  test('a few points that ascend', () => {
    const points = [10, 12, 13, 16, 18].map((value) => value * MIB)
    expect(growthOf(points, MEMORY)).toMatchObject({ first: 10 * MIB, last: 17 * MIB, grew: true })
  })
})

describe('is not misled by', () => {
  test.each([
    ['noise', () => 0],
    ['a peak at the end', (second: number) => (second > SECONDS - 20 ? 200 * MIB : 0)],
    ['a step in the first fifth', (second: number) => (second > 50 ? 20 * MIB : 0)],
    ['a plateau that is reached slowly', (second: number) => 30 * MIB * (1 - Math.exp(-second / 12))],
    ['memory that is given back', (second: number) => -second * 0.1 * MIB],
  ])('%s', (_, change) => {
    expect(growthOf(memory(change), MEMORY).grew).toBe(false)
  })

  test('connections that come and go', () => {
    const open = Array.from({ length: SECONDS }, (_, second) => 40 + (second % 5))
    expect(growthOf(open, { share: 0, least: 2 }).grew).toBe(false)
  })
})

test('too few samples are no judgement', () => {
  expect(growthOf([1, 100, 10_000], { share: 0, least: 0 })).toMatchObject({ isJudged: false, grew: false })
  expect(growthOf([], MEMORY)).toMatchObject({ isJudged: false, grew: false })
})

test('the median is the middle, or between the two in the middle', () => {
  expect([medianOf([3]), medianOf([9, 1, 5]), medianOf([4, 1, 2, 3]), medianOf([])]).toEqual([3, 5, 2.5, Number.NaN])
})
