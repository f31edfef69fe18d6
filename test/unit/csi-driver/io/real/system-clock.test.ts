// Proves that the clocks go forward, that timers run once and can be cancelled, and that `soon` is before any I/O.
import { systemClock, systemTimers } from '../../../../../csi-driver/io/real/system-clock.ts'

test('clocks', () => {
  const before = systemClock.monotonicMs()
  expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(before)
  expect(systemClock.bootMs()).toBeGreaterThan(0)
  expect(systemClock.wallMs()).toBeGreaterThan(Date.UTC(2024, 0))
})

test('timers', async () => {
  const order: string[] = []
  const cancelled = systemTimers.after(1, () => order.push('cancelled'))
  cancelled.cancel()
  cancelled.cancel()
  await new Promise<void>((resolve) => {
    setImmediate(() => order.push('immediate'))
    systemTimers.after(5, () => {
      order.push('after')
      resolve()
    })
    systemTimers.soon(() => order.push('soon'))
    order.push('now')
    // The timers of the product keep no process alive.
    setTimeout(() => {}, 20)
  })
  expect(order).toEqual(['now', 'soon', 'immediate', 'after'])
})

test('a delay longer than the platform can count is long, not zero', () => {
  let fired = false
  const timer = systemTimers.after(2 ** 40, () => {
    fired = true
  })
  timer.cancel()
  expect(fired).toBe(false)
})
