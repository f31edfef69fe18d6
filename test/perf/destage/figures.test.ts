// Proves: the figures of the page are those of the runs, and bad ones show as bad.
import { coalescingOf, pageText, smoothnessOf, steadyOf } from './figures.ts'
import type { Look, Run } from './run.ts'
import type { Second } from './seconds.ts'

function second(writes: number, p99Ms = 10): Second {
  return { writes, p50Ms: 5, p99Ms, p999Ms: 20, longestMs: 30 }
}

function look(diskWrites: number, forwardWrites = diskWrites): Look {
  return { dirtyMiB: 0, diskWrites, diskBytes: diskWrites * 16 * 1024, forwardWrites }
}

function aRun(seconds: readonly Second[]): Run {
  const load = { queueDepth: 32, dataBytes: 4096, seconds: seconds.length, rate: null }
  const looks = [look(100, 50), ...seconds.map((_, i) => look(200 + i))]
  return { load, seconds, writes: 1_000, looks, drained: look(350, 250), othersShare: 0.5 }
}

test('a second without an answer and a step of the latency are seen', () => {
  const even = smoothnessOf([second(100), second(100), second(100)])
  expect(even).toMatchObject({ writesPerSecond: 100, worstShare: 1, bestShare: 1, p99Step: 1, secondsWithoutAnswer: 0 })
  const stalled = smoothnessOf([second(200), second(0, Number.NaN), second(100, 500)])
  expect(stalled).toMatchObject({ worstShare: 0, bestShare: 2, worstP99Ms: 500, p99Step: 50, secondsWithoutAnswer: 1 })
})

test('what the disk saw is counted until nothing is dirty', () => {
  expect(coalescingOf(aRun([second(400)]))).toEqual({ writes: 1_000, diskWrites: 250, meanKiB: 16, forwardShare: 0.8 })
})

test('the second half of a run is steady, without the second in which fio ends', () => {
  expect(steadyOf(aRun([1, 2, 3, 4, 5, 6, 7, 8].map((writes) => second(writes)))).map(({ writes }) => writes)).toEqual([
    6, 7,
  ])
})

test('the page has a row for each figure and names the machine', () => {
  const run = aRun([9, 9, 9, 9, 9, 9].map((writes) => second(writes)))
  const text = pageText({ alone: run, fits: run, crosses: run }, 'a machine.')
  expect(text).toContain('| saved | 75 % | 75 % | 75 % |')
  expect(text).toContain('| seconds without an answer | 0 | 0 | 0 |')
  expect(text.endsWith('a machine.\n')).toBe(true)
  expect(text).not.toContain('NaN')
})
