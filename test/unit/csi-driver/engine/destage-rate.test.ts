// The curve: nothing below the thresholds, ever more towards full, never without a bound.
import fc from 'fast-check'
import {
  concurrencyAt,
  CONCURRENCY_MAX,
  CONCURRENCY_MIN,
  DELAY_MAX_MS,
  FILL_HIGH,
  FILL_LOW,
  IDLE_MS,
  shouldBegin,
  writeDelayMs,
} from '../../../../csi-driver/engine/destage-rate.ts'

const fills = fc.double({ min: 0, max: 1, noNaN: true })

test('work grows with the fill between its bounds', () => {
  fc.assert(
    fc.property(fills, fills, (a, b) => {
      const [low, high] = [concurrencyAt(Math.min(a, b), false), concurrencyAt(Math.max(a, b), false)]
      expect(low).toBeLessThanOrEqual(high)
      expect(low).toBeGreaterThanOrEqual(CONCURRENCY_MIN)
      expect(high).toBeLessThanOrEqual(CONCURRENCY_MAX)
      expect(Number.isInteger(low)).toBe(true)
    }),
  )
  expect(concurrencyAt(0, true)).toBe(CONCURRENCY_MAX)
  expect(concurrencyAt(FILL_LOW, false)).toBe(CONCURRENCY_MIN)
  expect(concurrencyAt(FILL_HIGH, false)).toBe(CONCURRENCY_MAX)
})

test('the delay begins at the threshold, grows, and is bounded', () => {
  fc.assert(
    fc.property(fills, fills, (a, b) => {
      const [low, high] = [writeDelayMs(Math.min(a, b)), writeDelayMs(Math.max(a, b))]
      expect(low).toBeLessThanOrEqual(high)
      expect(low).toBeGreaterThanOrEqual(0)
      expect(high).toBeLessThanOrEqual(DELAY_MAX_MS)
    }),
  )
  expect([writeDelayMs(FILL_HIGH), writeDelayMs(1)]).toEqual([0, DELAY_MAX_MS])
  expect(writeDelayMs((FILL_HIGH + 1) / 2)).toBeCloseTo(0.5)
})

test('a generation begins for a reason', () => {
  const calm = { fill: 0.1, urgent: false, idleForMs: 0, oldestDirtyMs: 10, dirtyAgeMs: 1000 }
  expect(shouldBegin(calm)).toBe(false)
  expect(shouldBegin({ ...calm, fill: FILL_LOW })).toBe(true)
  expect(shouldBegin({ ...calm, urgent: true })).toBe(true)
  expect(shouldBegin({ ...calm, idleForMs: IDLE_MS })).toBe(true)
  expect(shouldBegin({ ...calm, oldestDirtyMs: 1000 })).toBe(true)
})
