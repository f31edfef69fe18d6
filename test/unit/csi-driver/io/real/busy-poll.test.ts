// Proves when the engine polls: where it pays; and by itself only on a host with CPU to spare, within a budget.
import {
  AUTO_BUDGET_MS,
  AUTO_PERIOD_MS,
  AUTO_SPARE_CPUS,
  AUTO_WINDOW_MS,
  BusyPoll,
} from '../../../../../csi-driver/io/real/busy-poll.ts'

/** Chances of one period that were taken, each ending as `hit` says. */
function polls(poll: BusyPoll, chances: number, hit: boolean, nowMs: number): number {
  let count = 0
  for (let i = 0; i < chances; i++) {
    if (poll.untilMs(nowMs) === 0) continue
    count++
    poll.ended(hit)
  }
  return count
}

/** In its second period, with so many CPUs idle in the first. */
function autoPoll(spare: () => number): BusyPoll {
  const poll = BusyPoll.auto(spare)
  expect(poll.untilMs(0)).toBe(0)
  return poll
}

test('a fixed window: polls for that long while it pays, and never with 0', () => {
  const poll = BusyPoll.fixed(0.02)
  expect(poll.untilMs(5)).toBeCloseTo(5.02)
  poll.ended(true)
  expect(polls(poll, 100, true, 5)).toBe(100)
  expect(polls(poll, 1000, false, 5)).toBeLessThan(100)
  const off = BusyPoll.fixed(0)
  expect(off.isOff).toBe(true)
  expect(off.untilMs(5)).toBe(0)
})

test('auto: not before it knows the host, then while half a CPU is idle', () => {
  const calm = autoPoll(() => AUTO_SPARE_CPUS)
  expect(calm.untilMs(AUTO_PERIOD_MS)).toBeCloseTo(AUTO_PERIOD_MS + AUTO_WINDOW_MS)
  const busy = autoPoll(() => AUTO_SPARE_CPUS - 0.01)
  expect(busy.untilMs(AUTO_PERIOD_MS)).toBe(0)
  const unknown = autoPoll(() => Number.NaN)
  expect(unknown.untilMs(AUTO_PERIOD_MS)).toBe(0)
})

test('auto: looks at the host once a period, and takes back what it allowed', () => {
  let looks = 0
  const poll = autoPoll(() => (looks++ < 2 ? 1 : 0))
  expect(polls(poll, 50, true, AUTO_PERIOD_MS)).toBe(50)
  expect(looks).toBe(2)
  expect(polls(poll, 50, true, 2 * AUTO_PERIOD_MS)).toBe(0)
  expect(looks).toBe(3)
})

test('auto: fruitless polling ends with the budget of the period, whatever the score says', () => {
  const poll = autoPoll(() => 1)
  const most = AUTO_BUDGET_MS / AUTO_WINDOW_MS
  let fruitless = 0
  for (let i = 0; i < 10 * most; i++) {
    if (poll.untilMs(AUTO_PERIOD_MS) === 0) break
    // As many hits as keep the score up.
    const hit = i % 3 === 0
    poll.ended(hit)
    if (!hit) fruitless++
  }
  expect(fruitless).toBeGreaterThanOrEqual(most)
  expect(fruitless).toBeLessThanOrEqual(most + 1)
  expect(poll.untilMs(2 * AUTO_PERIOD_MS)).toBeGreaterThan(0)
})

test('auto: what it polled away itself counts as idle', () => {
  let spare = 1
  const poll = autoPoll(() => spare)
  for (let i = 0; poll.untilMs(AUTO_PERIOD_MS) !== 0; i++) poll.ended(i % 3 === 0)
  spare = AUTO_SPARE_CPUS - 0.05
  expect(poll.untilMs(2 * AUTO_PERIOD_MS)).toBeGreaterThan(0)
})
