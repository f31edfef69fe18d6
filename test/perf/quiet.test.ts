// Proves that a measurement beside busy others is taken again, the least noisy one kept, and the waiting bounded.
import { busyShare, parseCpuTicks, Patience } from './quiet.ts'

/** Shares as the looks will find them, the last one for ever, each look taking 250 ms. */
function machine(...shares: readonly number[]) {
  let nowMs = 0
  let looks = 0
  const look = (): Promise<number> => {
    nowMs += 250
    return Promise.resolve(shares[Math.min(looks++, shares.length - 1)] ?? 0)
  }
  let taken = 0
  const measure = (): Promise<number> => {
    nowMs += 1000
    return Promise.resolve(++taken)
  }
  return { look, measure, nowMs: () => nowMs }
}

function inQuiet(budgetMs: number, { look, measure, nowMs }: ReturnType<typeof machine>) {
  return new Patience(budgetMs, look, nowMs).measureInQuiet(measure)
}

test('on a quiet machine one sample is taken', async () => {
  expect(await inQuiet(60_000, machine(0.01))).toEqual({ sample: 1, othersShare: 0.01 })
})

test('waits until it is quiet, and takes a sample again that ended in noise', async () => {
  expect(await inQuiet(60_000, machine(0.9, 0.8, 0.02, 0.5, 0.01, 0.03))).toEqual({ sample: 2, othersShare: 0.03 })
})

test('keeps the least noisy sample, and does not try for ever', async () => {
  expect(await inQuiet(60_000, machine(0, 0.9, 0, 0.4, 0, 0.6, 0, 0.8))).toEqual({ sample: 2, othersShare: 0.4 })
})

test('without patience a noisy sample counts as it is', async () => {
  expect(await inQuiet(0, machine(0.7))).toEqual({ sample: 1, othersShare: 0.7 })
  expect(await inQuiet(1000, machine(0.7))).toEqual({ sample: 1, othersShare: 0.7 })
})

test('busy is everything but idle and waiting for disks', () => {
  const before = parseCpuTicks('cpu  100 0 50 800 50 0 0 0 7 7\ncpu0 1 2 3 4\n')
  expect(before).toEqual({ busy: 150, total: 1000 })
  const after = parseCpuTicks('cpu  130 0 70 840 60 0 0 0 7 7\n')
  expect(busyShare(before, after)).toBeCloseTo(0.5)
  expect(busyShare(before, before)).toBe(0)
})
