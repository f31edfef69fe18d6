// Proves what is read from a writer's log: the longest silence after a moment, and the latencies on either side of it.
import { parseLatencyLog, pauseAt, type Written } from './pauses.ts'

/** One write each millisecond that took 0.5 ms. */
function steady(fromMs: number, toMs: number): Written[] {
  return Array.from({ length: toMs - fromMs }, (_, index) => ({ atMs: fromMs + index, micros: 500 }))
}

test('lines of fio, in the order of their time', () => {
  const text = '1790000000005, 1500000, 1, 4096, 0, 0\n1790000000001, 700000, 1, 4096, 0, 0\n'
  expect(parseLatencyLog(text)).toEqual([
    { atMs: 1_790_000_000_001, micros: 700 },
    { atMs: 1_790_000_000_005, micros: 1500 },
  ])
})

test('the pause is the longest silence after the moment; writes that stood in it count on neither side', () => {
  const stuck = Array.from({ length: 8 }, () => ({ atMs: 6500, micros: 1_498_000 }))
  const written = [...steady(0, 5000), { atMs: 5002, micros: 400 }, ...stuck, ...steady(6501, 9000)]
  expect(pauseAt(written, 1000, 5000)).toEqual({
    pauseSeconds: 1.498,
    longestWriteSeconds: 1.498,
    p999BeforeMicros: 500,
    p999AfterMicros: 500,
    iopsBefore: 1000,
    iopsAfter: expect.closeTo(1000, -1) as number,
  })
})

test('a pause before the moment does not count', () => {
  const written = [...steady(0, 1000), ...steady(4000, 6000)]
  expect(pauseAt(written, 0, 5000).pauseSeconds).toBe(0.001)
})

test('a writer that never goes on is no pause', () => {
  expect(() => pauseAt(steady(0, 5000), 0, 5000)).toThrow('nothing before the moment or after the pause')
})
