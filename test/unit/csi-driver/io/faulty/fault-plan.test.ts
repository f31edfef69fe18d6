// Proves: a rule strikes the operations it names, after `begin`, at most `count` times, in its range, with its chance;
// plans are deterministic and rules do not disturb one another.
import { createPrng } from '../../../../../base/prng.ts'
import { FaultPlan } from '../../../../../csi-driver/io/faulty/fault-plan.ts'
import { parseFaultRule } from '../../../../../csi-driver/io/faulty/fault-rule.ts'
import type { FaultRule } from '../../../../../csi-driver/io/faulty/fault-rule.ts'

function rule(text: string): FaultRule {
  const parsed = parseFaultRule(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.rule
}

const plan = (...texts: string[]): FaultPlan => new FaultPlan('cache', createPrng('plan'), texts.map(rule))

test('begin and count', () => {
  const one = plan('fault://cache?op=write&begin=2&count=2&error=EIO')
  const seen = Array.from({ length: 6 }, () => one.strike('write', 0, 512)?.kind ?? null)
  expect(seen).toEqual([null, null, 'error', 'error', null, null])
  expect(one.list()[0]?.struck).toBe(2)
})

test('operation, target and range', () => {
  const one = plan(
    'fault://cache?op=read&count=all&hang=yes',
    'fault://other?count=all&lost=yes',
    'fault://*?op=write&from=4096&to=8192&count=all&lost=yes',
  )
  expect(one.list()).toHaveLength(2)
  expect(one.strike('read', 0, 512)?.kind).toBe('hang')
  expect(one.strike('write', 0, 4096)).toBeNull()
  expect(one.strike('write', 4095, 2)?.kind).toBe('lost')
  expect(one.strike('write', 8191, 512)?.kind).toBe('lost')
  expect(one.strike('write', 8192, 512)).toBeNull()
  expect(one.strike('flush')).toBeNull()
})

test('the first rule decides, the others count the operation', () => {
  const one = plan('fault://*?error=EIO', 'fault://*?begin=1&lost=yes')
  expect([one.strike('flush')?.kind, one.strike('flush')?.kind, one.strike('flush')]).toEqual(['error', 'lost', null])
})

test('chance is met and repeatable; another rule does not shift it', () => {
  const strikes = (...more: string[]): boolean[] => {
    const one = plan('fault://*?op=read&count=all&chance=0.25&error=EIO', ...more)
    return Array.from({ length: 2000 }, () => one.strike('read', 0, 512)?.kind === 'error')
  }
  expect(strikes()).toEqual(strikes('fault://*?op=read&count=all&chance=0.5&hang=yes'))
  const count = strikes().filter(Boolean).length
  expect(count).toBeGreaterThan(400)
  expect(count).toBeLessThan(600)
})

test('clear ends all faults', () => {
  const one = plan('fault://*?count=all&error=EIO')
  one.clear()
  expect(one.strike('read', 0, 1)).toBeNull()
})
