// Proves: each write counts in the second of its answer, percentiles are those of fio's lines, an empty second is one.
import { secondsOf } from './seconds.ts'

const BEGIN_MS = 1_700_000_000_000

function line(atMs: number, latencyMs: number): string {
  return `${BEGIN_MS + atMs}, ${latencyMs * 1e6}, 1, 4096, 0, 0`
}

test('writes are counted where they were answered, and percentiles are of them', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => line(1_500, 100 - i))
  const log = [line(-1, 9), line(0, 2), line(999, 4), ...hundred, line(3_000, 7), ''].join('\n')
  const [first, second, third] = secondsOf(log, BEGIN_MS, 3)
  expect(first).toEqual({ writes: 2, p50Ms: 2, p99Ms: 4, p999Ms: 4, longestMs: 4 })
  expect(second).toEqual({ writes: 100, p50Ms: 50, p99Ms: 99, p999Ms: 100, longestMs: 100 })
  expect(third).toMatchObject({ writes: 0, p50Ms: Number.NaN })
})

test('lines of another kind are nobody', () => {
  expect(secondsOf('fio: warning\n\n1, 2\n', 0, 1)).toMatchObject([{ writes: 0 }])
})
