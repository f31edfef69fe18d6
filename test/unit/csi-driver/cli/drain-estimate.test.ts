// Proves that a steady drain is estimated right, that no estimate is given too early, nor while nothing shrinks, and
// that no series of observations gives nonsense.
import fc from 'fast-check'
import { DrainEstimate } from '../../../../csi-driver/cli/drain-estimate.ts'

test('a steady drain', () => {
  const estimate = new DrainEstimate()
  for (let second = 0; second <= 20; second++) estimate.observe(1000 - second * 10, 5_000 + second * 1000)
  expect(estimate.rate).toBeCloseTo(10)
  expect(estimate.secondsLeft).toBeCloseTo(80)
})

test('not before there is something to go by', () => {
  const estimate = new DrainEstimate()
  expect(estimate.secondsLeft).toBeNull()
  estimate.observe(1000, 0)
  estimate.observe(900, 100)
  expect(estimate.secondsLeft).toBeNull()
})

test('not while it grows, and again when it shrinks', () => {
  const estimate = new DrainEstimate()
  for (let second = 0; second <= 10; second++) estimate.observe(second * 100, second * 1000)
  expect(estimate.secondsLeft).toBeNull()
  expect(estimate.rate).toBe(0)
  for (let second = 11; second <= 60; second++) estimate.observe(10_000 - second * 100, second * 1000)
  expect(estimate.secondsLeft).toBeCloseTo(40, 0)
})

test('never negative, never infinite', () => {
  const steps = fc.array(fc.tuple(fc.nat(2 ** 40), fc.nat(10_000)))
  fc.assert(
    fc.property(steps, (list) => {
      const estimate = new DrainEstimate()
      let atMs = 0
      for (const [bytes, passedMs] of list) {
        atMs += passedMs
        estimate.observe(bytes, atMs)
        expect(estimate.rate).toBeGreaterThanOrEqual(0)
        const { secondsLeft } = estimate
        if (secondsLeft !== null) expect(Number.isFinite(secondsLeft) && secondsLeft >= 0).toBe(true)
      }
    }),
  )
})
