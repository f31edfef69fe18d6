// Proves: timers are late or silent where the plan says so, never early, and can be cancelled all the same.
import { createPrng } from '../../../../../base/prng.ts'
import { FaultPlan } from '../../../../../csi-driver/io/faulty/fault-plan.ts'
import { parseFaultRule } from '../../../../../csi-driver/io/faulty/fault-rule.ts'
import { FaultyTimers } from '../../../../../csi-driver/io/faulty/faulty-timers.ts'

function setUp(...rules: string[]) {
  const delays: number[] = []
  const inner = {
    after: (delayMs: number) => {
      delays.push(delayMs)
      return { cancel() {} }
    },
    soon: (run: () => void) => run(),
  }
  const plan = new FaultPlan('timers', createPrng(1))
  for (const text of rules) {
    const parsed = parseFaultRule(text)
    if (parsed.ok) plan.add(parsed.rule)
  }
  return { timers: new FaultyTimers(inner, plan), delays }
}

test('delay adds, hang and lost silence, others pass', () => {
  const { timers, delays } = setUp(
    'fault://timers?op=timer&delay=1s',
    'fault://timers?op=timer&begin=1&hang=yes',
    'fault://timers?op=timer&begin=2&lost=yes',
    'fault://timers?op=timer&begin=3&error=EIO',
  )
  for (let i = 0; i < 5; i++) timers.after(10, () => {}).cancel()
  expect(delays).toEqual([1010, 10, 10])
  let ran = false
  timers.soon(() => (ran = true))
  expect(ran).toBe(true)
})
