// Proves that a peer that is lost again and again has to be stable for ever longer, up to a limit, and is forgiven with time.
import fc from 'fast-check'
import {
  FORGIVE_MS,
  LOSSES_MAX,
  lostAgain,
  NEVER_LOST,
  STABLE_FIRST_MS,
  STABLE_MAX_MS,
  stableAtMs,
} from '../../../../csi-driver/protocol/damping.ts'

test('a peer that was never lost is relied on at once', () => {
  expect(stableAtMs(NEVER_LOST, 700, 1000)).toBe(700)
})

test('the time doubles with each loss, up to its limit', () => {
  let damping = NEVER_LOST
  const delays = Array.from({ length: LOSSES_MAX + 3 }, (_, i) => {
    damping = lostAgain(damping, 1000 * i)
    return stableAtMs(damping, 0, 1000 * i) - 1000 * i
  })
  expect(delays.slice(0, 3)).toEqual([STABLE_FIRST_MS, 2 * STABLE_FIRST_MS, 4 * STABLE_FIRST_MS])
  expect(delays.slice(LOSSES_MAX - 1)).toEqual(Array.from({ length: 4 }, () => STABLE_MAX_MS))
})

test('a peer that was lost while it stayed connected is not relied on at once, however long it was connected before', () => {
  const lostAtMs = 10 * STABLE_MAX_MS
  expect(stableAtMs(lostAgain(NEVER_LOST, lostAtMs), 0, lostAtMs)).toBe(lostAtMs + STABLE_FIRST_MS)
})

test('time without a loss forgives one after the other', () => {
  const twice = lostAgain(lostAgain(NEVER_LOST, 0), 0)
  expect(stableAtMs(twice, 0, FORGIVE_MS - 1)).toBe(2 * STABLE_FIRST_MS)
  expect(stableAtMs(twice, 0, FORGIVE_MS)).toBe(STABLE_FIRST_MS)
  expect(stableAtMs(twice, 0, 2 * FORGIVE_MS)).toBe(0)
})

test('whatever the losses, the wait is bounded and never shorter than the first one right after a loss', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2 * FORGIVE_MS }), { minLength: 1, maxLength: 30 }), (gaps) => {
      let nowMs = 0
      let damping = NEVER_LOST
      for (const gap of gaps) {
        nowMs += gap
        damping = lostAgain(damping, nowMs)
        const waitMs = stableAtMs(damping, nowMs, nowMs) - nowMs
        expect(waitMs).toBeGreaterThanOrEqual(STABLE_FIRST_MS)
        expect(waitMs).toBeLessThanOrEqual(STABLE_MAX_MS)
      }
    }),
  )
})
