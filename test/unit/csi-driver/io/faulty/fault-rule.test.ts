// Proves: every rule that can be printed is read back equal; what is not a rule is refused with the part that is wrong;
// nothing makes the parser throw.
import * as fc from 'fast-check'

import { FAULT_OPERATIONS, parseFaultRule, printFaultRule } from '../../../../../csi-driver/io/faulty/fault-rule.ts'
import type { FaultEffect, FaultRule } from '../../../../../csi-driver/io/faulty/fault-rule.ts'

const effect: fc.Arbitrary<FaultEffect> = fc.oneof(
  fc.constantFrom('EIO', 'ENOSPC', 'EDQUOT').map((code) => ({ kind: 'error' as const, code })),
  fc.nat({ max: 10_000_000 }).map((delayMs) => ({ kind: 'delay' as const, delayMs })),
  fc.constantFrom('hang' as const, 'lost' as const, 'split' as const).map((kind) => ({ kind })),
  fc.constantFrom('prefix' as const, 'subset' as const).map((shape) => ({ kind: 'torn' as const, shape })),
  fc.integer({ min: 1, max: 1000 }).map((bits) => ({ kind: 'flip' as const, bits })),
  fc.integer({ min: -1e12, max: 1e12 }).map((bytes) => ({ kind: 'misdirect' as const, bytes })),
)

const rule: fc.Arbitrary<FaultRule> = fc.record({
  target: fc.oneof(fc.constant('*'), fc.stringMatching(/^[a-z0-9-]{1,32}$/)),
  operation: fc.constantFrom(...FAULT_OPERATIONS),
  begin: fc.nat(),
  count: fc.oneof(fc.nat(), fc.constant(Infinity)),
  chance: fc.double({ min: 0, max: 1, noNaN: true }).map((chance) => chance + 0),
  from: fc.nat(),
  to: fc.oneof(fc.nat(), fc.constant(Infinity)),
  effect,
})

test('round trip', () => {
  fc.assert(
    fc.property(rule, (one) => {
      expect(parseFaultRule(printFaultRule(one))).toEqual({ ok: true, rule: one })
    }),
    { numRuns: 1000 },
  )
})

test('defaults', () => {
  expect(parseFaultRule('fault://cache?error=EIO')).toEqual({
    ok: true,
    rule: {
      target: 'cache',
      operation: 'any',
      begin: 0,
      count: 1,
      chance: 1,
      from: 0,
      to: Infinity,
      effect: { kind: 'error', code: 'EIO' },
    },
  })
  const text = 'fault://backing?op=write&begin=10&count=all&delay=100ms'
  const parsed = parseFaultRule(text)
  expect(parsed.ok && printFaultRule(parsed.rule)).toBe(text)
})

test.each([
  ['', 'not of the form'],
  ['fault://', 'not of the form'],
  ['fault://Cache?error=EIO', 'not of the form'],
  ['http://cache?error=EIO', 'not of the form'],
  ['fault://cache', 'exactly one of'],
  ['fault://cache?error=EIO&hang=yes', 'exactly one of'],
  ['fault://cache?error', 'not key=value'],
  ['fault://cache?error=EIO&error=EIO', 'twice'],
  ['fault://cache?error=EIO&when=now', 'unknown key key=when'],
  ['fault://cache?error=oops', 'bad value error=oops'],
  ['fault://cache?hang=no', 'bad value hang=no'],
  ['fault://cache?torn=half', 'bad value torn=half'],
  ['fault://cache?flip=0', 'bad value flip=0'],
  ['fault://cache?delay=5', 'bad value delay=5'],
  ['fault://cache?misdirect=--1', 'bad value misdirect'],
  ['fault://cache?op=compl&error=EIO', 'unknown op'],
  ['fault://cache?begin=-1&error=EIO', 'bad number begin=-1'],
  ['fault://cache?count=some&error=EIO', 'bad number count=some'],
  ['fault://cache?chance=1.5&error=EIO', 'bad number chance=1.5'],
  ['fault://cache?to=&error=EIO', 'bad number to='],
])('%s is refused', (text, problem) => {
  const parsed = parseFaultRule(text)
  expect(parsed.ok ? 'accepted' : parsed.problem).toContain(problem)
})

test('any text is a rule or a problem', () => {
  const noise = fc.oneof(
    fc.string(),
    fc.string().map((tail) => `fault://x?${tail}`),
  )
  fc.assert(
    fc.property(noise, (text) => {
      const parsed = parseFaultRule(text)
      if (parsed.ok) expect(parseFaultRule(printFaultRule(parsed.rule))).toEqual(parsed)
    }),
  )
})
