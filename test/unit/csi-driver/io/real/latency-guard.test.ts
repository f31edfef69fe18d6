// Proves when a device may be waited for on the engine's thread: fast ones always, also with outliers; slow and hanging
// ones not; and no flapping at the edge.
import fc from 'fast-check'
import { AVERAGED_CALLS, LatencyGuard } from '../../../../../csi-driver/io/real/latency-guard.ts'

const LIMIT = 0.5

/** How often the verdict turned. */
function feed(guard: LatencyGuard, durations: readonly number[]): number {
  let turns = 0
  for (const duration of durations) {
    const before = guard.allowsSync
    guard.record(duration)
    if (guard.allowsSync !== before) turns++
  }
  return turns
}

const calls = (count: number, duration: number): number[] => Array.from({ length: count }, () => duration)

test.each([
  ['every hundredth takes 2 ms', 100, 2],
  ['every fiftieth takes 5 ms', 50, 5],
])('a calm device where %s is waited for', (_, every, slow) => {
  const guard = new LatencyGuard(LIMIT)
  const durations = Array.from({ length: 2000 }, (__, call) => (call % every === 0 ? slow : 0.15))
  expect(feed(guard, durations)).toBe(0)
  expect(guard.allowsSync).toBe(true)
})

test('a device that takes long in every tenth call is not', () => {
  const guard = new LatencyGuard(LIMIT)
  feed(
    guard,
    Array.from({ length: 2000 }, (_, call) => (call % 10 === 0 ? 19 : 0.1)),
  )
  expect(guard.allowsSync).toBe(false)
})

test('a device that turns slow is left after a few dozen milliseconds in all, and comes back when it is calm', () => {
  const guard = new LatencyGuard(LIMIT)
  feed(guard, calls(200, 0.15))
  let waitedMs = 0
  while (guard.allowsSync) {
    guard.record(2)
    waitedMs += 2
  }
  expect(waitedMs).toBeLessThanOrEqual(40)
  expect(feed(guard, calls(10 * AVERAGED_CALLS, 2))).toBe(0)
  expect(feed(guard, calls(10 * AVERAGED_CALLS, 0.15))).toBe(1)
  expect(guard.allowsSync).toBe(true)
})

test('one call that hangs ends it at once, and it takes calm calls to come back', () => {
  const guard = new LatencyGuard(LIMIT)
  feed(guard, calls(200, 0.1))
  guard.record(25)
  expect(guard.allowsSync).toBe(false)
  expect(feed(guard, calls(AVERAGED_CALLS, 0.1))).toBe(0)
  expect(feed(guard, calls(5 * AVERAGED_CALLS, 0.1))).toBe(1)
})

test('a device at the edge does not flap', () => {
  const guard = new LatencyGuard(LIMIT)
  feed(guard, calls(500, LIMIT * 1.1))
  expect(guard.allowsSync).toBe(false)
  const edge = Array.from({ length: 5000 }, (_, call) => LIMIT * (call % 2 === 0 ? 0.99 : 0.9))
  expect(feed(guard, edge)).toBe(0)
})

test('property: no device is waited for whose calls all take longer than the limit', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: LIMIT * 1.05, max: 100, noNaN: true }), { minLength: 300, maxLength: 300 }),
      (durations) => {
        const guard = new LatencyGuard(LIMIT)
        feed(guard, durations)
        expect(guard.allowsSync).toBe(false)
      },
    ),
  )
})
