// Proves that the cache of the owner before is asked only where that saves time, the vain questions counted, and without
// flapping around the point where it does not; how long it is waited for; and when it is believed to be of no more use.
import { Pace } from '../../../../../csi-driver/engine/previous-cache/pace.ts'

function paced(previousMs: number, backingMs: number, hits = 1): Pace {
  const pace = new Pace()
  for (let i = 0; i < 400; i += 1) {
    pace.noteBacking(backingMs)
    pace.notePrevious(previousMs, (i * hits) % 1 < hits)
  }
  return pace
}

test('before both are measured it is not asked', () => {
  const pace = new Pace()
  expect([pace.isFaster, pace.isTried, pace.isWarm, pace.previousMs, pace.backingMs]).toEqual([
    false,
    false,
    false,
    null,
    null,
  ])
  pace.notePrevious(0.1, true)
  expect(pace.isFaster).toBe(false)
  pace.noteBacking(10)
  expect(pace.isFaster).toBe(true)
})

test.each([
  ['a network that is faster than the disk', 0.5, 5, 1, true],
  ['a backing that is as fast', 0.5, 0.5, 1, false],
  ['a little faster is not enough to begin', 4.5, 5, 1, false],
])('%s', (_what, previousMs, backingMs, hits, faster) => {
  expect(paced(previousMs, backingMs, hits).isFaster).toBe(faster)
})

test('once begun it goes on until nothing is saved', () => {
  const pace = paced(1, 5)
  for (let i = 0; i < 100; i += 1) pace.notePrevious(4.8, true)
  expect(pace.isFaster).toBe(true)
  for (let i = 0; i < 100; i += 1) pace.notePrevious(5.2, true)
  expect(pace.isFaster).toBe(false)
  for (let i = 0; i < 100; i += 1) pace.notePrevious(4.8, true)
  expect(pace.isFaster).toBe(false)
})

test('a slow first measurement is soon forgotten', () => {
  const pace = new Pace()
  pace.noteBacking(5)
  pace.notePrevious(30, true)
  for (let i = 0; i < 11; i += 1) pace.notePrevious(1, true)
  expect(pace.isFaster).toBe(true)
})

test('it is measured more often while it is not used', () => {
  expect([paced(10, 1).probeEvery, paced(1, 10).probeEvery]).toEqual([8, 32])
})

test('questions in vain cost their time', () => {
  const pace = paced(1, 5)
  for (let i = 0; i < 1000 && pace.isFaster; i += 1) pace.notePrevious(1, false)
  expect(pace.isFaster).toBe(false)
  expect(pace.hitShare).toBeLessThan(0.2)
  expect(pace.isWarm).toBe(false)
  for (let i = 0; i < 1000; i += 1) pace.notePrevious(1, false)
  expect(pace.isWarm).toBe(true)
})

test('a few vain questions at the beginning say nothing', () => {
  const pace = new Pace()
  for (let i = 0; i < 500; i += 1) pace.notePrevious(1, false)
  expect([pace.hitShare < 0.05, pace.isWarm]).toEqual([true, false])
})

test('it is waited for as long as the backing takes, within limits', () => {
  expect(new Pace().limitMs).toBe(100)
  expect([0.2, 7, 5000].map((backingMs) => Math.round(paced(1, backingMs).limitMs))).toEqual([1, 7, 100])
})

test('tried after answers that were equal', () => {
  const pace = new Pace()
  for (let i = 0; i < 8; i += 1) {
    expect(pace.isTried).toBe(false)
    pace.noteEqual()
  }
  expect(pace.isTried).toBe(true)
})
