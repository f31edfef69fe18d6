// Proves: the window is full by bytes or by number, empties with the answers, and knows the pace of a busy learner.
import {
  CATCH_UP_BATCHES_MAX,
  CATCH_UP_BYTES_MAX,
  CatchUpWindow,
} from '../../../../../csi-driver/replica/replicator/catch-up-window.ts'

const clock = { nowMs: 0, monotonicMs: () => clock.nowMs, bootMs: () => 0, wallMs: () => 0 }

test('full by bytes', () => {
  const window = new CatchUpWindow(clock)
  window.sent(10, CATCH_UP_BYTES_MAX - 1)
  expect(window.isFull).toBe(false)
  window.sent(11, 500)
  expect(window.isFull).toBe(true)
  window.acknowledged(9, 10)
  expect([window.bytes, window.isFull]).toEqual([500, false])
  window.acknowledged(10, 11)
  expect(window.bytes).toBe(0)
})

test('full by number, over the end of its ring', () => {
  const window = new CatchUpWindow(clock)
  for (let round = 0; round < 3; round++) {
    const base = 7 + round * CATCH_UP_BATCHES_MAX
    for (let i = 0; i < CATCH_UP_BATCHES_MAX; i++) window.sent(base + i, i)
    expect(window.isFull).toBe(true)
    expect(() => window.sent(base, 1)).toThrow('room')
    window.acknowledged(base - 1, base + CATCH_UP_BATCHES_MAX - 1)
    expect([window.bytes, window.isFull]).toEqual([0, false])
  }
  expect(() => window.acknowledged(1, 5)).toThrow('what was sent')
})

test('pace', () => {
  const window = new CatchUpWindow(clock)
  window.clear()
  expect(window.msPerBatch).toBe(Infinity)
  for (let batchSeq = 1; batchSeq <= 200; batchSeq++) {
    window.sent(batchSeq, 100)
    clock.nowMs += 2
    window.acknowledged(batchSeq - 1, batchSeq)
  }
  expect(window.msPerBatch).toBeCloseTo(2)
})
