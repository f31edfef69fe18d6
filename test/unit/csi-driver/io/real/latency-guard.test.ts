// Proves when a device may be waited for on the engine's thread: calm devices always, slow and hanging ones not, and no
// flapping at the edge.
import fc from 'fast-check'
import { LatencyGuard, WINDOW_CALLS } from '../../../../../csi-driver/io/real/latency-guard.ts'

const LIMIT = 0.5

function feed(guard: LatencyGuard, durations: readonly number[]): number {
  let turns = 0
  for (const duration of durations) {
    const before = guard.allowsSync
    guard.record(duration)
    if (guard.allowsSync !== before) turns++
  }
  return turns
}

const calm = (calls: number): number[] => Array.from({ length: calls }, () => 0.1)

test('a calm device, also with one slow call in a hundred, is waited for', () => {
  const guard = new LatencyGuard(LIMIT)
  const durations = Array.from({ length: 2000 }, (_, call) => (call % 100 === 0 ? 2 : 0.1))
  expect(feed(guard, durations)).toBe(0)
  expect(guard.allowsSync).toBe(true)
})

test('slow calls end it, one that hangs ends it at once, a calm window brings it back', () => {
  const guard = new LatencyGuard(LIMIT)
  feed(guard, [2, 2, 2])
  expect(guard.allowsSync).toBe(true)
  feed(guard, [2])
  expect(guard.allowsSync).toBe(false)
  feed(guard, calm(WINDOW_CALLS - 1))
  expect(guard.allowsSync).toBe(false)
  feed(guard, calm(1))
  expect(guard.allowsSync).toBe(true)
  feed(guard, [100])
  expect(guard.allowsSync).toBe(false)
})

test('a device at the edge changes the verdict at most once per window', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 5, noNaN: true }), { minLength: 1000, maxLength: 2000 }),
      (durations) => {
        const turns = feed(new LatencyGuard(LIMIT), durations)
        expect(turns).toBeLessThanOrEqual(2 * Math.ceil(durations.length / WINDOW_CALLS))
      },
    ),
    { numRuns: 20 },
  )
})
