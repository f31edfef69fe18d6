// Proves: kills begin when things have settled and end early enough for the last engine to be judged by itself; every
// engine lives past the ages in which it is compared; the same seed gives the same kills.
import { createPrng } from '../../base/prng.ts'
import { scheduleOf } from './schedule.ts'

test.each([1, 2, 15, 60])('%i minutes', (minutes) => {
  for (let seed = 0; seed < 50; seed++) {
    const schedule = scheduleOf(minutes, createPrng(seed))
    const { totalMs, settleMs, killsAtMs, comparedFromMs, comparedToMs } = schedule
    expect(killsAtMs.length).toBeGreaterThanOrEqual(4)
    expect(killsAtMs[0]).toBe(settleMs)
    expect(settleMs).toBeLessThanOrEqual(60_000)
    expect((killsAtMs.at(-1) ?? 0) + settleMs).toBeLessThan(0.8 * totalMs)
    for (const [index, atMs] of killsAtMs.slice(1).entries()) {
      expect(atMs - (killsAtMs[index] ?? 0)).toBeGreaterThanOrEqual(comparedToMs - 1e-6)
    }
    expect(comparedFromMs).toBeLessThan(comparedToMs)
    expect(scheduleOf(minutes, createPrng(seed))).toEqual(schedule)
  }
})
